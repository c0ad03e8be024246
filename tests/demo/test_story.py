"""The check over the journal tells a whole night from one in which a story is missing."""

from __future__ import annotations

from typing import Any

import pytest

from swarm_tui.demo.story import told

SHA = "c0ffee" * 6 + "c0ff"


def night() -> list[dict[str, Any]]:
    """The events of a whole night, as little as is needed of each."""
    events: list[dict[str, Any]] = []

    def add(kind: str, work_order: str = "", **fields: Any) -> None:
        events.append({"seq": len(events) + 1, "kind": kind, "work_order": work_order, "run": "", **fields})

    def landed(order: str) -> None:
        add("change_landed", order, commit=SHA, tree=SHA, report="sha256:0")
        add("work_order_healthy", order)

    def rejected(order: str, why: str) -> None:
        add("change_rejected", order, change=f"agent/{order}/1", reasons=[why])

    events.append({"seq": 1, "kind": "run_started", "work_order": "rect-inset", "run": "rect-inset.1"})
    events.append({"seq": 2, "kind": "run_started", "work_order": "scrollbar", "run": "scrollbar.1"})
    events.append({"seq": 3, "kind": "run_finished", "work_order": "scrollbar", "run": "scrollbar.1", "result": "done"})
    for order in ("rect-inset", "text-align", "close-view", "docs-events"):
        landed(order)
    add("guardrail_denied", "scrollbar", rule="paths")
    rejected("scrollbar", "tinykit/surface.py is outside the scope")
    rejected("history-limit", "gate unit is red")
    rejected("stress-seeds", "gate stress ran no test")
    rejected("part-cells", "1 old test fails: tests.unit.test_geometry.CellsTest.test_only_whole_cells_count")
    rejected("link-spaces", "no test of this fix failed before it")
    add("guardrail_denied", "plain-letters", rule="dependencies")
    rejected("plain-letters", "Unidecode is not allowed")
    add("guardrail_denied", "clip-text", rule="protected")
    rejected("clip-text", "swarm.toml is protected")
    for order in ("scrollbar", "history-limit", "stress-seeds", "stamp-rename"):
        landed(order)
    for order in ("part-cells", "link-spaces", "plain-letters", "clip-text"):
        landed(order)
    rejected("status-overlay", "gate unit is red")
    landed("status-overlay")
    add("run_finished", "list-blocks", result="idle", kept=SHA)
    add("change_rejected", "list-blocks", change="", reasons=["the agent did nothing for too long and was stopped"])
    landed("list-blocks")
    add("approval_asked", "drop-legacy", approval="ap-1", danger="large_deletion")
    add("work_order_parked", "drop-legacy", why="it asks for a dangerous operation")
    add("change_landed", "frame-cache", commit=SHA, tree=SHA, report="sha256:0")
    add("main_restored", commit=SHA, to=SHA)
    add("culprit_found", "frame-cache", commit=SHA, probability=1.0)
    add("change_reverted", "frame-cache", commit=SHA)
    add("work_order_added", "bug-frame-cache-1", order={"id": "bug-frame-cache-1"})
    landed("bug-frame-cache-1")
    landed("frame-cache")
    painted = {"sample": "painted", "unit": "cells", "before": 432.0, "after": 192.0, "pairs": 5, "p": 0.008}
    better = painted | {"verdict": "better", "reason": "55.6 % better than last good"}
    landed("contract-find")
    add("run_finished", "plan-find", result="limit", counted=False)
    add("provider_paused", "plan-find", provider="cloud", until=1.0)
    add("provider_resumed", provider="cloud")
    add("work_order_done", "plan-find")
    add("work_order_healthy", "plan-find")
    add("approval_asked", "find-keys", approval="ap-2", danger="proposal")
    add("guardrail_denied", "find-words", rule="boundaries")
    rejected("find-words", "tinykit/find.py imports tinykit.surface")
    landed("find-words")
    add("canary_finished", commit=SHA, purpose="compare", verdict="PASS", metrics=[better])
    add("canary_judged", commit=SHA, verdict="PASS")
    return events


