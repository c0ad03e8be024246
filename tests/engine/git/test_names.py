"""Names from outside."""

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SwarmError, UserError
from engine.git.names import check_branch, check_id, check_revision, decode_path, encode_path, safe_name


@pytest.mark.parametrize("rev", ["", "-n", "--upload-pack=x", "a\nb", " a", "a\x00", "a\x1b[2J", "x" * 501])
def test_a_revision_that_could_be_an_option_or_hide_something_is_refused(rev: str) -> None:
    with pytest.raises(UserError):
        check_revision(rev)


@pytest.mark.parametrize(
    "name",
    ["", "-x", "a..b", "a.lock", "a/.b", "/a", "a/", "a//b", "a b", "a~1", "@", "a@{b", "a.", "a\\b", "a:b", "é\n"],
)
def test_a_name_that_no_branch_can_have_is_refused_by_us_and_by_git(name: str) -> None:
    with pytest.raises(UserError):
        check_branch(name)
    if name not in ("", "@") and "\n" not in name:  # git means HEAD by "@"
        assert subprocess.run(
            ["git", "check-ref-format", "--branch", name], capture_output=True, check=False
        ).returncode


@pytest.mark.parametrize("name", ["main", "feature/x", "a.b", "ümlaut", "a-b_c"])
def test_ordinary_branch_names_are_taken(name: str) -> None:
    assert check_branch(name) == name


def test_only_full_ids_pass_for_ids() -> None:
    assert check_id("a" * 40)
    for bad in ("a" * 39, "A" * 40, "main", "-" + "a" * 39, "a" * 40 + "\n"):
        with pytest.raises(SwarmError):
            check_id(bad)


@given(st.text(), st.text())
def test_safe_names_are_one_part_of_a_ref_and_differ_when_the_names_do(a: str, b: str) -> None:
    for name in (a, b):
        check_branch(f"keep/{safe_name(name)}")
        assert "/" not in safe_name(name)
    assert (safe_name(a) == safe_name(b)) == (a == b)


@given(st.binary().filter(lambda raw: b"\0" not in raw))
def test_paths_survive_the_way_through_text(raw: bytes) -> None:
    assert encode_path(decode_path(raw)) == raw
