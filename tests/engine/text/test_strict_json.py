"""JSON of outside origin, with a control beside each that is taken."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text.strict_json import JsonRefused, loads

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def taken(raw: bytes, max_bytes: int = 1_000_000, max_depth: int = 12) -> Any:
    return loads(raw, max_bytes=max_bytes, max_depth=max_depth)


@pytest.mark.parametrize(
    ("bad", "good", "why"),
    [
        (b"[" * 100_000 + b"]" * 100_000, b"[" * 12 + b"]" * 12, "nested deeper than 12"),
        (b'{"a":' * 100_000, b'{"a":1}', "nested deeper than 12"),
        (b'["' + b"x" * 2_000_000 + b'"]', b'["' + b"x" * 900_000 + b'"]', "bytes, at most 1000000"),
        (b'{"summary": "good", "summary": "bad"}', b'{"summary": "good", "Summary": "bad"}', "appears twice"),
        (b'{"a": {"b": 1, "\\u0062": 2}}', b'{"a": {"b": 1}, "b": 2}', "appears twice"),
        (b'{"a": NaN}', b'{"a": null}', "NaN is not JSON"),
        (b'{"a": -Infinity}', b'{"a": -1}', "-Infinity is not JSON"),
        (b'{"a": "\xff"}', b'{"a": "\xc3\xbf"}', "not UTF-8"),
        (b'{"a": 1', b'{"a": 1}', "not JSON"),
        (b"", b"null", "not JSON"),
        (b"1" * 10_000, b"1" * 100, "not JSON"),
    ],
)
def test_what_is_refused_and_its_honest_twin(bad: bytes, good: bytes, why: str) -> None:
    with pytest.raises(JsonRefused, match=why):
        taken(bad)
    assert taken(good) == json.loads(good)


def test_brackets_in_strings_are_no_depth() -> None:
    text = "[{" * 500 + '\\"' + "]"
    assert taken(json.dumps({"a": text}).encode()) == {"a": text}


@given(VALUES)
def test_all_json_within_the_caps_is_taken_as_it_is(value: Any) -> None:
    assert taken(json.dumps(value).encode(), max_depth=100) == value


@given(VALUES, st.integers(0, 5))
def test_the_depth_is_that_of_the_value(value: Any, most: int) -> None:
    raw = json.dumps(value).encode()
    if _depth(value) <= most:
        assert taken(raw, max_depth=most) == value
    else:
        with pytest.raises(JsonRefused, match="deeper"):
            taken(raw, max_depth=most)


@given(st.binary(max_size=200))
def test_any_bytes_are_taken_or_refused(raw: bytes) -> None:
    try:
        taken(raw)
    except JsonRefused:
        pass


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + max((_depth(each) for each in value.values()), default=0)
    return 1 + max((_depth(each) for each in value), default=0) if isinstance(value, list) else 0
