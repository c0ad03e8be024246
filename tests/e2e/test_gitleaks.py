"""A night on a machine with gitleaks: what it finds does not land."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.e2e.night import Night
from tests.gates.guards.test_gitleaks import STAND_IN, stand_in


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a script is no program there")
def test_what_gitleaks_finds_does_not_land(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    stand_in(programs, STAND_IN)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    night = Night(tmp_path / "night")
    night.order("open", {"tiny/open.py": "hush = 1\n"})
    night.order("plain", {"tiny/plain.py": "loud = 1\n"})
    night.until_idle()
    assert night.phases() == {"open": "parked", "plain": "healthy"}
    denied = night.events("guardrail_denied")[0]
    assert denied.fields["rule"] == "secrets"
    assert "tiny/open.py:1 holds what gitleaks calls hushed" in denied.fields["reason"]
    assert "tiny/open.py" not in night.git("ls-tree", "-r", "--name-only", "main")
