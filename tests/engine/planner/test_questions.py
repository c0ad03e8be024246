"""Which questions the planner asks people, which it lets go, and what follows from their answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from engine.actions import CheckChange, Record, StartRun
from engine.fold import apply
from engine.models.event import Event, NewEvent
from engine.models.roadmap import WorkOrder
from engine.models.settings import AgentSettings, Dependencies, Guards, Limits, Settings
from engine.planner import MAX_QUESTIONS, plan
from engine.state import Approval, State

LIMITS = Limits(attempts=1, cost_per_night=10.0, tokens_per_work_order=1_000)
SETTINGS = Settings(
    roles={"implementer": "a"},
    limits=LIMITS,
    agents={"a": AgentSettings(kind="command", run=["x"], network=["api.example.com"])},
    guards=Guards(dependencies=Dependencies(allow=["reqwest"])),
)
RULE = {"rule": "dependencies", "reason": "reqwset 1.0 is a new package", "paths": ["Cargo.lock"], "ask": "dependency"}


@dataclass
class Night:
    """A state that is told what happened, and written to by the planner alone."""

    settings: Settings = SETTINGS
    orders: tuple[str, ...] = ("one",)
    state: State = field(default_factory=State)
    events: list[Event] = field(default_factory=list)
    now: float = 1_000.0

    def __post_init__(self) -> None:
        self.tell("repository_opened", commit="c", tree="t", repository="r", branch="main")
        self.tell("engine_started", epoch=1, version="0", pid=1)
        self.tell("settings_read", policy="p", settings="s", bootstrap=False)
        specs = [WorkOrder(id=ident, title="t").model_dump(mode="json", by_alias=True) for ident in self.orders]
        self.tell("roadmap_read", count=1, orders=specs, gone=[], items=[])

    def tell(self, kind: str, order: str = "", run: str = "", **fields: Any) -> None:
        event = Event(len(self.events) + 1, self.now, kind, order, run, dict(NewEvent(kind, fields).fields))
        self.events.append(event)
        assert apply(self.state, event) is None

    def plan(self) -> list[Any]:
        """The actions once every decision is written down."""
        for _ in range(20):
            made = plan(self.state, self.settings, self.now)
            records = [action for action in made.actions if isinstance(action, Record)]
            if not records:
                return list(made.actions)
            for record in records:
                self.tell(record.kind, record.work_order, **record.fields)
        raise AssertionError("the planner never comes to rest")

    def starts(self) -> list[str]:
        """The orders whose attempt is wanted now."""
        return [action.order for action in self.plan() if isinstance(action, StartRun)]

    def run(self, order: str = "one", *, tokens: int = 0, cost: float = 0.0, hosts: tuple[str, ...] = ()) -> None:
        """An attempt of this order that comes to nothing."""
        self.begin(order)
        if tokens or cost:
            self.tell("budget_spent", order, tokens=tokens, cost=cost, agent="a", role="implementer")
        if hosts:
            self.tell("guardrail_denied", order, rule="network", reason="r", hosts=list(hosts))
        self.end(order, "failed")
        self.tell("change_rejected", order, change="", reasons=["it failed"])

    def begin(self, order: str) -> None:
        runs = {action.order: action.run for action in self.plan() if isinstance(action, StartRun)}
        self.tell("run_started", order, runs[order], attempt=1, role="implementer", agent="a", base="c")

    def end(self, order: str, result: str) -> None:
        told = {"result": result, "counted": True, "reason": "", "kept": "k", "exit_code": 0, "duration_s": 1.0}
        self.tell("run_finished", order, **told)

    def denied(self, order: str = "one", *rules: dict[str, Any], asks: tuple[str, ...] = ()) -> None:
        """An attempt whose change guards deny."""
        self.begin(order)
        self.end(order, "done")
        change = f"agent/{order}/{self.state.orders[order].runs}-x"
        told = {"base": "c", "head": "h", "tree": "x", "paths": ["p"], "summary": "", "agent": "a", "asks": list(asks)}
        self.tell("change_proposed", order, change=change, **told)
        self.tell("change_verifying", order, change=change)
        for rule in rules or (RULE,):
            self.tell("guardrail_denied", order, change=change, **rule)
        reasons = [rule["reason"] for rule in rules or (RULE,)]
        self.tell("change_rejected", order, change=change, reasons=reasons)

    def answer(self, approval: Approval, answer: str, **fields: Any) -> None:
        self.tell("approval_answered", approval.order, approval=approval.id, answer=answer, by="a person", **fields)

    def pending(self) -> list[Approval]:
        return [one for one in self.state.approvals.values() if one.status == "pending"]

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [event.fields for event in self.events if event.kind == kind]

    @property
    def one(self) -> Any:
        return self.state.orders["one"]


def attempts(count: int) -> Settings:
    return SETTINGS.model_copy(update={"limits": LIMITS.model_copy(update={"attempts": count})})


# -- what guards denied --------------------------------------------------------------------------------------------


def test_a_change_that_guards_denied_is_asked_about_once_its_attempts_are_spent() -> None:
    night = Night()
    night.denied()
    night.plan()
    (asked,) = night.pending()
    assert (asked.danger, asked.subject, night.one.phase, night.one.approval) == (
        "dependency", night.one.change, "parked", asked.id,
    )  # fmt: skip
    assert any("reqwset 1.0 is a new package" in fact for fact in asked.facts)
    assert any("could be taken for reqwest" in warning for warning in asked.warnings)


def test_a_yes_has_that_very_change_looked_at_again_and_a_no_ends_it() -> None:
    night = Night()
    night.denied()
    night.plan()
    (asked,) = night.pending()
    night.answer(asked, "approved")
    checks = [action for action in night.plan() if isinstance(action, CheckChange)]
    assert [check.change for check in checks] == [night.one.change]
    assert set(night.state.changes[night.one.change].waivers.values()) == {asked.id}
    assert (night.one.phase, asked.status) == ("proposed", "used")
    refused = Night()
    refused.denied()
    refused.plan()
    refused.answer(refused.pending()[0], "denied", why="too large")
    assert not [action for action in refused.plan() if isinstance(action, CheckChange)]
    assert refused.one.phase == "parked"
    assert "too large" in refused.one.why
    assert "swarm retry one" in refused.one.do


def test_while_attempts_are_left_a_person_is_asked_only_if_the_agent_wants_it() -> None:
    silent, wanting = Night(attempts(2)), Night(attempts(2))
    silent.denied()
    wanting.denied(asks=("New-Dependency",))
    assert silent.starts() == ["one"]
    assert silent.pending() == []
    wanting.plan()
    (asked,) = wanting.pending()
    wanting.answer(asked, "denied", why="use the standard library")
    assert wanting.starts() == ["one"]
    assert any("use the standard library" in line for line in wanting.one.feedback)


def test_what_nobody_may_allow_is_not_asked_about_even_beside_what_a_person_may() -> None:
    night = Night()
    night.denied("one", RULE, {"rule": "secrets", "reason": "a key in a.py", "paths": ["a.py"], "ask": ""})
    night.plan()
    assert night.pending() == []
    assert night.one.phase == "parked"


def test_a_later_failed_attempt_is_not_taken_for_the_denied_change() -> None:
    night = Night(attempts(2))
    night.denied()
    night.run()
    night.plan()
    assert night.pending() == []


# -- hosts ---------------------------------------------------------------------------------------------------------


def test_the_same_host_wanted_by_several_orders_is_one_question_whose_answer_applies_to_each() -> None:
    night = Night(attempts(3), ("one", "two"))
    night.run("one", hosts=("packages.example:443",))
    night.run("two", hosts=("packages.example:443",))
    night.plan()
    (asked,) = night.pending()
    assert (asked.danger, sorted(asked.askers)) == ("network", ["one", "two"])
    night.answer(asked, "approved")
    assert night.state.orders["one"].hosts == night.state.orders["two"].hosts == ["packages.example:443"]
    night.run("one", hosts=("packages.example:443", "evil.example:443"))
    night.plan()
    assert [one.operation["host"] for one in night.pending()] == ["evil.example:443"]


def test_a_denied_host_is_not_asked_for_again_and_the_order_goes_on_without() -> None:
    night = Night(attempts(3))
    night.run(hosts=("packages.example:443",))
    night.plan()
    night.answer(night.pending()[0], "denied")
    night.run(hosts=("packages.example:443",))
    assert night.starts() == ["one"]
    assert night.pending() == []
    assert night.one.hosts == []


def test_a_host_that_looks_like_an_allowed_one_is_asked_for_with_a_warning() -> None:
    night = Night(attempts(3))
    night.run(hosts=("apі.example.com:443", "api.examp1e.com:443"))
    night.plan()
    assert all(asked.warnings for asked in night.pending())
    assert len(night.pending()) == 2
    honest = Night(attempts(3))
    honest.run(hosts=("packages.example:443",))
    honest.plan()
    assert honest.pending()[0].warnings == []


def test_an_order_asks_for_a_few_hosts_and_not_for_a_flood_of_them() -> None:
    night = Night(attempts(3))
    night.run(hosts=tuple(f"h{n}.example:443" for n in range(50)))
    night.plan()
    assert len(night.of("approval_asked")) == MAX_QUESTIONS


def test_a_question_about_a_host_is_let_go_when_its_order_is_over() -> None:
    night = Night(attempts(3))
    night.run(hosts=("packages.example:443",))
    night.plan()
    night.tell("work_order_cancelled", "one", by="a person")
    night.plan()
    assert night.pending() == []


# -- budgets -------------------------------------------------------------------------------------------------------


def test_when_the_night_has_spent_its_budget_a_person_is_asked_for_as_much_again() -> None:
    night = Night(attempts(9))
    night.run(cost=10.0)
    assert night.starts() == []
    (asked,) = night.pending()
    assert (asked.danger, asked.order, asked.operation["more"]) == ("over_budget", "", 10.0)
    night.answer(asked, "approved")
    assert night.starts() == ["one"]
    night.run(cost=10.0)
    assert night.starts() == []
    (second,) = night.pending()
    assert second.id != asked.id
    night.answer(second, "denied")
    assert night.starts() == []
    assert night.pending() == []


def test_nobody_is_asked_for_money_when_there_is_nothing_left_to_do() -> None:
    night = Night()
    night.run(cost=10.0)
    night.plan()
    assert night.pending() == []


def test_when_an_order_has_spent_its_tokens_it_waits_for_a_person() -> None:
    night = Night(attempts(9))
    night.run(tokens=1_000)
    assert night.starts() == []
    (asked,) = night.pending()
    assert (night.one.phase, night.one.approval) == ("parked", asked.id)
    night.answer(asked, "approved")
    assert night.starts() == ["one"]
    night.run(tokens=1_000)
    assert night.starts() == []
    (second,) = night.pending()
    night.answer(second, "denied", why="enough")
    night.plan()
    assert (night.one.phase, night.one.approval) == ("parked", "")
    assert "enough" in night.one.why


# -- answers -------------------------------------------------------------------------------------------------------


def asked_operation(night: Night, nth: int) -> Approval:
    night.begin("one")
    night.end("one", "asked")
    operation = {"argv": ["rm", str(nth)], "cwd": ".", "env": {}, "why": "", "danger": "deletion"}
    ident = f"ap-{nth}"
    told = {"danger": "d", "title": "t", "why": "", "operation": operation, "hash": f"h{nth}", "tree": "x", "base": "c"}
    night.tell("approval_asked", "one", approval=ident, expires_at=night.now + 99, subject="one.1", **told)
    night.tell("work_order_parked", "one", why="asks", do="approve", approval=ident)
    return night.state.approvals[ident]


def test_after_three_answers_no_the_order_waits_for_a_fresh_start() -> None:
    night = Night()
    for nth in range(3):
        night.answer(asked_operation(night, nth), "denied")
        night.plan()
    assert night.one.phase == "parked"
    assert "said no to 3" in night.one.why
    assert [f["rule"] for f in night.of("guardrail_denied")] == ["approval-denied"]
    assert night.starts() == []
    night.tell("work_order_ready", "one", fresh=True, by="a person")
    night.answer(asked_operation(night, 9), "denied")
    assert night.starts() == ["one"]


def test_answers_yes_do_not_count_against_it() -> None:
    night = Night()
    for nth in range(3):
        night.answer(asked_operation(night, nth), "approved")
        assert night.starts() == ["one"]
    assert night.of("guardrail_denied") == []


def test_an_answer_to_something_else_changes_nothing() -> None:
    night = Night()
    asked = asked_operation(night, 0)
    night.answer(asked, "approved", hash="another")
    assert asked.status == "pending"
    night.answer(asked, "approved", hash=asked.hash)
    assert asked.status == "approved"
