"""Goldens from end to end: what a canary run shows waits for a person and lands when he accepts it, never by itself."""

from __future__ import annotations

import json
from typing import Any

import pytest
from command_line import SETTINGS, Desk, Ended, one_sentence, order
from conftest import MakeDesk

SHOW = """\
import json, pathlib

for word in pathlib.Path("words.txt").read_text(encoding="utf-8").split():
    print(json.dumps({"kind": "word", "data": {"text": word}}), flush=True)
"""
FLOW = (
    SETTINGS.replace("[limits]", "[limits]\nattempts = 1")
    + """\
[[canary.flow]]
name = "words"
start = { run = ["python3", "show.py"] }
steps = [{ wait = { until = { exit = 0 }, within = "20s" } }]
judge = { golden = "canary/golden/words.jsonl" }
"""
)
GOLDEN = "canary/golden/words.jsonl"


def said(*words: str) -> str:
    """The golden of these words."""
    return "".join(json.dumps({"data": {"text": word}, "kind": "word"}) + "\n" for word in words)


def night(make_desk: MakeDesk, *orders: str, golden: str = "") -> Desk:
    more = {GOLDEN: golden} if golden else {}
    return make_desk(*orders, settings=FLOW, **{"show.py": SHOW, "words.txt": "one\n", **more})


def waiting(desk: Desk) -> dict[str, Any]:
    """The one golden that waits."""
    (found,) = desk.status()["goldens_pending"]
    return found


def verdicts(ended: Ended) -> list[str]:
    return [row["verdict"] for row in ended.of("canary_judged")]


@pytest.mark.slow
def test_a_missing_golden_is_never_green_and_waits_for_a_person(make_desk: MakeDesk) -> None:
    desk = night(make_desk)
    ended = desk.until_idle()
    assert verdicts(ended) == ["INCONCLUSIVE"]
    assert ended.summary["health"] == "unknown"
    assert ended.summary["last_good"] == ""
    one = waiting(desk)
    assert (one["path"], one["flow"], one["new"], one["commit"]) == (GOLDEN, "words", True, desk.head())
    assert not desk.has(GOLDEN)
    shown = desk.swarm("golden", "review").stdout
    assert one["id"] in shown
    assert '+{"data": {"text": "one"}, "kind": "word"}' in shown
    (row,) = desk.ask("golden", "review")
    assert row["rows"] == ['+{"data": {"text": "one"}, "kind": "word"}']


@pytest.mark.slow
def test_an_accepted_golden_lands_alone_and_the_canary_turns_green(make_desk: MakeDesk) -> None:
    desk = night(make_desk)
    desk.until_idle()
    ident = waiting(desk)["id"]
    assert "next engine" in desk.swarm("golden", "accept", ident).stdout
    one_sentence(desk.swarm("golden", "reject", ident), ident, "decided already")
    before = desk.head()
    ended = desk.until_idle()
    assert verdicts(ended)[-1] == "PASS"
    assert ended.summary["health"] == "green"
    assert desk.status()["goldens_pending"] == []
    assert desk.git("diff", "--name-only", before, "main").split() == [GOLDEN]
    assert desk.git("show", f"main:{GOLDEN}") + "\n" == said("one")
    assert desk.git("log", "-1", "--format=%(trailers:key=Golden,valueonly)", "main").strip() == f"accepted {ident}"
    assert desk.git("log", "-1", "--format=%P", "main").split() == [before]
    assert desk.swarm("verify", "main").returncode == 0


@pytest.mark.slow
def test_a_rejected_golden_stays_closed(make_desk: MakeDesk) -> None:
    desk = night(make_desk)
    desk.until_idle()
    ident = waiting(desk)["id"]
    assert desk.swarm("golden", "reject", GOLDEN, "--why", "it should say two").returncode == 0
    ended = desk.until_idle()  # it is run again, and shows the same
    assert ended.of("golden_rejected")[0]["why"] == "it should say two"
    assert verdicts(ended) == ["INCONCLUSIVE"]
    assert desk.status()["goldens_pending"] == []
    one_sentence(desk.swarm("golden", "accept", ident), ident, "rejected already")
    desk.commit("It says two", words__txt="two\n")
    desk.until_idle()
    assert waiting(desk)["id"] != ident  # something else is another question


@pytest.mark.slow
def test_a_change_that_was_taken_back_returns_with_its_golden_when_a_person_accepts_it(make_desk: MakeDesk) -> None:
    desk = night(make_desk, order("more", "write words.txt one two", kind="docs"), golden=said("one"))
    ended = desk.until_idle()
    assert "FAIL" in verdicts(ended)
    assert ended.of("main_restored")
    assert desk.git("show", "main:words.txt") == "one"
    one = waiting(desk)
    assert (one["new"], one["work_order"]) == (False, "more")
    shown = desk.swarm("golden", "review").stdout
    assert '+{"data": {"text": "two"}, "kind": "word"}' in shown
    one_sentence(desk.swarm("golden", "accept", "words"), one["id"])  # whatever waits there by now
    assert desk.swarm("golden", "accept", one["id"]).returncode == 0
    ended = desk.until_idle()
    assert desk.phase("more") == "healthy"
    assert desk.git("show", "main:words.txt") == "one two"
    assert desk.git("show", f"main:{GOLDEN}") + "\n" == said("one", "two")
    assert verdicts(ended)[-1] == "PASS"
    assert desk.status()["goldens_pending"] == []


@pytest.mark.slow
def test_a_golden_that_its_implementer_changes_waits_for_a_person(make_desk: MakeDesk) -> None:
    own = order("own", "write words.txt two", f"write {GOLDEN} {said('two').strip()}", allow=["words.txt", GOLDEN])
    desk = night(make_desk, own, order("honest", "write notes.txt hello"), golden=said("one"))
    ended = desk.until_idle()
    assert (desk.phase("own"), desk.phase("honest")) == ("parked", "healthy")
    assert desk.git("show", f"main:{GOLDEN}") + "\n" == said("one")
    (asked,) = ended.of("approval_asked", danger="golden")
    assert '+{"data": {"text": "two"}, "kind": "word"}' in asked["facts"]
    assert desk.swarm("approve", asked["approval"]).returncode == 0
    ended = desk.until_idle()
    assert desk.phase("own") == "healthy"
    assert desk.git("show", f"main:{GOLDEN}") + "\n" == said("two")
    assert any(f"approved:golden:{asked['approval']}" in row["flags"] for row in ended.of("report_signed"))


@pytest.mark.slow
def test_an_accepted_golden_survives_kills_on_its_way_to_main(make_desk: MakeDesk) -> None:
    desk = night(make_desk)
    first = desk.start()
    first.event("canary_judged")
    assert desk.swarm("golden", "accept", waiting(desk)["id"]).returncode == 0
    first.event("golden_accepted")
    first.kill()
    second = desk.start()
    second.when(lambda row: row["kind"] in ("trial_started", "change_landed", "canary_started"), "a step of its way")
    second.kill()
    ended = desk.until_idle()
    assert ended.summary["health"] == "green"
    trailers = desk.git("log", "--format=%(trailers:key=Golden,valueonly)", "main").split("\n")
    assert len([row for row in trailers if row]) == 1
    assert desk.git("show", f"main:{GOLDEN}") + "\n" == said("one")
