"""The Python that runs the engine, as helpers of the engine's own need it inside a sandbox: without any package."""

from __future__ import annotations

import sys
import sysconfig
from pathlib import Path


def interpreter() -> tuple[Path, tuple[Path, ...]]:
    """The program, and what it reads of itself for `-I -S`. Not its whole prefix, which may be somebody's home."""
    python = Path(getattr(sys, "_base_executable", "") or sys.executable).resolve()
    library = str(sysconfig.get_config_var("INSTSONAME") or "libpython.so")
    folders = (python.parent.parent / "lib", Path(str(sysconfig.get_config_var("LIBDIR") or "/usr/lib")))
    standard = (Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib"))
    found = (python, *standard, *(folder / library for folder in folders))
    return python, tuple(dict.fromkeys(path for path in found if path.exists()))
