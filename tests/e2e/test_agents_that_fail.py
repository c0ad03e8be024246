"""Whatever an agent does, its order ends in a defined state, its files are kept, it is charged once, others go on."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from engine.effects import runs
from engine.errors import SwarmError
from engine.git.hub import Hub
from engine.git.workspaces import Workspace, Workspaces
from roles.agents.streams.limits import resets_at
from swarm_tui.compose import SystemClock
from tests.e2e.failing_night import COST, FailingNight
from tests.e2e.night import SETTINGS, Night
from tests.roles.agents.model_server import Cut, Model, Say, Step, model_server

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform == "win32", reason="links, sessions of processes")]

KINDS = ("acp", "command")


@dataclass(frozen=True)
class Morning:
    """How the order is found. result: of its run. words: what its end is told with, in either kind's words. charged:
    dollars, None where that is not its own word. kinds: of agents that can do it."""

    phase: str
    result: str
    words: tuple[str, ...] = ()
    charged: float | None = COST
    kinds: tuple[str, ...] = KINDS


NIGHT = {
    "crashes": Morning("parked", "failed", ("exit code 7",)),
    "hangs": Morning("parked", "idle", ("did nothing for too long",)),
    "floods": Morning("parked", "quota", ("it printed",)),
    "overspends": Morning("parked", "failed", ("it used a cost of 7.00 of 5.00",), 7.0),
    "prints-broken-json": Morning("parked", "failed", ("no message of the protocol",), kinds=("acp",)),
    "leaves-half-a-handoff": Morning("parked", "failed", ("not JSON",), 3 * COST, ("command",)),
    "hands-in-nonsense": Morning("parked", "failed", ("not valid: summary",), None),
    "claims-the-impossible": Morning("parked", "done", ("which nothing can use",), None),
    "loses-its-connection": Morning("parked", "failed", ("socket hang up", "exit code 1")),
    "daemonises-and-crashes": Morning("parked", "failed", ("exit code 9",)),
    "asks-for-a-folder-outside": Morning("parked", "failed", ("a folder outside the workspace",), kinds=("command",)),
    # The same that go on to their end:
    "asks-for-outside": Morning("healthy", "done", kinds=("acp",)),
    "never-asks": Morning("healthy", "done"),
    "daemonises": Morning("healthy", "done"),
    "prints-broken-json-and-is-honest": Morning("healthy", "done"),
    "hands-in-nothing": Morning("healthy", "done"),
    "good": Morning("healthy", "done"),
}
CASES = [(kind, order) for kind in KINDS for order, morning in NIGHT.items() if kind in morning.kinds]


class Clock:
    """The machine's, or ahead of it."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def now(self) -> float:
        return time.time() + self.ahead

    def be_past(self, moment: float) -> None:
        self.ahead = moment + 1 - time.time()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The engine's wall clock."""
    made = Clock()
    monkeypatch.setattr(SystemClock, "now", lambda _self: made.now())
    return made


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, FailingNight]]:
    """One night of each kind, played when it is asked for first."""
    played: dict[str, FailingNight] = Played(tmp_path_factory)
    yield played
    for night in played.values():
        assert night.agents() == []


