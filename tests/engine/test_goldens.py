"""Goldens in the state and the plan: shown, decided, brought to main, and never back once they are rejected."""

from __future__ import annotations

from typing import Any

import pytest

from engine.actions import Land, ProposeGolden, StartRun
from engine.commands import find_golden
from engine.errors import UserError
from engine.fold import apply
from engine.golden_state import Golden, golden_id, pending
from engine.goldens import carried, find_pending, returning, taken_back
from engine.models.event import Event
from engine.models.events import EVENTS
from engine.models.flow import Flow
from engine.models.settings import Canary, Settings
from engine.planner import plan
from engine.snapshot import dump_state, load_state
from engine.state import State
from engine.status import status_of

NOW = 1_800_000_000.0
PATH, DIGEST, OTHER = "canary/golden/nav.jsonl", f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
FLOW = Flow.model_validate({"name": "nav", "start": {"run": ["nav"]}, "judge": {"golden": PATH}})
SETTINGS = Settings(roles={"implementer": "a"}).model_copy(update={"canary": Canary(flow=[FLOW])})
IDENT = golden_id(PATH, DIGEST)


class Night:
    """A state that events are told to. It begins with main at `c0`, gated green."""

    def __init__(self) -> None:
        self.state = State()
        self.tell("repository_opened", commit="c0", tree="t0", repository="c0", branch="main")
        self.tell("settings_read", policy="p", settings="s", bootstrap=False, flows=1)
        self.report("t0", "t0")

    def tell(self, kind: str, order: str = "", /, **fields: Any) -> str | None:
        EVENTS[kind].model_validate(fields)
        event = Event(self.state.seq + 1, NOW + self.state.seq, kind, order, "", fields)
        return apply(self.state, event)

    def report(self, tree: str, base: str, change: str = "", trial: str = "") -> None:
        self.tell(
            "report_signed", report_kind="land" if change else "gates", result="green", report=f"sha256:{tree}",
            tree=tree, base=base, base_commit=self.state.main, policy="p", change=change, reasons=[], trial=trial,
        )  # fmt: skip

    def canary(self, commit: str, verdict: str, digest: str = DIGEST, *, was: str = "", purpose: str = "first") -> None:
        proposed = [{"name": "golden", "path": PATH, "keyed": "canary/golden/nav.linux.jsonl", "digest": digest,
                     "was": was, "difference": ""}]  # fmt: skip
        row = {"flow": "nav", "verdict": verdict, "reason": "it differs"}
        self.tell("canary_started", commit=commit, about=commit, purpose=purpose)
        self.tell(
            "canary_finished", commit=commit, about=commit, purpose=purpose, verdict=verdict, reason="it differs",
            flow="nav", flows=[row if verdict == "PASS" else {**row, "proposed": proposed}],
        )  # fmt: skip

    def judged(self, commit: str, verdict: str) -> None:
        self.tell("canary_judged", commit=commit, verdict=verdict, reason="", flaky=False, flow="nav")

    def accept(self, path: str = PATH) -> None:
        self.tell("golden_accepted", golden=IDENT, path=path, digest=DIGEST, by="ada")

    def proposed(self, change: str = "golden/one", of: str = "", order: str = "") -> str | None:
        fields = {"golden": IDENT, "change": change, "base": self.state.main, "head": "h", "tree": "t9"}
        return self.tell("golden_proposed", order, **fields, paths=[PATH], of=of)

    def landed(self, change: str, commit: str, tree: str, order: str = "") -> None:
        fields = {"change": change, "commit": commit, "tree": tree, "report": f"sha256:{tree}"}
        self.tell("change_landed", order, **fields, parent=self.state.main, effect_id=f"land-{commit}")

    def order_lands(self, order: str, commit: str, tree: str) -> None:
        """A work order from its line on the roadmap to a landing."""
        raw = {"id": order, "title": order, "kind": "docs"}
        change = f"agent/{order}/1"
        self.tell("roadmap_read", count=1, orders=[raw], gone=[], items=[])
        self.tell("work_order_ready", order)
        self.tell("run_started", order, attempt=1, role="implementer", agent="a", base=self.state.main)
        ended = {"result": "done", "counted": True, "reason": "", "kept": "", "exit_code": 0, "duration_s": 1.0}
        self.tell("run_finished", order, **ended)
        what = {"base": self.state.main, "head": "h1", "tree": tree, "paths": ["a"], "summary": "…", "agent": "a"}
        self.tell("change_proposed", order, change=change, **what)
        self.tell("change_verifying", order, change=change)
        self.tell("change_queued", order, change=change, guards=[])
        self.report(tree, self.state.main_tree, change)
        self.landed(change, commit, tree, order)

    def taken_back(self) -> None:
        """`more` lands as `c1`, is red because of its golden, and main is put back."""
        self.canary("c0", "PASS")
        self.judged("c0", "PASS")
        self.order_lands("more", "c1", "t1")
        self.canary("c1", "FAIL", was=OTHER)
        self.judged("c1", "FAIL")
        self.tell("landing_frozen", reason="red", why="canary")
        moved = {"commit": "c2", "tree": "t0", "to": "c0", "red": "c1", "report": "sha256:r", "effect_id": "r"}
        self.tell("main_restored", **moved)

    def culprit(self) -> None:
        self.tell("culprit_found", "more", commit="c1", change="agent/more/1", range=["c1"], probability=1.0)
        self.tell("change_reverted", "more", change="agent/more/1", commit="c1", evidence=["it was red"])

    def bug(self) -> None:
        bug = {"id": "bug-more-1", "title": "Regression", "kind": "fix", "goal": "…"}
        self.tell("work_order_added", "bug-more-1", order=bug, because="canary", regression="c1")

    @property
    def one(self) -> Golden:
        return self.state.goldens[IDENT]

    def wanted(self, kind: type[Any]) -> list[Any]:
        return [each for each in plan(self.state, SETTINGS, NOW).actions if isinstance(each, kind)]

    def records(self, kind: str) -> list[Any]:
        return [each for each in plan(self.state, SETTINGS, NOW).actions if getattr(each, "kind", "") == kind]


