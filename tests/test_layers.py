"""The layers of docs/architecture.md hold, and the check that says so can fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("swarm_tui", "engine", "roles", "gates", "canary")


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    """Runs import-linter over the five packages of a tree with the contracts of its pyproject.toml."""
    program = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    return subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tree,
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=_env(tree),
    )


def _env(tree: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(tree)}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the sources, to be broken."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        skip = shutil.ignore_patterns("__pycache__", "demo")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=skip)
    return tmp_path


def test_the_contracts_are_kept() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("engine/errors.py", "import gates"),
        ("engine/errors.py", "import swarm_tui.starting"),
        ("gates/__init__.py", "import canary"),
        ("engine/models/base.py", "import sqlite3"),
        ("engine/scope.py", "import subprocess  # the planner uses this module"),
    ],
)
def test_a_forbidden_import_breaks_a_contract(copy: Path, file: str, line: str) -> None:
    target = copy / file
    target.write_text(f"{target.read_text(encoding='utf-8')}\n{line}\n", encoding="utf-8")
    done = lint(copy)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "BROKEN" in done.stdout