class Played(dict[str, FailingNight]):
    def __init__(self, folders: pytest.TempPathFactory) -> None:
        super().__init__()
        self._folders = folders

    def __missing__(self, kind: str) -> FailingNight:
        orders = [order for order, morning in NIGHT.items() if kind in morning.kinds]
        agent = 'stream = "claude"' if kind == "command" else ""  # a reader of JSON
        limits = 'run_idle = "12s"\nimplementers = 4'
        night = FailingNight.of(
            self._folders.mktemp(kind), kind, *orders, limits=limits, agent=agent, more="[budgets.run]\ncost = 5.0\n"
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(runs, "LOG_RATE", 200_000)  # so that a slow machine sees a flood, too
            assert night.until_idle() == "idle"
        self[kind] = night
        return night


@pytest.mark.parametrize(("kind", "order"), CASES)
def test_an_order_ends_in_a_defined_state_with_its_files_and_one_charge(
    nights: dict[str, FailingNight], kind: str, order: str
) -> None:
    night, morning = nights[kind], NIGHT[order]
    why = night.why(order)
    assert night.phases()[order] == morning.phase, why
    (run,) = night.runs_of(order)
    assert run.fields["result"] == morning.result, why
    assert not morning.words or any(word in why for word in morning.words), why
    assert night.kept(order)[f"tiny/{order.replace('-', '_')}.py"]
    (charged,) = night.charged(order)
    assert charged == morning.charged if morning.charged is not None else charged < 5.0
    assert night.folded().orders[order].attempts == 1


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_of_any_of_them_and_the_night_is_sound(nights: dict[str, FailingNight], kind: str) -> None:
    night = nights[kind]
    night.assert_nobody_left()
    night.assert_once_at_a_time()
    night.assert_sound()
    assert night.outside.as_posix() in night.log("never-asks"), "it has tried"
    if night.guarantees["fs_write"]:
        assert (night.outside / "precious").read_text(encoding="utf-8") == "theirs"
        assert [path.name for path in night.outside.iterdir()] == ["precious"]
    total = sum(event.fields["cost"] for event in night.events("budget_spent"))
    assert night.folded().spending.night.cost == pytest.approx(total)


def test_outside_of_the_workspace_nothing_is_permitted_and_nothing_is_permitted_for_always(
    nights: dict[str, FailingNight],
) -> None:
    """By path, through a link, by a move, by a command's folder; the last request is for a file of its own."""
    said = nights["acp"].main_files()["tiny/asks_for_outside.py"]
    assert said == f"SAID = {['no'] * 6 + ['yes']}\nWRITTEN = ['error', 'id', 'jsonrpc']\n"
    assert "permission always" not in nights["acp"].log("*")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_dispatched_again_until_somebody_says_so(nights: dict[str, FailingNight], kind: str) -> None:
    night = nights[kind]
    before = night.started_runs()
    assert night.until_idle() == "idle"
    assert night.started_runs() == before
    night.swarm("retry", "crashes")
    assert night.until_idle() == "idle"
    assert night.started_runs() == [*before, "crashes.2"]
    assert night.phases()["crashes"] == "parked"
    assert night.charged("crashes") == [COST, COST]


REFUSALS = {
    "acp": "429 Too Many Requests: rate limit reached",
    "command": "API error 529: overloaded_error, the model is overloaded",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_refusal_of_the_provider_costs_no_attempt_and_its_order_goes_on_after_the_pause(
    tmp_path: Path, kind: str, clock: Clock
) -> None:
    night = FailingNight.of(tmp_path, kind, "limited")
    night.person_commits({"limit.txt": REFUSALS[kind]}, "Words")
    night.play(lambda event: clock.be_past(event.fields["until"]) if event.kind == "provider_paused" else None)
    assert night.phases() == {"limited": "healthy"}
    first, second = night.runs_of("limited")
    assert (first.fields["result"], first.fields["counted"], second.fields["result"]) == ("limit", False, "done")
    assert first.fields["kept"]
    assert night.folded().orders["limited"].attempts == 1
    assert night.charged("limited") == [COST, COST]
    assert len(night.events("provider_paused")) == len(night.events("provider_resumed")) == 1
    night.assert_once_at_a_time()
    night.assert_nobody_left()
    night.assert_sound()


@pytest.mark.parametrize("kind", KINDS)
def test_a_quota_that_is_lost_until_three_in_the_morning_is_waited_for_through_restarts_and_others_go_on(
    tmp_path: Path, kind: str, clock: Clock
) -> None:
    night = FailingNight.of(tmp_path, kind, "limited")
    words = "You have hit your usage limit, resets 3am"
    at_three = resets_at(words, time.time())
    assert at_three is not None
    clock.be_past(at_three - 7_200)
    night.person_commits({"limit.txt": words}, "Words")
    night.order("other", {"tiny/other.py": "A = 1\n"}, role="builder")
    night.play(until=lambda: night.events("provider_paused") and night.events("work_order_healthy", work_order="other"))
    (paused,) = night.events("provider_paused")
    assert 0 <= paused.fields["until"] - at_three < 60
    assert time.localtime(paused.fields["until"]).tm_hour == 3
    assert night.phases() == {"limited": "ready", "other": "healthy"}
    assert night.kept("limited")["tiny/limited.py"] == "KEPT = 1\n"
    night.play(duration_s=1.0)
    assert night.started_runs() == ["limited.1", "other.1"]
    clock.be_past(paused.fields["until"])
    night.play()
    assert night.started_runs() == ["limited.1", "other.1", "limited.2"]
    assert night.phases() == {"limited": "healthy", "other": "healthy"}
    assert night.folded().orders["limited"].attempts == 1
    assert night.charged("limited") == [COST, COST]
    night.assert_nobody_left()
    night.assert_sound()


def test_an_order_over_its_budget_asks_before_it_goes_on_and_others_go_on(tmp_path: Path) -> None:
    more = "[budgets.work_order]\ncost = 0.4\n"
    night = FailingNight.of(tmp_path, "acp", "crashes", "good", limits="attempts = 9", more=more)
    for _ in range(2):  # the same after a restart
        assert night.until_idle() == "idle"
        assert night.phases() == {"crashes": "parked", "good": "healthy"}
        assert night.charged("crashes") == [COST, COST]
        assert [event.fields["danger"] for event in night.events("approval_asked")] == ["over_budget"]
    night.swarm("approve", night.events("approval_asked")[0].fields["approval"])
    assert night.until_idle() == "idle"
    assert night.charged("crashes") == [COST] * 4
    assert len(night.events("approval_asked")) == 2
    night.assert_sound()


MODEL = """
[agents.thinker]
kind = "model"
base_url = "{url}/v1"
model = "scripted"
env = {{ OPENAI_API_KEY = "k" }}
[budgets.run]
turns = 6
"""


def edits(path: str) -> Say:
    return Say("", [("edit", {"path": path, "old": "", "new": "KEPT = 1\n"})])


def hands_in(handoff: object) -> Say:
    return Say("", [("hand_in", {"handoff": handoff})])


GOOD = hands_in({"summary": "says so", "risk": "none", "rollback": "delete it"})
THINKS = {
    "cut": ([edits("tiny/cut.py"), Cut()], "parked", "Connection"),
    "nonsense": ([edits("tiny/nonsense.py"), hands_in({"summary": ["x"]}), Say("Done.")] * 3, "parked", "not valid"),
    "endless": ([edits("tiny/endless.py")], "parked", "request_limit"),
    "outside": (
        [edits("tiny/outside.py"), edits("../../outside/taken"), edits("away/taken"), GOOD, Say("Done.")],
        "healthy",
        "",
    ),
    "good": ([edits("tiny/good.py"), GOOD, Say("Done.")], "healthy", ""),
}
"""Order -> what its model says, how the order ends, and what is said of that."""


def test_a_model_that_fails_in_any_way_leaves_its_order_in_a_defined_state_and_others_go_on(tmp_path: Path) -> None:
    with model_server([Say()]) as (url, model):
        models = {order: Model(steps) for order, (steps, *_) in THINKS.items()}

        def by_order(path: str, body: dict[str, Any], tools: Sequence[str]) -> Step:
            order = next(order for order in THINKS if f"Do {order}" in json.dumps(body))
            return models[order].next(path, body, tools)

        model.next = by_order
        settings = SETTINGS.replace('implementer = "scripted"', 'implementer = "thinker"') + MODEL.format(url=url)
        settings = settings.replace("[limits]", '[limits]\nattempts = 1\nagent_memory = "50MB"').replace(
            '"30s"', '"50s"'
        )
        night = Night(tmp_path / "night", settings=settings)
        outside = tmp_path / "outside"
        outside.mkdir()
        (night.repo / "away").symlink_to(outside)
        night.git("add", "away")
        night.git("commit", "--quiet", "--message", "A way out")
        for order in THINKS:
            night.order(order)
        assert night.until_idle() == "idle"
    ended = {event.work_order: event for event in night.events("run_finished")}
    for order, (_, phase, words) in THINKS.items():
        why = f"{ended[order].fields} {night.folded().orders[order].why}"
        assert night.phases()[order] == phase, why
        assert words in why
        assert Hub(night.state).read_file(ended[order].fields["kept"], f"tiny/{order}.py") == b"KEPT = 1\n"
        assert len(night.events("budget_spent", work_order=order)) == 1
    assert list(outside.iterdir()) == []
    assert "you may not" in json.dumps(models["outside"].requests)
    night.assert_sound()


def test_a_fault_of_the_machine_starts_nothing_before_its_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the run is over and that it has failed is known at once; else the next one would begin and be stopped."""
    faults = [SwarmError("the disk stumbled"), SwarmError("the disk stumbled again")]
    create = Workspaces.create

    def created(self: Workspaces, *arguments: Any) -> Workspace:
        if faults:
            raise faults.pop()
        return create(self, *arguments)

    monkeypatch.setattr(Workspaces, "create", created)
    night = FailingNight.of(tmp_path, "command", "good")
    assert night.until_idle() == "idle"
    assert night.started_runs() == ["good.1", "good.2", "good.3"]
    assert [run.fields["reason"] for run in night.runs_of("good")] == [
        "the disk stumbled again",
        "the disk stumbled",
        "",
    ]
    assert len(night.events("effect_failed")) == 2
    assert night.phases() == {"good": "healthy"}
    night.assert_sound()