@pytest.fixture
def night() -> Night:
    return Night()


def test_what_a_first_run_shows_waits_for_a_person_and_nothing_is_done(night: Night) -> None:
    night.canary("c0", "INCONCLUSIVE")
    assert [one.id for one in pending(night.state.goldens.values())] == [IDENT]
    assert (night.one.flow, night.one.commit, night.one.was, night.one.said) == ("nav", "c0", "", "it differs")
    assert night.wanted(ProposeGolden) == []
    assert carried(night.state) == {}
    told = status_of(night.state, NOW, running=True).goldens_pending
    assert [(row.id, row.path, row.new) for row in told] == [(IDENT, PATH, True)]


@pytest.mark.parametrize("purpose", ["control", "culprit", "compare"])
def test_runs_on_last_good_and_on_suspects_propose_nothing(night: Night, purpose: str) -> None:
    night.taken_back()
    night.state.goldens.clear()
    night.canary("c1", "FAIL", purpose=purpose)
    assert night.state.goldens == {}


def test_the_same_is_asked_once_and_something_else_replaces_it(night: Night) -> None:
    night.canary("c0", "INCONCLUSIVE")
    night.canary("c0", "INCONCLUSIVE", purpose="rerun")
    assert list(night.state.goldens) == [IDENT]
    night.canary("c0", "INCONCLUSIVE", OTHER)
    assert list(night.state.goldens) == [golden_id(PATH, OTHER)]


def test_what_was_rejected_does_not_come_back(night: Night) -> None:
    night.canary("c0", "INCONCLUSIVE")
    night.tell("golden_rejected", golden=IDENT, path=PATH, digest=DIGEST, by="ada", why="wrong")
    night.tell("engine_started", epoch=2, version="1", pid=1)
    night.canary("c0", "INCONCLUSIVE")
    assert (night.one.status, night.one.why) == ("rejected", "wrong")
    assert pending(night.state.goldens.values()) == []
    night.canary("c0", "INCONCLUSIVE", OTHER)
    assert [one.digest for one in pending(night.state.goldens.values())] == [OTHER]