def missing(events: list[dict[str, Any]]) -> list[str]:
    return [chapter.name for chapter in told(events) if not chapter.happened]


def without(kind: str, order: str = "") -> list[dict[str, Any]]:
    return [event for event in night() if event["kind"] != kind or (order and event["work_order"] != order)]


def test_a_whole_night_is_told() -> None:
    assert missing(night()) == []
    assert all(chapter.evidence and "\n" not in chapter.evidence for chapter in told(night()))


def test_an_empty_night_tells_nothing() -> None:
    assert len(missing([])) == len(told([])) == 17


@pytest.mark.parametrize(
    ("kind", "order", "chapter"),
    [
        ("change_landed", "text-align", "honest work, side by side"),
        ("run_started", "scrollbar", "honest work, side by side"),
        ("change_landed", "contract-find", "a contract, a plan, a proposal"),
        ("work_order_done", "plan-find", "a contract, a plan, a proposal"),
        ("guardrail_denied", "find-words", "a contract, a plan, a proposal"),
        ("change_landed", "find-words", "a contract, a plan, a proposal"),
        ("approval_asked", "find-keys", "a contract, a plan, a proposal"),
        ("run_finished", "plan-find", "a provider's limit"),
        ("provider_paused", "plan-find", "a provider's limit"),
        ("provider_resumed", "", "a provider's limit"),
        ("guardrail_denied", "scrollbar", "outside its scope"),
        ("change_rejected", "scrollbar", "outside its scope"),
        ("change_rejected", "history-limit", "breaks a unit test"),
        ("change_rejected", "status-overlay", "green alone, red together"),
        ("change_landed", "status-overlay", "green alone, red together"),
        ("change_rejected", "stress-seeds", "a gate without tests is red"),
        ("change_rejected", "part-cells", "weakens a test"),
        ("change_rejected", "link-spaces", "a fix without a test that failed"),
        ("guardrail_denied", "plain-letters", "a dependency nobody allowed"),
        ("guardrail_denied", "clip-text", "wants out, and its own gates"),
        ("change_landed", "clip-text", "wants out, and its own gates"),
        ("run_finished", "list-blocks", "hangs, is stopped, loses nothing"),
        ("approval_asked", "drop-legacy", "asks for something dangerous"),
        ("main_restored", "", "passes every gate, fails the canary"),
        ("culprit_found", "frame-cache", "passes every gate, fails the canary"),
        ("work_order_added", "bug-frame-cache-1", "the regression is fixed"),
        ("work_order_healthy", "bug-frame-cache-1", "the regression is fixed"),
        ("work_order_healthy", "frame-cache", "the regression is fixed"),
        ("canary_judged", "", "the morning"),
        ("work_order_parked", "drop-legacy", "the morning"),
    ],
)
def test_each_missing_event_is_missed(kind: str, order: str, chapter: str) -> None:
    assert chapter in missing(without(kind, order))


def test_either_of_the_pair_may_be_the_second() -> None:
    swapped = {"stamp-rename": "status-overlay", "status-overlay": "stamp-rename"}
    events = [event | {"work_order": swapped.get(event["work_order"], event["work_order"])} for event in night()]
    assert missing(events) == []


def test_a_second_parked_order_is_no_good_morning() -> None:
    assert missing([*night(), {"seq": 999, "kind": "work_order_parked", "work_order": "rect-inset"}]) == ["the morning"]


def test_a_red_end_is_no_good_morning() -> None:
    assert missing([*night(), {"seq": 999, "kind": "canary_judged", "work_order": "", "verdict": "FAIL"}]) == [
        "the morning"
    ]


def test_a_limit_that_costs_an_attempt_is_said() -> None:
    events = [event | {"counted": True} if event.get("result") == "limit" else event for event in night()]
    assert missing(events) == ["a provider's limit"]


def test_work_that_was_not_kept_is_said() -> None:
    events = [event | {"kept": ""} if event.get("result") == "idle" else event for event in night()]
    hung = next(chapter for chapter in told(events) if chapter.name.startswith("hangs"))
    assert (hung.happened, "not kept" in hung.evidence) == (False, True)
