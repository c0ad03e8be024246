"""What a person is shown of a question: warnings first, facts, environment, who else asks, and nothing that acts."""

from __future__ import annotations

from typing import Any

from engine.history import History
from engine.state import Approval, Change, State
from swarm_tui.room.question import Question, question_of


def asked(danger: str = "external", argv: tuple[str, ...] = ("cargo", "add", "x"), **fields: Any) -> Approval:
    operation = {"argv": list(argv), "cwd": ".", "env": fields.pop("env", {}), "why": "w", "danger": danger}
    return Approval("ap-1", danger, "t", "w", fields.pop("operation", operation), "h" * 64, 0.0, 99.0, "one", **fields)


def shown(approval: Approval, state: State | None = None) -> Question:
    return question_of(approval, state or State(), History())


def text(question: Question) -> str:
    return "\n".join(f"{line.label} {line.text}" for line in question.lines)


def test_a_letter_that_is_none_of_latin_is_escaped_and_wants_the_name_typed() -> None:
    odd, honest = shown(asked(argv=("cargo", "add", "r\u0435qwest"))), shown(asked())
    assert "r\\u0435qwest" in text(odd)
    assert "r\u0435qwest" not in text(odd)
    assert odd.lines[0].label == "⚠ warning"
    assert odd.word == "one"
    assert (honest.word, "warning" in text(honest)) == ("", False)


def test_a_name_in_another_language_is_left_as_it_is() -> None:
    question = shown(asked(argv=("touch", "日本語.txt")))
    assert "日本語.txt" in text(question)
    assert question.word == ""


def test_what_would_be_deleted_the_environment_and_who_else_asks_are_shown() -> None:
    facts = ["would delete 2 files, 2.0 kB", "legacy/a.py · 1.5 kB", "x\x1b[2J\u202e"]
    question = shown(asked("large_deletion", ("rm", "-r", "legacy"), facts=facts, env={"LEVEL": "7"}, also=["two"]))
    said = text(question)
    assert all(fact in said for fact in facts[:2])
    assert "environment LEVEL=7" in said
    assert "and the same for two" in said
    assert "\x1b" not in said
    assert "\u202e" not in said


def test_a_flood_of_facts_is_cut_and_says_so() -> None:
    question = shown(asked(facts=[f"f{n}" for n in range(500)]))
    assert "… and 440 more" in text(question)


def test_questions_of_the_engine_say_what_each_answer_does() -> None:
    host = {"argv": ["network", "pypi.org:443"], "host": "pypi.org:443"}
    network = shown(asked("network", operation=host, facts=["host: pypi.org:443"]))
    assert "may reach exactly this host" in text(network)
    assert network.word == ""
    assert shown(asked("network", operation=host, warnings=["it could be taken for pypi.org"])).word == "one"
    state = State()
    state.changes["c"] = Change("c", "one", "b" * 40, "h" * 40, "t" * 40, ["Cargo.lock"], rollback="revert it")
    rules = {"argv": ["allow", "c"], "tree": "t" * 40, "rules": [{"rule": "dependencies", "hash": "h"}]}
    guards = shown(
        asked("dependency", operation=rules, subject="c", facts=["serde 1.0 from the usual registry"]), state
    )
    assert "serde 1.0 from the usual registry" in text(guards)
    assert "its report says so" in text(guards)
    assert "revert it" in text(guards)
    assert guards.sides is not None
    assert (guards.sides.old, guards.sides.new) == ("b" * 40, "t" * 40)
    money = shown(asked("over_budget", operation={"argv": ["spend", "40.00"], "more": 40.0, "epoch": 1}))
    assert "until that is spent too" in text(money)
