"""Static checks before the queue, and which changes wait for a person: to the letter of the settings."""

from __future__ import annotations

from typing import Any

import pytest

from engine.models.roadmap import WorkOrder
from engine.models.settings import Merge, Settings
from engine.planner import land_danger
from engine.review import names_risk, review
from engine.state import Change, Order

ORDER = WorkOrder(id="one", title="t")


def said(summary: str = "did it", risk: str = "", rollback: str = "", **more: Any) -> list[str]:
    merge = Merge.model_validate(more.get("merge", {}))
    return review(summary, risk, rollback, more.get("files", 1), more.get("lines", 1), more.get("order", ORDER), merge)


def test_a_plain_change_passes() -> None:
    assert said() == []
    assert said(files=10_000, lines=1_000_000) == []  # no limit unless somebody sets one


@pytest.mark.parametrize("summary", ["", "  \n "])
def test_a_change_without_a_summary_is_sent_back(summary: str) -> None:
    assert said(summary) == ["its handoff has no summary: say what was changed and why."]


@pytest.mark.parametrize("risk", ["high", "High: it touches the cache", "The risk is HIGH.", "high-risk"])
def test_a_high_risk_needs_a_way_back(risk: str) -> None:
    assert len(said(risk=risk)) == 1
    assert "write rollback" in said(risk=risk)[0]
    assert said(risk=risk, rollback="revert") == []
    assert said(risk=risk, order=WorkOrder(id="one", title="t", rollback="revert; no data")) == []


@pytest.mark.parametrize("risk", ["low", "highly unlikely", "touches the highway", ""])
def test_another_risk_does_not(risk: str) -> None:
    assert said(risk=risk) == []


@pytest.mark.parametrize(("key", "size"), [("max_files", "files"), ("max_lines", "lines")])
def test_a_change_over_a_limit_is_sent_back_and_one_at_it_is_not(key: str, size: str) -> None:
    at, over = ({"merge": {key: 10}, size: n} for n in (10, 11))
    assert said("did it", "", "", **at) == []
    (reason,) = said("did it", "", "", **over)
    assert f"it changes 11 {size}, and merge.{key} is 10" in reason


def test_all_that_is_wrong_is_said_at_once() -> None:
    assert len(said("", "high", files=2, lines=2, merge={"max_files": 1, "max_lines": 1})) == 4


@pytest.mark.parametrize("words", [[], [""], ["  "]])
def test_no_word_names_no_risk(words: list[str]) -> None:
    assert names_risk("high", words) == ""


def test_a_word_is_text_and_no_pattern() -> None:
    assert names_risk("anything", ["a.*"]) == ""
    assert names_risk("may lose data (data loss)", ["data loss"]) == "data loss"


# ---- who waits for a person ----------------------------------------------------------------------------------------


def danger(merge: dict[str, Any], kind: str = "feature", **change: Any) -> str:
    fields: dict[str, Any] = {"id": "c", "order": "one", "base": "b", "head": "h", "tree": "t", "paths": ["src/a.py"]}
    order = Order(WorkOrder.model_validate({"id": "one", "title": "t", "kind": kind}))
    return land_danger(Change(**{**fields, **change}), order, Settings(merge=Merge.model_validate(merge)))


def test_by_default_nothing_waits() -> None:
    assert danger({}, risk="high", paths=["Cargo.toml"], kind="contract") == ""


def test_without_auto_everything_waits_but_what_a_person_committed() -> None:
    assert danger({"auto": False}) == "the settings say merge.auto = false"
    assert danger({"auto": False}, person=True) == ""


@pytest.mark.parametrize(
    ("ask", "waits", "passes"),
    [
        ({"paths": ["Cargo.toml"]}, {"paths": ["src/a.rs", "Cargo.toml"]}, {"paths": ["sub/Cargo.toml"]}),
        ({"paths": ["src/**"]}, {"paths": ["src/deep/a.py"]}, {"paths": ["docs/src/a.py"]}),
        ({"kinds": ["contract"]}, {"kind": "contract"}, {"kind": "fix"}),
        ({"risk": ["high"]}, {"risk": "rather High, I think"}, {"risk": "low"}),
        ({"files": 1}, {"paths": ["a", "b"]}, {"paths": ["a"]}),
        ({"lines": 100}, {"lines": 101}, {"lines": 100}),
    ],
    ids=["path", "glob", "kind", "risk", "files", "lines"],
)
def test_what_ask_if_names_waits_and_nothing_else(
    ask: dict[str, Any], waits: dict[str, Any], passes: dict[str, Any]
) -> None:
    assert danger({"ask_if": ask}, **waits)
    assert danger({"ask_if": ask}, **passes) == ""
