"""The launchers' own functions for tests: loaded from source, as the launchers load each other."""

from __future__ import annotations

from types import ModuleType

from gates.results.launched import LAUNCHERS


def source(name: str) -> ModuleType:
    path = LAUNCHERS / f"{name}.py"
    module = ModuleType(f"tested_{name}")
    module.__file__ = str(path)
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    return module
