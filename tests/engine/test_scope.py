"""Globs of a work order: what they match, what two of them share."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.scope import fault, in_scope, matches, overlaps


@pytest.mark.parametrize(
    ("glob", "path", "expected"),
    [
        ("a.py", "a.py", True),
        ("a.py", "b/a.py", False),
        ("a.py", "A.py", False),
        ("*.py", "a.py", True),
        ("*.py", ".py", True),
        ("*.py", "b/a.py", False),
        ("b/*", "b/a", True),
        ("b/*", "b/a/c", False),
        ("b/?", "b/a", True),
        ("b/?", "b/", False),
        ("b/**", "b/a/c", True),
        ("b/**", "b", False),
        ("b/", "b/a/c", True),
        ("b/", "bc/a", False),
        ("b", "b/a", False),
        ("**", "a", True),
        ("**", "a/b/c", True),
        ("**/a.py", "a.py", True),
        ("**/a.py", "x/y/a.py", True),
        ("x/**/a.py", "x/a.py", True),
        ("x/**/a.py", "x/y/z/a.py", True),
        ("x/**/y/**/z", "x/y/y/z", True),
        ("x/**/y/**/z", "x/y", False),
        ("x**y", "xaay", True),
        ("x**y", "xa/ay", False),
        ("[id].tsx", "[id].tsx", True),
        ("[id].tsx", "i.tsx", False),
        ("a*b*c", "aXbXbc", True),
        ("a*b*c", "aXcXb", False),
    ],
)
def test_a_glob_matches(glob: str, path: str, expected: bool) -> None:
    assert matches(path, [glob]) is expected


def test_no_globs_match_nothing_but_allow_everything() -> None:
    assert not matches("a", [])
    assert in_scope("a", [], [])


def test_deny_wins_over_allow() -> None:
    assert in_scope("src/a.py", ["src/**"], [])
    assert not in_scope("src/a.py", ["src/**"], ["src/a.py"])
    assert not in_scope("docs/a.md", ["src/**"], [])


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (["src/**"], ["src/a.py"], True),
        (["src/**"], ["docs/**"], False),
        (["src/*.py"], ["src/*.rs"], False),
        (["src/a*"], ["src/*z"], True),
        (["**/a.py"], ["src/**"], True),
        (["src/*"], ["src/*/x"], False),
        (["src"], ["src/**"], False),
        (["?"], ["??"], False),
        (["docs/**", "src/a"], ["src/?"], True),
        ([], ["**"], False),
    ],
)
def test_two_scopes_overlap(a: list[str], b: list[str], expected: bool) -> None:
    assert overlaps(a, b) is expected
    assert overlaps(b, a) is expected


@pytest.mark.parametrize("glob", ["", "/src/**", "../x", "a/./b", "a\\b", "a//b", "!a", "src/*.{c,h}"])
def test_a_glob_that_cannot_mean_what_it_says_is_at_fault(glob: str) -> None:
    assert fault(glob)


@pytest.mark.parametrize("glob", ["src/**", "a.py", "**/x", "app/[id]/page.tsx", "b/", "a{b}c", "..a/b.."])
def test_a_sound_glob_has_no_fault(glob: str) -> None:
    assert fault(glob) is None


def as_regex(glob: str) -> re.Pattern[str]:
    """Another reading of the same rules: the glob as one regular expression."""
    if glob.endswith("/"):
        glob += "**"
    parts = glob.split("/")
    expression = ""
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            expression += "(?:[^/]+/)*[^/]+" if last else "(?:[^/]+/)*"
        else:
            expression += "".join({"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char)) for char in part)
            expression += "" if last else "/"
    return re.compile(expression)


segment_globs = st.one_of(st.just("**"), st.text("ab*?", min_size=1, max_size=4))
globs = st.lists(segment_globs, min_size=1, max_size=4).map("/".join)
paths = st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=4).map("/".join)

# Two globs of at most 3 letters that share a name share one of at most 6; the same for paths of segments.
# `c` stands for any letter that is in no glob.
WORDS = ["".join(letters) for size in range(1, 7) for letters in itertools.product("abc", repeat=size)]
DEEP_PATHS = ["/".join(word) for word in WORDS]
one_segment = st.text("ab*?", min_size=1, max_size=3).filter(lambda glob: glob != "**")
few_segments = st.lists(st.sampled_from(["a", "b", "*", "**"]), min_size=1, max_size=3).map("/".join)


@given(globs, paths)
def test_matching_agrees_with_a_regular_expression(glob: str, path: str) -> None:
    assert matches(path, [glob]) == bool(as_regex(glob).fullmatch(path))


@given(globs, globs, paths)
def test_a_path_in_both_scopes_means_that_they_overlap(a: str, b: str, path: str) -> None:
    if matches(path, [a]) and matches(path, [b]):
        assert overlaps([a], [b])


@given(one_segment, one_segment)
def test_names_overlap_exactly_when_some_name_is_in_both(a: str, b: str) -> None:
    one, other = as_regex(a), as_regex(b)
    assert overlaps([a], [b]) == any(one.fullmatch(name) and other.fullmatch(name) for name in WORDS)


@given(few_segments, few_segments)
def test_paths_overlap_exactly_when_some_path_is_in_both(a: str, b: str) -> None:
    one, other = as_regex(a), as_regex(b)
    assert overlaps([a], [b]) == any(one.fullmatch(path) and other.fullmatch(path) for path in DEEP_PATHS)


def test_a_hostile_glob_is_answered_at_once() -> None:
    path = "/".join(["a" * 30] * 30)
    assert not matches(path, ["**/" * 20 + "*a" * 20 + "b"])
    assert overlaps(["**/" + "*a" * 20], ["*/" * 10 + "a*" * 20])