def test_an_accepted_golden_is_proposed_alone_and_lands(night: Night) -> None:
    night.canary("c0", "INCONCLUSIVE")
    night.judged("c0", "INCONCLUSIVE")
    night.accept()
    assert carried(night.state) == {PATH: DIGEST}
    (action,) = night.wanted(ProposeGolden)
    assert (action.golden, action.of) == (IDENT, "")
    night.proposed()
    assert night.wanted(ProposeGolden) == []
    change = night.state.changes["golden/one"]
    assert (change.person, change.status, change.order) == (True, "queued", "")
    night.landed("golden/one", "c1", "t9")
    assert (night.one.status, night.one.landed) == ("landed", "c1")
    assert carried(night.state) == {}
    assert night.state.unproven == []
    assert night.state.publish_pending == ""


def test_a_golden_of_its_own_path_is_what_was_accepted(night: Night) -> None:
    night.canary("c0", "INCONCLUSIVE")
    night.accept("canary/golden/nav.linux.jsonl")
    assert carried(night.state) == {"canary/golden/nav.linux.jsonl": DIGEST}
    night.canary("c0", "INCONCLUSIVE")
    assert night.one.status == "accepted"


def test_a_golden_whose_change_the_gates_refuse_is_a_question_again(night: Night) -> None:
    night.canary("c0", "INCONCLUSIVE")
    night.accept()
    night.proposed()
    night.tell("change_rejected", change="golden/one", reasons=["a gate is red"])
    assert (night.one.status, night.one.why, night.one.change) == ("pending", "a gate is red", "")
    assert night.state.publish_pending == ""


def test_a_frozen_main_takes_the_golden_that_mends_it(night: Night) -> None:
    night.canary("c0", "FAIL", was=OTHER)
    night.judged("c0", "FAIL")
    night.tell("landing_frozen", reason="the canary is red", why="canary")
    night.accept()
    night.proposed()
    trial = {"trial": "k", "test": ["golden/one"], "assumed": [], "base": "t0", "tree": "t9"}
    night.tell("trial_started", **trial)
    night.report("t9", "t0", "golden/one", "k")
    assert [action.changes for action in night.wanted(Land)] == [("golden/one",)]


def test_the_golden_of_a_change_that_was_taken_back_returns_with_it(night: Night) -> None:
    night.taken_back()
    assert taken_back(night.state, "c1")
    night.accept()
    assert night.wanted(ProposeGolden) == []  # nobody knows yet who did it
    night.culprit()
    assert returning(night.state) == {"more": [night.one]}
    assert night.wanted(ProposeGolden) == []  # its bug order is being written
    night.bug()
    (cancelled,) = night.records("work_order_cancelled")
    assert cancelled.work_order == "bug-more-1"
    night.tell("work_order_cancelled", "bug-more-1", by="ada")
    (action,) = night.wanted(ProposeGolden)
    assert action.of == "agent/more/1"
    night.tell("work_order_ready", "more")
    assert night.wanted(StartRun) == []  # nobody begins anew what only has to land again
    assert night.proposed("agent/more/g", "agent/more/1", "more") is None
    order = night.state.orders["more"]
    assert (order.phase, order.change) == ("proposed", "agent/more/g")
    night.tell("change_verifying", "more", change="agent/more/g")
    night.tell("change_queued", "more", change="agent/more/g", guards=[])
    night.landed("agent/more/g", "c3", "t9", "more")
    assert (night.one.status, order.phase) == ("landed", "landed")


def test_a_change_returns_when_all_that_its_run_showed_is_accepted(night: Night) -> None:
    night.taken_back()
    shot = {"name": "shot:a", "path": "canary/golden/nav/a.png", "keyed": "", "digest": OTHER, "was": DIGEST}
    row = {"flow": "nav", "verdict": "FAIL", "reason": "it differs", "proposed": [shot]}
    run = {"commit": "c1", "about": "c1", "purpose": "rerun", "verdict": "FAIL", "reason": "", "flow": "nav"}
    night.tell("canary_finished", **run, flows=[row])
    night.culprit()
    night.bug()
    night.tell("work_order_cancelled", "bug-more-1", by="ada")
    night.accept()
    assert night.wanted(ProposeGolden) == []
    other = golden_id("canary/golden/nav/a.png", OTHER)
    decided = {"golden": other, "path": "canary/golden/nav/a.png", "digest": OTHER, "by": "ada"}
    seen = load_state(dump_state(night.state))
    night.tell("golden_accepted", **decided)
    (action,) = night.wanted(ProposeGolden)
    assert {action.golden, *action.also} == {IDENT, other}
    assert seen is not None
    night.state = seen
    night.tell("golden_rejected", **decided, why="a picture is wrong")
    assert night.wanted(ProposeGolden) == []


