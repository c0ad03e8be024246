"""Which tools a gate runs with: absolute paths and identities, for the report and for the key of a cached result."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

_CHUNK_BYTES = 1 << 20
_LARGEST_HASHED_BYTES = 64_000_000


class Toolchain:
    """Identities of programs, remembered as long as the file on disk stays the same. From any thread."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int, int], str] = {}

    def identity(self, program: Path) -> str:
        """`<resolved path> sha256:<16 hex>`, of the file that really runs. Raises OSError when it cannot be read."""
        real = program.resolve()
        state = real.stat()
        key = (str(real), state.st_size, state.st_mtime_ns)
        if key not in self._known:
            self._known[key] = _digest(real) if state.st_size <= _LARGEST_HASHED_BYTES else f"size:{state.st_size}"
        return f"{real} {self._known[key]}"

    def stamp(self, program: Path) -> list[str]:
        """What a cached result depends on besides tree and definition: the platform and the program.

        For an interpreter also its installed packages: their folder's time moves with every installation.
        """
        stamps = [machine(), str(program)]
        if not program.is_absolute():  # a program of the tree, which is accounted for
            return stamps
        stamps.append(self.identity(program))
        home = program.parent.parent
        for folder in sorted([*home.glob("lib/python3*/site-packages"), *home.glob("Lib/site-packages")]):
            stamps.append(f"{folder} {folder.stat().st_mtime_ns}")
        return stamps


def machine() -> str:
    """Operating system and processor, e.g. `linux-x86_64`."""
    return f"{platform.system()}-{platform.machine()}".lower()


def _digest(path: Path) -> str:
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_CHUNK_BYTES):
            hashed.update(piece)
    return f"sha256:{hashed.hexdigest()[:16]}"
