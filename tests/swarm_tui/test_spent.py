"""What nobody said of tokens and cost is shown as unknown, and never as nothing."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from recorded_story import Story

from engine.fold import apply
from engine.history import History, RunRecord
from engine.metrics import Tally
from engine.models.event import Event, NewEvent
from engine.models.roadmap import WorkOrder
from engine.models.usage import Usage
from engine.state import State
from engine.status import status_of
from swarm_tui.figures import lines_of
from swarm_tui.room.run_files import read_run
from swarm_tui.room.tiles import tiles_of
from swarm_tui.screens.run_pages import usage_lines
from swarm_tui.spent import at_least, status_lines, sum_text


@pytest.mark.parametrize(
    ("runs", "unknown", "said"),
    [
        (0, 0, "1.20"),
        (3, 0, "1.20"),
        (3, 1, "≥ 1.20, 1 run unknown"),
        (3, 2, "≥ 1.20, 2 runs unknown"),
        (3, 3, "unknown"),
    ],
)
def test_a_sum_says_what_it_lacks(runs: int, unknown: int, said: str) -> None:
    assert sum_text("1.20", runs=runs, unknown=unknown) == said


def test_a_figure_of_such_a_sum_is_a_lower_bound() -> None:
    assert (at_least("5", 0), at_least("5", 2)) == ("5", "≥ 5")


class Night:
    """A state whose runs end having told this much."""

    def __init__(self, limit: float = 40.0) -> None:
        self.state, self.seq, self.runs = State(), 0, 0
        raw = WorkOrder(id="one", title="t").model_dump(mode="json", by_alias=True)
        self.tell("settings_read", "", policy="p", settings="s", bootstrap=False, cost_per_night=limit)
        self.start_engine(1)
        self.tell("roadmap_read", "", count=1, orders=[raw], gone=[], items=[])
        self.tell("work_order_ready")

    def start_engine(self, epoch: int) -> None:
        self.tell("engine_started", "", epoch=epoch, version="0", pid=1)

    def tell(self, kind: str, order: str = "one", /, **fields: Any) -> None:
        self.seq += 1
        known = NewEvent(kind, fields)
        assert apply(self.state, Event(self.seq, 1.0, kind, order, f"one.{self.runs}", dict(known.fields))) is None

    def run(self, **told: float) -> None:
        """tokens, cost: as the agent told them."""
        self.runs += 1
        self.tell("run_started", attempt=1, role="implementer", agent="a", base="c")
        if told:
            known = {f"{name}_known": name in told for name in ("tokens", "cost")}
            zeros = {"tokens": 0, "cost": 0.0}
            self.tell("budget_spent", agent="a", role="implementer", **known, **(zeros | told))
        ended = {"result": "failed", "counted": True, "reason": "", "kept": "", "exit_code": 1, "duration_s": 1.0}
        self.tell("run_finished", **ended)
        self.tell("change_rejected", change="", reasons=["red"])

    def lines(self) -> list[str]:
        return status_lines(status_of(self.state, time.time(), running=True))


def test_before_the_first_run_the_status_says_nothing_of_it() -> None:
    assert Night().lines() == []


def test_runs_that_told_nothing_are_unknown_in_the_status() -> None:
    night = Night()
    night.run()
    night.run()
    assert night.lines() == [
        "cost       tonight unknown of 40.00; in all unknown",
        "tokens     tonight unknown; in all unknown",
    ]
    status = status_of(night.state, time.time(), running=True)
    assert (status.cost, status.runs_ended, status.runs_without_cost, status.runs_without_tokens) == (0.0, 2, 2, 2)


def test_a_sum_of_known_and_unknown_says_so_and_of_known_alone_does_not() -> None:
    night = Night(limit=0.0)
    night.run(tokens=100, cost=1.5)
    assert night.lines() == ["cost       tonight 1.50; in all 1.50", "tokens     tonight 100; in all 100"]
    night.run(tokens=20)
    assert night.lines() == [
        "cost       tonight ≥ 1.50, 1 run unknown; in all ≥ 1.50, 1 run unknown",
        "tokens     tonight 120; in all 120",
    ]
    night.start_engine(2)
    night.run(tokens=30, cost=0.5)
    assert night.lines()[0] == "cost       tonight 0.50; in all ≥ 2.00, 1 run unknown"


def told(story: Story) -> tuple[str, dict[str, Any]]:
    tally = Tally()
    for event in story.events:
        tally.apply(event)
    metrics = tally.figures(0.0)
    return "\n".join(lines_of(metrics)), {tile.name: (tile.value, tile.note) for tile in tiles_of(metrics)}


def test_the_metrics_say_what_they_lack() -> None:
    story = Story()
    story.ready(0, "easy", "docs")
    story.run(50, "easy", 1, tokens=1_000, cost=0.5)
    whole, tiles = told(story)
    assert "≥" not in whole
    assert "unknown" not in tiles["tokens a landed change"][1]
    story.run(60, "easy", 2)
    text, tiles = told(story)
    assert "cost                      ≥ 0.50, 1 run unknown" in text
    assert "tokens                    ≥ 1,000, 1 run unknown" in text
    assert tiles["cost a landed change"] == ("unknown", "nothing landed, ≥ 0.50 spent")
    story.propose(70, "easy", "easy/1")
    story.land(80, "easy", "easy/1", "c1")
    text, tiles = told(story)
    assert "cost a landed change      ≥ 0.50" in text
    assert tiles["cost a landed change"] == ("≥ 0.50", "≥ 0.50, 1 run unknown")
    assert tiles["tokens a landed change"] == ("≥ 1,000", "≥ 1,000, 1 run unknown")


# -- one run ---------------------------------------------------------------------------------------------------------


def spoken(run: RunRecord | None, folder: Path) -> str:
    return "\n".join("".join(span.text for span in line.spans) for line in usage_lines(run, read_run(folder)))


def run_of(*events: tuple[str, dict[str, Any]]) -> RunRecord:
    history = History()
    started = ("run_started", {"attempt": 1, "role": "implementer", "agent": "a", "base": "c"})
    for seq, (kind, fields) in enumerate((started, *events), start=1):
        history.apply(Event(seq, 1.0, kind, "one", "one.1", dict(NewEvent(kind, fields).fields)))
    return history.runs["one.1"]


ENDED = (
    "run_finished",
    {"result": "done", "counted": True, "reason": "", "kept": "", "exit_code": 0, "duration_s": 1.0},
)
SPENT = {"tokens": 420, "cost": 0.0, "agent": "a", "role": "implementer", "cost_known": False, "tokens_in": 400}


def test_a_run_that_has_ended_shows_what_the_journal_charged_it_whatever_lies_in_its_folder(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "side"):
        folder.mkdir(exist_ok=True)
        (folder / "usage.json").write_text('{"tokens": 9, "cost": 9.0}', encoding="utf-8")
    more = {"tokens_out": 20, "turns": 3, "source": "codex turn", "scope": "turn"}
    text = spoken(run_of(("budget_spent", SPENT | more), ENDED), tmp_path)
    for part in ("420 (400 in, 20 out)", "cost      unknown", "turns     3", "codex turn", "the turns that ended"):
        assert part in text
    assert "9" not in text
    assert spoken(run_of(ENDED), tmp_path).strip() == "unknown: the agent did not say"


def test_a_claim_that_was_not_believed_is_shown_beside_what_was_charged(tmp_path: Path) -> None:
    fields = {"tokens": 0, "cost": 10.0, "agent": "a", "role": "implementer", "claimed": {"cost": 900_000.0}}
    assert "900,000 cost" in spoken(run_of(("budget_spent", fields), ENDED), tmp_path)


def test_a_run_under_way_shows_what_is_said_until_now(tmp_path: Path) -> None:
    (tmp_path / "side").mkdir()
    assert "has not said anything yet" in spoken(run_of(), tmp_path)
    (tmp_path / "side" / "usage.json").write_text('{"tokens": 30, "cost": "\\ud800"}', encoding="utf-8")
    text = spoken(run_of(), tmp_path)
    assert "not counted yet" in text
    assert "30" in text
    assert "cost" not in text
    record = Usage(tokens_in=1_000, total=1_200, cost=0.25, source="s", scope="step")
    (tmp_path / "usage.json").write_text(record.model_dump_json(), encoding="utf-8")
    text = spoken(run_of(), tmp_path)
    assert "1,200" in text
    assert "0.25" in text
