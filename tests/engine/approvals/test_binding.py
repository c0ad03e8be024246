"""An answer is bound to one exact operation: whatever is different is another question."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.approvals.binding import guard_hash, named_paths, operation_hash, refusal
from engine.approvals.deletions import UNKNOWN, deletions
from engine.models.task import Operation
from engine.state import Approval

TREE, BASE = "1" * 40, "2" * 40
ASKED = Operation(argv=["rm", "-r", "legacy"], cwd="tools", env={"A": "1"}, why="w", danger="large_deletion")
READS = {"tools/legacy": "3" * 40}


def hashed(operation: Operation = ASKED, tree: str = TREE, base: str = BASE, reads: dict[str, str] = READS) -> str:
    return operation_hash(operation, tree, base, reads)


@pytest.mark.parametrize(
    "other",
    [
        {"operation": ASKED.model_copy(update={"argv": ["rm", "-r legacy"]})},
        {"operation": ASKED.model_copy(update={"argv": ["rm", "-r", "legacy", ""]})},
        {"operation": ASKED.model_copy(update={"cwd": "."})},
        {"operation": ASKED.model_copy(update={"env": {"A": "2"}})},
        {"operation": ASKED.model_copy(update={"env": {}})},
        {"tree": "4" * 40},
        {"base": "4" * 40},
        {"reads": {"tools/legacy": "4" * 40}},
        {"reads": {}},
    ],
)
def test_whatever_would_be_run_otherwise_has_another_hash(other: dict[str, Any]) -> None:
    assert hashed(**other) != hashed()


def test_other_words_for_the_same_are_the_same_question() -> None:
    assert hashed(ASKED.model_copy(update={"why": "please", "danger": "external"})) == hashed()
    assert hashed(ASKED.model_copy(update={"cwd": "./tools/"})) == hashed()


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_two_commands_share_a_hash_only_if_they_are_one(a: list[str], b: list[str]) -> None:
    same = hashed(Operation(argv=a)) == hashed(Operation(argv=b))
    assert same == (a == b)


def approval(**fields: Any) -> Approval:
    asked = Approval("ap-1", "external", "t", "", {}, "h", 0.0, 100.0, order="one", status="approved")
    return replace(asked, **fields)


def test_only_an_unexpired_unused_yes_of_this_order_to_exactly_this_lets_it_run() -> None:
    assert refusal(approval(), "one", "h", 99.0) == ""
    assert refusal(approval(also=["two"]), "two", "h", 99.0) == ""
    assert refusal(approval(also=["two"], used=["two"]), "one", "h", 99.0) == ""
    for refused in (
        refusal(None, "one", "h", 1.0),
        refusal(approval(), "two", "h", 1.0),
        refusal(approval(), "one", "other", 1.0),
        refusal(approval(), "one", "h", 100.0),
        refusal(approval(used=["one"]), "one", "h", 1.0),
        *(refusal(approval(status=status), "one", "h", 1.0) for status in ("pending", "denied", "expired", "used")),
    ):
        assert refused


def test_paths_that_an_argument_could_mean_are_looked_for() -> None:
    argv = [
        "python",
        "tools/x.py",
        "--file=data/a.json",
        "@list.txt",
        "src/a.py:3",
        "/etc/passwd",
        "../up",
        "-v",
        "a\nb",
    ]
    found = named_paths(argv, ".")
    assert {"tools/x.py", "data/a.json", "list.txt", "src/a.py"} <= set(found)
    assert not any(path.startswith(("/", "..", "-")) for path in found)
    assert named_paths(["x.py", "../a.py", ".git/config"], "tools") == ["tools/x.py", "a.py"]


SIZES = {"a.txt": 10, "legacy/x.py": 1_500, "legacy/deep/y.py": 500, "src/z.py": 7}


def sizes(named: Any) -> dict[str, int]:
    return {p: s for p, s in SIZES.items() if any(not n or p == n or p.startswith(f"{n}/") for n in named)}


def test_what_would_be_deleted_is_listed_with_sizes() -> None:
    for argv in (["rm", "-rf", "legacy"], ["git", "rm", "-r", "--", "legacy"], ["/bin/rm", "./legacy/"]):
        gone = deletions(argv, ".", sizes)
        assert gone is not None
        assert (gone.files, gone.size, gone.said) == (2, 2_000, "2 files, 2.0 kB")
        assert gone.rows == ("legacy/deep/y.py · 500 B", "legacy/x.py · 1.5 kB")
    everything = deletions(["rm", "-rf", "."], ".", sizes)
    assert everything is not None
    assert everything.files == 4
    inner = deletions(["rm", "x.py"], "legacy", sizes)
    assert inner is not None
    assert inner.rows == ("legacy/x.py · 1.5 kB",)


def test_what_cannot_be_told_before_is_said_to_be_unknown() -> None:
    gone = deletions(["rm", "-rf", "leg*"], ".", sizes)
    assert gone is not None
    assert gone.said == UNKNOWN
    assert deletions(["python", "tidy.py"], ".", sizes) is None
    assert deletions([], ".", sizes) is None
    nothing = deletions(["rm", "-rf", "/etc"], ".", sizes)
    assert nothing is not None
    assert nothing.said == "nothing of the kept tree"


def test_a_guards_word_is_allowed_to_the_letter() -> None:
    assert guard_hash("size", "a.bin is large", ["a.bin"]) == guard_hash("size", "a.bin is large", ["a.bin"])
    others = [("binaries", "a.bin is large", ["a.bin"]), ("size", "b.bin is large", ["a.bin"])]
    others += [("size", "a.bin is large", ["a.bin", "b.bin"])]
    assert not {guard_hash(*other) for other in others} & {guard_hash("size", "a.bin is large", ["a.bin"])}
