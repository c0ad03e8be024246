"""The libraries of agents take seconds to load. Commands that need none load none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from nights import COMMIT, a_night

from tests.conftest import MakeRepo

LIBRARIES = ("acp", "pydantic_ai", "mcp", "openai", "anthropic")
PROGRAM = """
import json, sys
names, before, words = json.loads(sys.argv[1])
for name in before:
    __import__(name)
from swarm_tui.cli import main
sys.argv = ["swarm", *words]
try:
    main()
    code = 0
except SystemExit as end:
    code = end.code or 0
print(json.dumps([code, [name for name in names if name in sys.modules]]))
"""


def loaded(*words: str, before: tuple[str, ...] = (), path: str = "") -> tuple[list[str], str]:
    """(which of LIBRARIES the command has loaded, what it printed). It has to succeed. before: loaded before it.
    path: where modules are looked for as well."""
    argv = [sys.executable, "-c", PROGRAM, json.dumps([LIBRARIES, before, words])]
    env = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(argv, env=env, capture_output=True, encoding="utf-8", check=True)
    *printed, last = done.stdout.splitlines()
    code, found = json.loads(last)
    assert code == 0, done.stdout + done.stderr
    return found, "\n".join(printed)


@pytest.fixture
def place(git_repo: MakeRepo, tmp_path: Path) -> list[str]:
    """Options that name a repository with a night behind it."""
    state = a_night(tmp_path).folders.root
    return ["--repo", str(git_repo({"a.txt": "one\n"}).path), "--state", str(state)]


@pytest.mark.parametrize("flag", [(), ("--json",)])
def test_status_loads_no_library_of_agents(place: list[str], flag: tuple[str, ...]) -> None:
    found, printed = loaded("status", *place, *flag)
    assert found == []
    assert COMMIT[:12] in printed  # it has read the journal


def test_help_loads_no_library_of_agents() -> None:
    found, printed = loaded("--help")
    assert found == []
    assert "status" in printed


def test_a_library_that_was_loaded_is_seen(tmp_path: Path) -> None:
    (tmp_path / "acp.py").write_text("", encoding="utf-8")
    assert loaded("--help", before=("acp",), path=str(tmp_path))[0] == ["acp"]
