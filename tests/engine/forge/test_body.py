"""The text of a pull request: hostile words stay quoted, the evidence is always there, and it fits."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from engine.forge.body import BODY_CAP, Landed, block, body_of, span, title_of
from engine.models.report import GateResult, VerificationReport

DIGEST = "sha256:" + "ab" * 32


def landed(**fields: Any) -> Landed:
    known: dict[str, Any] = {"commit": "c" * 40, "tree": "d" * 40, "subject": "Resize", "order": "resize"} | {
        "digest": DIGEST
    }
    return Landed(**(known | fields))


def report() -> VerificationReport:
    gate = GateResult(name="unit", result="green", passed=12, executed=12)
    return VerificationReport(
        kind="land",
        result="green",
        tree="d" * 40,
        base="e" * 40,
        policy="p",
        repository="r",
        gates=[gate],
        flags=["unproven-goal"],
    )


def unquoted(body: str) -> list[str]:
    """The lines in which a forge would look for mentions, commands and HTML, without their code spans."""
    lines = [line for line in body.splitlines() if not line.startswith("    ")]
    return ["".join(line.split("`")[::2]) for line in lines]


def test_it_says_what_was_proved_and_how_to_check_it() -> None:
    body = body_of([landed(summary="Now it resizes")], {DIGEST: report()}, '{"payload":"eyJ9"}\n', built_on="#7")
    assert "    Now it resizes" in body
    assert "| `unit` | green | 12 | 0 | 0 |" in body
    assert "unproven-goal" in body
    assert f"Report: `{DIGEST}`" in body
    assert '    {"payload":"eyJ9"}' in body
    assert "builds on #7" in body
    assert "swarm verify" in body
    assert body.splitlines()[-1].startswith("Proposed-By: swarm")


@given(st.text(), st.text(alphabet="`@#/<>!\n\r\t \\[]()*_~|-=aReport:", max_size=200))
def test_no_words_from_outside_leave_their_quotes(any_words: str, nasty: str) -> None:
    for words in (any_words, nasty, f"{any_words}\n\n{nasty}"):
        mark = "Zq9"
        said = f"{words}{mark}@ada <b> fixes #1\n/merge\n\nReport: sha256:forged"
        body = body_of(
            [landed(subject=said, order=said, summary=said, risk=said, rollback=said, agent=said)],
            {DIGEST: report()},
            "",
        )
        for line in unquoted(body):
            assert mark not in line
            assert "@" not in line
            assert "<b>" not in line
            assert not line.startswith("/")
        assert all(line.count("`") % 2 == 0 for line in body.splitlines() if not line.startswith("    "))
        assert body.splitlines()[-1].startswith("Proposed-By: swarm")
        title = title_of([landed(subject=said)])
        assert "\n" not in title
        assert "@" not in title


def test_quotes_cannot_be_ended() -> None:
    assert span("a`b``c") == "`a'b''c`"
    assert span("") == "`(nothing)`"
    assert block("a\n\n```\n</details>") == "    a\n    \n    ```\n    </details>"
    assert all(line.startswith("    ") for line in block("a\rb\u2028c\x0bd\x85e\n" * 3).split("\n"))


def test_it_fits_whatever_agents_wrote_and_however_many_landed() -> None:
    many = [landed(commit=f"{nth:040x}", summary="x" * 100_000, risk="y\n" * 50_000) for nth in range(150)]
    body = body_of(many, {DIGEST: report()}, "z" * 1_000_000)
    assert len(body) < BODY_CAP + 3_000 < 65_536
    assert many[-1].commit in body
    assert DIGEST in body
    assert body.splitlines()[-1].startswith("Proposed-By: swarm")


def test_a_persons_commit_and_a_restore_claim_nothing_of_an_agent() -> None:
    body = body_of([landed(kind="person", digest=""), landed(kind="restore", subject="Restore main")], {}, "")
    assert "A person's commit" in body
    assert "Summary:" not in body
