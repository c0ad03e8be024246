"""`swarm gates`, plainly written, is understood without the full parser; anything unusual is left to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm_tui.gating.asked import Asked
from swarm_tui.gating.quick import plainly


@pytest.mark.parametrize(
    ("line", "asked"),
    [
        ("", Asked()),
        ("HEAD~1", Asked(revision="HEAD~1")),
        ("--json", Asked(as_json=True)),
        ("--keep-going", Asked()),
        ("--base=v1 topic", Asked(base="v1", revision="topic")),
        ("--gate unit --gate lint", Asked(gates=("unit", "lint"))),
        ("--repo a --state=b --json x", Asked(Path("a"), Path("b"), "x", as_json=True)),
    ],
)
def test_what_is_written_out_in_full_is_understood(line: str, asked: Asked) -> None:
    assert plainly(line.split()) == asked


@pytest.mark.parametrize(
    "line", ["--help", "a b", "--explain", "--watch", "--sabotage 3", "--base", "--base --json", "--base= x",
             "--base a --base b", "--jso", "-x", "--fail-fast", "--gate="],
)  # fmt: skip
def test_anything_else_is_left_to_the_full_parser(line: str) -> None:
    assert plainly(line.split()) is None
