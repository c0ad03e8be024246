"""Tool calls of a session become rows of progress: one each, with all that was said of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text.redact import Redactor
from roles.agents.acp.calls import Call, Calls
from roles.agents.acp.rows import OPEN_MAX, ToolRows, row_of
from roles.agents.progress_file import ProgressFile

SECRET = "sk-secret-number-1"


class Kept:
    """A session's calls, and the rows that came of them."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "progress.jsonl"
        self.calls = Calls()
        self.tools = ToolRows(ProgressFile(self.path, [Redactor({"KEY": SECRET})], lambda: 5.0))

    def say(self, ident: str, *, first: bool = False, **part: Any) -> None:
        said = {"toolCallId": ident, **part}
        self.tools.look(self.calls.merge(said, first=first), said.get("rawInput"), first=first)

    def rows(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()] if (
            self.path.exists()
        ) else []  # fmt: skip


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    return Kept(tmp_path)


def test_a_call_is_told_once_when_all_is_said(kept: Kept) -> None:
    kept.say("t", first=True, title="Bash", kind="execute", status="pending")
    kept.say("t", rawInput={"command": f"echo {SECRET}\x1b[31m"})
    assert kept.rows() == []
    kept.say("t", status="completed")
    kept.say("t", status="completed", content=[])
    (row,) = kept.rows()
    assert (row["at"], row["kind"], row["tool"]) == (5.0, "tool", "Bash")
    assert row["text"].startswith("echo ")
    assert SECRET not in row["text"]
    assert "\x1b" not in row["text"]


def test_an_id_that_is_used_again_is_another_call(kept: Kept) -> None:
    for _ in range(3):
        kept.say("t", first=True, title="Read", kind="read", status="completed")
    kept.say("t", first=True, title="Read", kind="read", status="pending")
    kept.say("t", first=True, title="Write", kind="edit", status="pending")
    kept.tools.close()
    assert [row["tool"] for row in kept.rows()] == ["Read"] * 4 + ["Write"]


def test_calls_that_never_end_are_told_all_the_same(kept: Kept) -> None:
    for number in range(OPEN_MAX + 3):
        kept.say(f"t{number}", first=True, title="Read", kind="read")
    assert len(kept.rows()) == 3
    kept.tools.close()
    assert len(kept.rows()) == OPEN_MAX + 3


INPUTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@given(INPUTS, INPUTS)
def test_calls_are_the_same_exactly_where_their_input_is(one: Any, other: Any) -> None:
    call = Call("a", kind="read", title="Read")
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert (row_of(call, one).call == row_of(Call("b", kind="read", title="Read"), other).call) == same
