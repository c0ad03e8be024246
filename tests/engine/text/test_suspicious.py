"""Names that are made to be misread are told, and honest ones in any language are not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text.sanitise import sanitise
from engine.text.suspicious import escaped, resembles, suspicious

HONEST = [
    "reqwest", "src/main.rs", "naïve", "Größe", "résumé", "日本語のファイル.txt", "日本語カナ", "한국어", "привет",
    "αβγ", "https://example.org/a?b=c", "C:\\Users\\x", "", "file-1_2.tar.gz", "łódź", "işık", "עברית", "العربية",
]  # fmt: skip


@pytest.mark.parametrize("text", HONEST)
def test_honest_names_are_not_suspected(text: str) -> None:
    assert suspicious(text) == []
    assert escaped(text) == text


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("r\u0435qwest", "only looks like reqwest"),
        ("\u0430\u0440\u0440\u04cf\u0435", "only looks like apple"),
        ("\u0441\u043e\u0441\u043e.example", "only looks like coco"),
        ("ser\u0501e", "only looks like serde"),
        ("pа\u0443ра\u217c", "only looks like"),
        ("\uff41dmin", "only looks like admin"),
        ("maіn", "only looks like main"),
        ("latinяword", "mixes the letters of Cyrillic and Latin"),
        ("\u202egnp.exe", "hidden or direction-changing"),
        ("a\u200bb", "hidden or direction-changing"),
        ("a\U000e0041b", "hidden or direction-changing"),
        ("ls\x1b[2J", "hidden or direction-changing"),
        ("ls\nrm -rf /", "line breaks"),
        ("rm -rf /\rls", "line breaks"),
        ("https://xn--80ak6aa92e.com", "another script"),
        ("XN--80AK6AA92E.com", "another script"),
    ],
)
def test_what_is_made_to_be_misread_is_told_and_shown_escaped(text: str, word: str) -> None:
    assert any(word in clause for clause in suspicious(text)), suspicious(text)
    shown = escaped(text)
    assert shown.isascii()
    assert shown.isprintable()


def test_names_that_could_be_taken_for_a_known_one_are_told() -> None:
    known = ["reqwest", "serde_json", "tokio"]
    for name in ("reqwset", "reqwests", "reqest", "r\u0435qwest", "serde-json", "tokyo", "t\u043ekio"):
        assert resembles(name, known), name
    for name in ("reqwest", "serde_json", "serde", "anyhow", "to", ""):
        assert resembles(name, known) == "", name


@given(st.text(max_size=200))
def test_every_clause_and_every_escape_is_safe_to_show(text: str) -> None:
    clauses = suspicious(text)
    assert all(sanitise(clause) == clause and "\n" not in clause for clause in clauses)
    if clauses:
        assert escaped(text).isascii()
        assert escaped(text).isprintable()
    else:
        assert sanitise(text, line_cap=1_000) == text
