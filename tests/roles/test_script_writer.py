"""What is written as a script is read again as it was, and played it makes the files that it was made from."""

from __future__ import annotations

import base64
import tomllib
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from roles.agents.script_format import parse_script
from roles.agents.script_writer import edits_of, replacements, script_text, toml_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
LINES = st.lists(st.sampled_from(["a\n", "b\n", "    c\n", "'''\n", "\r\n", "\n", "end"]), max_size=14).map("".join)
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**60), 2**60) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)


def played(steps: list[dict[str, Any]], old: bytes | None) -> bytes:
    """As the player does it."""
    now = old
    for step in steps:
        edit = step["edit"]
        if "content" in edit:
            now = edit["content"].encode()
        elif "base64" in edit:
            now = base64.b64decode(edit["base64"])
        else:
            assert now is not None
            assert now.decode().count(edit["find"]) == 1
            now = now.decode().replace(edit["find"], edit["replace"]).encode()
    assert now is not None
    return now


@settings(max_examples=150)
@given(VALUES)
def test_values_come_back_as_they_were(value: Any) -> None:
    assert tomllib.loads(f"key = {toml_of(value)}")["key"] == value


@settings(max_examples=150)
@given(st.none() | LINES.map(str.encode) | st.binary(max_size=20), LINES.map(str.encode) | st.binary(max_size=20))
def test_edits_make_the_new_file_out_of_the_old_one(old: bytes | None, new: bytes) -> None:
    steps = edits_of("dir/a.txt", old, new, True)
    text = script_text([steps], "two lines\nof a comment")
    parse_script(text, "it")
    again = tomllib.loads(text)["attempt"][0]["steps"]
    assert played(again, old) == new
    assert again[-1]["edit"]["executable"] is True


def test_a_changed_place_is_kept_so_that_it_fits_a_file_changed_elsewhere() -> None:
    old = "".join(f"line {n}\n" for n in range(40))
    new = old.replace("line 30\n", "line thirty\n").replace("line 5\n", "")
    places = replacements(old, new)
    assert places is not None
    assert len(places) == 2
    other = "something of another\n" + old.replace("line 17\n", "line 17, changed\n")
    for find, put in places:
        assert other.count(find) == 1
        other = other.replace(find, put)
    assert "line thirty\n" in other
    assert "something of another\n" in other
    assert "line 5\n" not in other


def test_a_place_that_is_not_the_only_one_of_its_kind_is_kept_with_more_around_it() -> None:
    old = "start\n" + "a\nb\n" * 3 + "middle\n" + "a\nb\n" * 3
    new = old[: -len("b\n")] + "B\n"
    assert played(edits_of("x", old.encode(), new.encode()), old.encode()) == new.encode()
