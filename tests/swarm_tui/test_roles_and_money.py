"""Roles, providers, budgets, proposals and handoffs in the room: what a person sees of them."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from told_night import BASE, ORDER, Told, looking, told_night, until

from engine.artifacts import ArtifactStore
from engine.models.event import NewEvent
from engine.state import State
from swarm_tui.app import Leaving, RoomApp
from swarm_tui.room import words
from swarm_tui.room.handoff_facts import handoff_facts
from swarm_tui.room.spending_facts import night_budgets, order_budgets, paused_providers
from swarm_tui.screens.inbox import InboxScreen
from swarm_tui.screens.order import OrderScreen
from swarm_tui.widgets.agents import AgentsPane
from swarm_tui.widgets.head import Head
from swarm_tui.widgets.header import parts_of
from swarm_tui.widgets.prose import Prose
from swarm_tui.widgets.rows import Rows
from tests.conftest import MakeRepo

SETTINGS = {
    "policy": "p", "settings": "s", "bootstrap": False, "cost_per_night": 40.0,
    "providers": {"implementer": ["cloud"], "coordinator": ["here"]},
    "budgets": {"night.tokens": 10_000.0, "role.coordinator.cost": 2.0, "work_order.cost": 5.0},
}  # fmt: skip
PLAN = {"id": "plan", "title": "Plan it", "role": "coordinator"}
KEYS = {"id": "keys", "title": "Keys", "goal": "They go on."}


@pytest.fixture
def told(tmp_path: Path, git_repo: MakeRepo) -> Told:
    """Orders that could begin: `base` of an implementer, `plan` of a coordinator. `one` waits for `base`."""
    repo = git_repo({"src/a.py": "print('old')\n"})
    told = told_night(tmp_path, repo, ({**ORDER, "depends_on": ["base"]}, BASE, PLAN))
    told.writer.write(NewEvent("settings_read", SETTINGS))
    for order in ("base", "plan", "one"):
        told.write("work_order_ready", order=order)
    return told


def pauses(told: Told, ahead_s: float = 3_600.0, **fields: Any) -> None:
    said = {"agent": "demo", "provider": "cloud", "until": time.time() + ahead_s, "reason": "429", **fields}
    told.writer.write(NewEvent("provider_paused", said))


def drawn(rows: Rows) -> str:
    return "\n".join(" ".join(cell.text for cell in rows._draw(key)) for key in rows.keys)  # pyright: ignore[reportPrivateUsage]


async def opened(app: RoomApp, pilot: Pilot[Leaving], order: str) -> OrderScreen:
    app.action_open_order(order)
    await until(pilot, lambda: isinstance(app.screen, OrderScreen) and app.screen.is_mounted)
    assert isinstance(app.screen, OrderScreen)
    screen = app.screen
    await until(pilot, lambda: bool(screen.query_one(Head).text))
    return screen


async def test_a_paused_provider_says_until_when_and_how_many_wait(told: Told) -> None:
    async with looking(told, (120, 40)) as (app, pilot):
        roadmap = app.screen.query_one("#roadmap-rows", Rows)
        assert paused_providers(app.room.state) == {}
        assert "at limit" not in drawn(roadmap)
        pauses(told)
        await until(pilot, lambda: bool(paused_providers(app.room.state)))
        clock = time.strftime("%H:%M", time.localtime(app.room.state.spending.providers["cloud"].until))
        # `one` waits for `base`, and `plan` is of another provider.
        assert paused_providers(app.room.state) == {"cloud": ["base"]}
        assert f"‖ cloud until {clock}, 1 waits" in [text for _, text, _ in parts_of(app.room)]
        agents = app.screen.query_one(AgentsPane)
        await until(pilot, lambda: f"‖ cloud until {clock}: 1 waiting" in str(agents.border_subtitle))
        await until(pilot, lambda: "base ‖ at limit" in drawn(roadmap))
        assert "plan ○ ready" in drawn(roadmap)
        head = (await opened(app, pilot, "base")).query_one(Head)
        assert f"waits for cloud, whose limit is reached, until {clock}" in head.text
        told.writer.write(NewEvent("provider_resumed", {"provider": "cloud"}))
        await until(pilot, lambda: paused_providers(app.room.state) == {})


async def test_one_that_a_person_resumes_says_so(told: Told) -> None:
    pauses(told, asks=True)
    async with looking(told) as (app, _):
        assert "‖ cloud until you resume it, 1 waits" in [text for _, text, _ in parts_of(app.room)]


def test_a_reset_on_another_day_has_its_date() -> None:
    now = time.mktime((2026, 11, 23, 22, 0, 0, 0, 0, -1))
    assert words.moment(now + 5 * 3_600, now) == "03:00"
    assert words.moment(now + 5 * 86_400, now) == "28 Nov 22:00"


async def test_each_run_shows_its_role_and_agent_and_a_stuck_one_that_it_is(told: Told) -> None:
    told.write("run_started", "plan.1", "plan", attempt=1, role="coordinator", agent="thinker", base=told.base)
    told.run_starts()
    told.run_ends(result="idle", reason="the agent was stuck and was stopped; the same tool call 12 times", kept="")
    async with looking(told) as (app, pilot):
        rows = app.screen.query_one("#agents-rows", Rows)
        await until(pilot, lambda: "plan.1" in rows.keys)
        said = drawn(rows)
        assert "plan ▶ running coordinator thinker" in said
        assert "one ↻ stuck implementer demo the agent was stuck and was stopped; the same tool call 12 times" in said


def test_one_that_was_silent_is_not_called_stuck() -> None:
    assert words.run_sign("idle", "the agent did nothing for too long and was stopped").word == "idle"
    assert words.run_sign("idle", "the agent did nothing for too long; it wrote: I am stuck").word == "idle"


async def test_budgets_say_what_is_used_and_how_many_runs_are_unknown(told: Told) -> None:
    told.write("run_started", "plan.1", "plan", attempt=1, role="coordinator", agent="thinker", base=told.base)
    told.write("budget_spent", "plan.1", "plan", tokens=0, cost=0.5, agent="thinker", role="coordinator",
               tokens_known=False)  # fmt: skip
    told.write("run_finished", "plan.1", "plan", result="done", counted=True, reason="", kept="", exit_code=0,
               duration_s=1.0)  # fmt: skip
    told.run_starts()
    told.run_ends()
    async with looking(told) as (app, pilot):
        rows = [(row.name, row.dimension, row.used_words, row.most_words) for row in night_budgets(app.room.state)]
        assert rows == [
            ("night", "cost", "1.00", "40.00"),
            ("night", "tokens", "≥ 1.2k, 1 run unknown", "10.0k"),
            ("coordinator", "cost", "0.50", "2.00"),
        ]
        assert [(row.dimension, row.used_words) for row in order_budgets(app.room.state, "one")] == [("cost", "0.50")]
        spec = (await opened(app, pilot, "one")).query_one("#order-spec", Prose)
        assert "may spend   0.50 of 5.00 cost" in spec.text


def proposes(told: Told) -> None:
    because = {"order": KEYS, "because": "plan proposes it", "proposed": "plan"}
    asked = {"approval": "ap-1", "danger": "proposal", "title": "take on keys", "why": "plan proposes it",
             "subject": "keys", "operation": {"argv": ["take", "keys"], "order": KEYS}, "facts": ["title: Keys"],
             "hash": "e" * 64, "expires_at": time.time() + 3_600}  # fmt: skip
    told.writer.write(NewEvent("work_order_added", because, work_order="keys"),
                      NewEvent("approval_asked", asked, work_order="keys"))  # fmt: skip


async def test_a_proposal_stands_out_and_says_how_it_is_taken_on(told: Told) -> None:
    proposes(told)
    async with looking(told) as (app, pilot):
        assert "keys + proposal proposed by plan: take it on or not (a)" in drawn(
            app.screen.query_one("#roadmap-rows", Rows)
        )
        screen = await opened(app, pilot, "keys")
        assert "plan proposes it; nothing is done for it yet" in screen.query_one(Head).text
        assert "swarm approve ap-1 takes it on" in screen.query_one(Head).text
        assert "written by  plan, which proposed it" in screen.query_one("#order-spec", Prose).text
        app.go_back()
        await pilot.press("a")
        await until(pilot, lambda: isinstance(app.screen, InboxScreen) and app.screen.is_mounted)
        assert "+ proposal take on keys" in drawn(app.screen.query_one("#inbox-rows", Rows))


async def test_a_contract_is_read_on_its_order_and_named_on_those_that_it_holds(told: Told) -> None:
    contract = {
        "summary": "Pure. \x1b[2J", "interfaces": ["find(word)"], "module_map": {"finding": "src/find.py"},
        "forbidden_imports": [{"from": "finding", "may_not": "painting"}], "risk": "none",
    }  # fmt: skip
    digest = ArtifactStore(told.folders.artifacts).put_json(contract)
    told.write("run_started", "base.1", "base", attempt=1, role="architect", agent="thinker", base=told.base)
    told.write("handoff_received", "base.1", "base", role="architect", digest=digest, summary="Pure.")
    async with looking(told) as (app, pilot):
        spec = (await opened(app, pilot, "base")).query_one("#order-spec", Prose)
        await until(pilot, lambda: "finding may not depend on painting" in spec.text)
        for said in ("Handed in with base.1, by thinker as architect", "Pure. ␛[2J", "find(word)", "src/find.py",
                     "risk        none"):  # fmt: skip
            assert said in spec.text


async def test_a_handoff_that_cannot_be_read_leaves_the_rest(told: Told) -> None:
    told.write("run_started", "base.1", "base", attempt=1, role="architect", agent="thinker", base=told.base)
    told.write("handoff_received", "base.1", "base", role="architect", digest="sha256:" + "0" * 64, summary="Pure.")
    async with looking(told) as (app, pilot):
        spec = (await opened(app, pilot, "base")).query_one("#order-spec", Prose)
        await until(pilot, lambda: "Terms" in spec.text)
        assert "Handed in" not in spec.text


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"orders": [{"id": "keys", "title": "Keys"}], "why": "in two"}, ["not added", "keys  Keys", "in two"]),
        ({"tests": [{"id": "t.T.test", "why": "it was wrong"}]}, ["t.T.test", "it was wrong"]),
        ({"title": "One cause", "suspects": ["a"], "probability": 0.5}, ["One cause", "· a", "0.5"]),
        ({"abort": "cannot be"}, ["Gave it back", "cannot be"]),
    ],
)
def test_handoffs_of_every_role_are_readable(table: dict[str, Any], said: list[str]) -> None:
    text = "\n".join("".join(span.text for span in each.spans) for each in handoff_facts(table, State()))
    assert all(each in text for each in said), text


def test_a_handoff_of_odd_shapes_is_shown_all_the_same() -> None:
    odd = {"orders": "none", "tests": [7], "module_map": [], "forbidden_imports": [{}], "interfaces": {"a": 1}}
    assert handoff_facts(odd, State())
    assert handoff_facts({}, State()) == []
    many = handoff_facts({"tests": [{"id": f"t{number}"} for number in range(500)]}, State())
    assert "… and 300 more" in "".join(span.text for span in many[-1].spans)