def test_a_golden_whose_change_is_put_aside_is_a_question_again_and_nothing_without_its_order(night: Night) -> None:
    night.taken_back()
    night.accept()
    night.culprit()
    night.bug()
    night.tell("work_order_cancelled", "bug-more-1", by="ada")
    assert night.proposed("agent/more/g", "agent/more/1", "more") is None
    assert carried(night.state) == {PATH: DIGEST}
    night.tell("work_order_parked", "more", why="nobody answered in time", do="swarm retry more")
    assert (night.one.status, night.one.change, night.one.why) == ("pending", "", "nobody answered in time")
    assert carried(night.state) == {}
    assert night.wanted(ProposeGolden) == []
    night.accept()
    (again,) = night.wanted(ProposeGolden)
    assert again.of == "agent/more/1"
    night.tell("work_order_cancelled", "more", by="ada")
    assert night.state.goldens == {}
    assert night.wanted(ProposeGolden) == []


def test_a_golden_of_its_own_that_waits_is_withdrawn_when_its_commit_is_taken_back(night: Night) -> None:
    night.canary("c0", "PASS")
    night.judged("c0", "PASS")
    night.order_lands("more", "c1", "t1")
    night.canary("c1", "FAIL", was=OTHER)
    night.accept()
    night.proposed()
    night.judged("c1", "FAIL")
    night.tell("landing_frozen", reason="red", why="canary")
    moved = {"commit": "c2", "tree": "t0", "to": "c0", "red": "c1", "report": "sha256:r", "effect_id": "r"}
    night.tell("main_restored", **moved)
    (record,) = night.records("change_rejected")
    night.tell("change_rejected", **record.fields)
    assert (night.one.status, night.one.change) == ("accepted", "")
    night.culprit()
    night.bug()
    night.tell("work_order_cancelled", "bug-more-1", by="ada")
    assert [action.of for action in night.wanted(ProposeGolden)] == ["agent/more/1"]


def test_a_green_canary_closes_what_nobody_has_to_decide_any_more(night: Night) -> None:
    night.canary("c0", "INCONCLUSIVE")
    night.judged("c0", "INCONCLUSIVE")
    night.order_lands("more", "c1", "t1")
    night.canary("c1", "PASS")
    night.judged("c1", "PASS")
    assert night.state.goldens == {}


def test_what_was_taken_back_waits_on_although_main_is_green(night: Night) -> None:
    night.taken_back()
    night.canary("c2", "PASS")
    night.judged("c2", "PASS")
    assert night.one.status == "pending"


def test_a_golden_that_is_lost_from_main_is_a_question_again(night: Night) -> None:
    night.canary("c0", "INCONCLUSIVE")
    night.accept()
    night.proposed()
    night.landed("golden/one", "c1", "t9")
    night.canary("c0", "INCONCLUSIVE")  # an older commit shows nothing new
    assert night.one.status == "landed"
    night.order_lands("more", "c2", "t2")
    night.canary("c2", "INCONCLUSIVE")
    assert night.one.status == "pending"


def test_decisions_are_about_what_waits_and_where_it_may_stand(night: Night) -> None:
    with pytest.raises(UserError, match="pending: none"):
        find_pending(night.state, "nav")
    night.canary("c0", "INCONCLUSIVE")
    for name in (IDENT, PATH, "nav", "canary/golden/nav.linux.jsonl"):
        assert find_pending(night.state, name).id == IDENT
    assert find_golden(night.state, {"golden": IDENT})[1] == PATH
    with pytest.raises(UserError, match="nowhere else"):
        find_golden(night.state, {"golden": IDENT, "path": "swarm.toml"})
    night.accept()
    with pytest.raises(UserError, match="accepted already"):
        find_pending(night.state, IDENT)


def test_snapshots_hold_goldens(night: Night) -> None:
    night.canary("c0", "INCONCLUSIVE")
    again = load_state(dump_state(night.state))
    assert again is not None
    assert again.goldens == night.state.goldens
