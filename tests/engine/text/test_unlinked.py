"""What a commit's message says does nothing on a forge, and stays readable."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text.unlinked import unlinked

ACTS = re.compile(
    r"#\d|(?<!\w)@\w|(?<!\w)!\d|(?<!\w)GH-\d|://\S+/(?:issues|pull|merge_requests)/\d|\[(?:skip ci|ci skip|no ci)\]"
    r"|\*\*\*NO_CI\*\*\*|^/\w",
    re.IGNORECASE | re.MULTILINE,
)
"""What forges look for, told in another way than the code does."""


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("fixes #12", "fixes # 12"),
        ("Closes: ada/tool#7, #8", "Closes: ada/tool# 7, # 8"),
        ("thanks @ada and @org/team", "thanks @ ada and @ org/team"),
        ("resolves GH-3 and !44", "resolves GH- 3 and ! 44"),
        ("closes https://forge.example.org/a/b/issues/9", "closes https:// forge.example.org/a/b/issues/9"),
        ("see http://forge.example.org/a/b/-/merge_requests/9", "see http:// forge.example.org/a/b/-/merge_requests/9"),
        ("quick [skip ci] and [CI Skip]", "quick (skip ci) and (CI Skip)"),
        ("***NO_CI***", "(NO_CI)"),
        ("done\n/tag v9", "done\n/ tag v9"),
        ("PROJ-1 #close", "PROJ-1 # close"),
    ],
)
def test_what_a_forge_would_act_on_is_taken_apart(said: str, shown: str) -> None:
    assert ACTS.search(said) or "#close" in said
    assert unlinked(said) == shown


@pytest.mark.parametrize(
    "said",
    [
        "Resize images, 12 % faster",
        "mail ada@example.org",
        "a list: # one, and C # two",
        "list[int] and x[0]",
        "a/b/c, and/or",
        "https://docs.example.org/guide",
        "wow!",
        "",
    ],
)
def test_other_words_stay_as_they_are(said: str) -> None:
    assert unlinked(said) == said


@given(st.text(alphabet="#@!/[]*: \nGH-12skipcNO_a.", max_size=60))
def test_nothing_that_acts_is_left_and_a_second_time_changes_nothing(said: str) -> None:
    once = unlinked(said)
    assert ACTS.search(once) is None
    assert unlinked(once) == once
    assert re.sub(r"[\s()\[\]*]", "", once) == re.sub(r"[\s()\[\]*]", "", said), "words were lost"
