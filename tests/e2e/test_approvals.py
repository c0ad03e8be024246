"""Dangerous operations: asked once, answered by a person at any time, done once, and never without an answer."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from command_line import SETTINGS, Desk, Ended, one_sentence, order, until
from conftest import MakeDesk

ASKS = order("deploy", "write a.txt before", "ask python3 -c print(7,file=open('ran.txt','a'))", "answer answer.json")


def asked(desk: Desk) -> tuple[Ended, str]:
    """A night that ends with the question of the order `deploy`; the approval's id."""
    ended = desk.until_idle()
    assert ended.code == 4
    assert len(ended.summary["approvals"]) == 1
    return ended, ended.summary["approvals"][0]["id"]


def lasting(desk: Desk, path: str) -> str:
    return desk.git("show", f"main:{path}")


@pytest.mark.slow
def test_an_order_that_asks_is_parked_and_shown(make_desk: MakeDesk) -> None:
    desk = make_desk(ASKS, order("other", "write b.txt hello"))
    ended, ident = asked(desk)
    assert ended.summary["work_orders"] == {"parked": 1, "healthy": 1}
    assert not desk.has("ran.txt")
    shown = desk.swarm("status").stdout
    assert ident in shown
    assert f"swarm approve {ident}" in shown
    assert "python3 -c" in shown
    assert desk.until_idle().code == 4


@pytest.mark.slow
def test_a_yes_given_while_no_engine_runs_is_carried_out_once_by_the_next(make_desk: MakeDesk) -> None:
    desk = make_desk(ASKS)
    _, ident = asked(desk)
    assert "next engine" in desk.swarm("approve", ident).stdout
    again = desk.swarm("deny", ident)
    one_sentence(again, ident, "has its answer already")
    assert again.returncode == 2
    ended = desk.until_idle()
    assert ended.code == 0
    assert lasting(desk, "a.txt") == "before"
    assert lasting(desk, "ran.txt") == "7"
    assert json.loads(lasting(desk, "answer.json")) == [["approved", 0]]
    assert [one["answer"] for one in ended.of("approval_answered")] == ["approved"]
    late = desk.swarm("approve", ident)
    one_sentence(late, ident, "answered already")
    assert late.returncode == 2
    assert desk.until_idle().code == 0
    assert lasting(desk, "ran.txt") == "7"


@pytest.mark.slow
def test_a_no_reaches_the_agent_with_its_reason_and_nothing_is_done(make_desk: MakeDesk) -> None:
    desk = make_desk(ASKS)
    _, ident = asked(desk)
    assert desk.swarm("deny", ident, "--why", "not on a Friday").returncode == 0
    assert desk.until_idle().code == 0
    assert json.loads(lasting(desk, "answer.json")) == [["denied", None]]
    assert not desk.has("ran.txt")
    task = json.loads((desk.state / "runs" / "deploy.2" / "side" / "task.json").read_text(encoding="utf-8"))
    assert task["granted"][0]["why"] == "not on a Friday"
    assert "not on a Friday" in task["prompt"]


@pytest.mark.slow
def test_a_running_engine_takes_the_answer_and_goes_on(make_desk: MakeDesk) -> None:
    desk = make_desk(ASKS)
    night = desk.start()
    ident = night.event("approval_asked")["approval"]
    wrong = desk.swarm("approve", "ap-0000000000")
    one_sentence(wrong, "ap-0000000000", ident)
    assert wrong.returncode == 2
    assert "approved" in desk.swarm("approve", ident).stdout
    night.event("work_order_healthy", work_order="deploy")
    assert desk.swarm("stop").returncode == 0
    assert night.end().code == 0
    assert lasting(desk, "ran.txt") == "7"


@pytest.mark.slow
def test_an_unknown_id_is_refused_without_an_engine_too(make_desk: MakeDesk) -> None:
    desk = make_desk()
    assert desk.until_idle().code == 0
    for command in ("approve", "deny"):
        done = desk.swarm(command, "ap-0000000000")
        one_sentence(done, "ap-0000000000", "none")
        assert done.returncode == 2


@pytest.mark.slow
def test_a_question_that_nobody_answers_expires_and_can_be_asked_again(make_desk: MakeDesk) -> None:
    desk = make_desk(ASKS, settings=SETTINGS + '[approvals]\nexpire = "300ms"\n')
    first = desk.until_idle()
    ident = first.of("approval_asked")[0]["approval"]
    until(lambda: time.time() > first.of("approval_asked")[0]["expires_at"], "its end")
    ended = desk.until_idle()
    assert ended.code == 4
    parked = ended.summary["orders"][0]
    assert "nobody answered in time" in parked["why"]
    assert "swarm retry deploy" in parked["do"]
    assert ended.summary["approvals"] == []
    late = desk.swarm("approve", ident)
    one_sentence(late, "expired", "swarm retry deploy")
    assert late.returncode == 2
    desk.write("swarm.toml", SETTINGS)
    desk.commit("More time")
    assert desk.swarm("retry", "deploy").returncode == 0
    _, again = asked(desk)
    assert desk.swarm("approve", again).returncode == 0
    assert desk.until_idle().code == 0
    assert lasting(desk, "ran.txt") == "7"


@pytest.mark.slow
def test_settings_may_deny_everything_while_nobody_is_there(make_desk: MakeDesk) -> None:
    desk = make_desk(ASKS, settings=SETTINGS + '[approvals]\nunattended = "deny"\n')
    ended = desk.until_idle()
    assert ended.code == 0
    answer: dict[str, Any] = ended.of("approval_answered")[0]
    assert (answer["answer"], "unattended" in answer["by"]) == ("denied", True)
    assert json.loads(lasting(desk, "answer.json")) == [["denied", None]]
    assert not desk.has("ran.txt")


@pytest.mark.slow
def test_without_merge_auto_every_change_waits_for_a_person(make_desk: MakeDesk) -> None:
    desk = make_desk(order("one", "write a.txt hello"), settings=SETTINGS + "[merge]\nauto = false\n")
    ended, ident = asked(desk)
    assert ended.summary["landed"] == 0
    assert desk.swarm("approve", ident).returncode == 0
    assert desk.until_idle().code == 0
    assert desk.has("a.txt")
    assert desk.swarm("verify", "HEAD").returncode == 0


@pytest.mark.slow
def test_a_denied_landing_goes_back_to_its_agent_with_the_reason(make_desk: MakeDesk) -> None:
    desk = make_desk(order("one", "write a.txt hello"), settings=SETTINGS + "[merge]\nauto = false\n")
    _, ident = asked(desk)
    assert desk.swarm("deny", ident, "--why", "call it b.txt").returncode == 0
    ended, _ = asked(desk)
    assert ended.of("change_rejected")[0]["reasons"] == ["a person denied its landing: call it b.txt"]
    task = json.loads((desk.state / "runs" / "one.2" / "side" / "task.json").read_text(encoding="utf-8"))
    assert "call it b.txt" in task["prompt"]
