"""The regular expression of globs says what `engine.scope` says."""

from hypothesis import given
from hypothesis import strategies as st

from engine.scope import matches
from gates.guards.globs import compiled

PART = st.text("aA.*?+é\n", max_size=4)
GLOB = st.lists(st.one_of(PART, st.just("**"), st.just("*")), min_size=1, max_size=5).map("/".join)
PATH = st.lists(st.text("aA.+é\n", min_size=1, max_size=3), min_size=1, max_size=5).map("/".join)


@given(PATH, st.lists(GLOB, max_size=3))
def test_both_say_the_same(path: str, globs: list[str]) -> None:
    assert (compiled(tuple(globs)).fullmatch(path) is not None) == matches(path, globs)


def test_deep_globs_take_no_time() -> None:
    assert compiled(("**/a/**/a/**/a/**/a/**/b",)).fullmatch("/".join("a" * 60)) is None
