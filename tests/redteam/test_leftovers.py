"""Folders that a gate leaves nested too deep are taken away, and do not fail the engine."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from engine.git.removal import remove_tree

DEPTH = 1_200


@pytest.mark.skipif(sys.platform == "win32", reason="needs a folder opened relative to another one")
def test_a_folder_deeper_than_the_stack_is_removed(tmp_path: Path) -> None:
    top = tmp_path / "scratch"
    top.mkdir()
    at = os.open(top, os.O_RDONLY)
    for _ in range(DEPTH):
        os.mkdir("d", dir_fd=at)
        below = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    if sys.version_info < (3, 13):
        with pytest.raises(RecursionError):  # the control: what a simpler removal does with it
            shutil.rmtree(top, ignore_errors=True)
    assert remove_tree(top)
    assert not top.exists()


def test_gates_and_canaries_use_no_other_removal() -> None:
    root = Path(__file__).resolve().parents[2]
    for file in ("gates/execution.py", "canary/launch.py"):
        text = (root / file).read_text(encoding="utf-8")
        assert "remove_tree(" in text
        assert "rmtree(" not in text
