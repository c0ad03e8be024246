"""`swarm metrics` as people and scripts see it."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from engine.folders import StateFolder
from engine.journal import Journal
from engine.models.event import NewEvent
from engine.models.metrics import (
    ChangeFailure,
    Deployment,
    Effort,
    FalseRevert,
    FlakyTest,
    Flow,
    Frozen,
    GateTime,
    Lead,
    Metrics,
    Progress,
    Restore,
    Series,
    Share,
    Spent,
    Spread,
)
from engine.schemas import all_schemas
from swarm_tui.figures import (
    MOST_FLAKY,
    WIDTH,
    duration_text,
    lines_of,
    over_time,
    percent,
    share_text,
    sparkline,
    spread_text,
)


def swarm(*words: str | Path, encoding: str = "utf-8") -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "swarm_tui.cli", *map(str, words)]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    return subprocess.run(argv, env=environment, capture_output=True, encoding=encoding, check=False)


@dataclass
class Clock:
    """Stands still until it is set."""

    at: float = 1_700_000_000.0

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at


def write(path: Path, *events: NewEvent) -> None:
    """A journal of these events, ten seconds apart."""

    async def append() -> None:
        clock = Clock()
        journal = Journal(path, clock=clock, ballast_bytes=0)
        journal.open()
        journal.start(asyncio.get_running_loop(), lambda _: None)
        try:
            for event in events:
                await journal.append_all([event])
                clock.at += 10.0
        finally:
            journal.close()

    asyncio.run(append())


def repository(folder: Path) -> Path:
    """An empty one: the figures need its root alone."""
    subprocess.run(["git", "init", "--quiet", "--template=", str(folder)], check=True)
    return folder


@pytest.fixture
def recorded(tmp_path: Path) -> tuple[Path, Path]:
    """A repository and the state of a short night: one order, ready, proposed, landed and healthy, a tick apart."""
    repo, state = repository(tmp_path / "repo"), tmp_path / "state"
    raw = {"id": "one", "title": "One", "kind": "docs"}
    proposed = {"base": "b", "head": "h", "tree": "t", "paths": [], "summary": "", "agent": "\x1b[31mred"}
    landed = {"tree": "t", "report": "sha256:0", "parent": "p", "effect_id": "e"}
    write(
        StateFolder(state).journal,
        NewEvent("repository_opened", {"commit": "c0", "tree": "t0", "repository": "c0", "branch": "main"}),
        NewEvent("roadmap_read", {"count": 1, "orders": [raw], "gone": [], "items": []}),
        NewEvent("work_order_ready", {}, "one"),
        NewEvent("change_proposed", {"change": "one/1", **proposed}, "one"),
        NewEvent("change_landed", {"change": "one/1", "commit": "c1", **landed}, "one"),
        NewEvent("work_order_healthy", {"commit": "c1", "uncanaried": True}, "one"),
    )
    return repo, state


def test_scripts_get_figures_that_fit_their_schema(recorded: tuple[Path, Path]) -> None:
    repo, state = recorded
    done = swarm("metrics", "--json", "--repo", repo, "--state", state)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told["ready_to_healthy"] == {"count": 1, "median_s": 30.0, "p90_s": 30.0}
    assert told["commit_to_healthy"]["median_s"] == 20.0
    assert told["change_failure"]["rate"] is None
    assert told["regression_tests_added"] is None
    assert (told["since"], told["observed_s"]) == ("2023-11-14T22:13:20.000Z", 50.0)
    assert set(told) == set(all_schemas({"metrics": Metrics})["metrics"]["properties"])
    assert Metrics.model_validate(told).model_dump(mode="json") == told


def test_the_schema_is_among_those_that_are_printed() -> None:
    done = swarm("roadmap", "schema")
    assert "ready_to_healthy" in json.loads(done.stdout)["metrics"]["properties"]


def test_people_read_it_without_a_terminal_and_what_an_agent_is_called_stays_harmless(
    recorded: tuple[Path, Path],
) -> None:
    repo, state = recorded
    done = swarm("metrics", "--repo", repo, "--state", state)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ready to healthy          median 30.0 s, p90 30.0 s" in done.stdout
    assert "changes that broke it     unknown, 1 unjudged" in done.stdout
    assert "agent ␛[31mred" in done.stdout
    assert "\x1b" not in done.stdout
    assert max(map(cell_len, done.stdout.splitlines())) <= WIDTH


def test_a_terminal_without_blocks_gets_plain_sparklines(recorded: tuple[Path, Path]) -> None:
    repo, state = recorded
    done = swarm("metrics", "--repo", repo, "--state", state, encoding="cp1252")
    assert done.returncode == 0, done.stderr
    landed = next(line for line in done.stdout.splitlines() if line.startswith("  landed"))
    assert landed.rstrip().endswith(" " + 15 * "_" + 5 * "#")
    assert "agent ?[31mred" in done.stdout


def test_without_a_journal_it_says_what_to_do(tmp_path: Path) -> None:
    done = swarm("metrics", "--repo", repository(tmp_path / "repo"), "--state", tmp_path / "none")
    assert done.returncode == 2
    assert "start the engine once" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_empty_journal_is_no_error() -> None:
    assert lines_of(Metrics()) == ["nothing has happened yet: the journal is empty"]


def test_what_nobody_knows_is_unknown_and_never_zero() -> None:
    text = "\n".join(lines_of(Metrics(since="2027-01-15T08:00:00.000Z", until="2027-01-15T08:00:00.000Z")))
    told = {line[2:26].strip(): line[28:] for line in text.splitlines() if line.startswith("  ")}
    unknown = {label for label, said in told.items() if said == "unknown"}
    assert unknown == {
        "healthy a day", "ready to healthy", "commit to healthy", "proposed changes landed", "first report green",
        "work orders reworked", "changes that broke it", "time to restore", "reverted though innocent",
        "landing frozen", "flaky judgements", "regression tests added", "limitations resolved", "cost", "tokens",
        "cost a landed change", "tokens a landed change", "attempts a work order",
    }  # fmt: skip
    assert {label for label, said in told.items() if said.startswith("0")} == {"landed", "healthy"}


def test_the_widest_night_fits_eighty_columns() -> None:
    long = Spread(count=10_000, median_s=3590.0, p90_s=3590.0)
    share = Share(count=10_000, of=10_000, rate=1.0)
    name = "ナビゲーション" * 9
    effort = Effort(
        name=name, runs=99_999, attempts=99_999, work_orders=10_000, attempts_per_work_order=10.0, landed=10_000,
        tokens=10**10, cost=10**6, tokens_per_landed=10**6, cost_per_landed=1000.0, runs_without_cost=10_000,
        runs_without_tokens=10_000,
    )  # fmt: skip
    gate = GateTime(gate=name, total_s=10**6, cached=99_999, first_pass=share, **long.model_dump())
    metrics = Metrics(
        seq=10**7, since="2027-01-15T08:00:00.000Z", until="2027-12-15T08:00:00.000Z", observed_s=334 * 86_400.0,
        ready_to_healthy=long, commit_to_healthy=long, time_to_restore=Restore(open_s=3590.0, **long.model_dump()),
        deployment=Deployment(healthy=10_000, uncanaried=9_999, healthy_per_day=30, landed=10_000, landed_by_people=9),
        change_failure=ChangeFailure(unjudged=1000, unresolved=1000, **share.model_dump()), rework=share,
        false_revert=FalseRevert(taken_off=10_000, **share.model_dump()), flaky=share, merge_success=share,
        limitations_listed=1000, limitations_resolved_with_a_test=1000, limitations_resolved_without_a_test=1000,
        tests=[FlakyTest(test=f"tests/{name}.py::{name}", gate=name, flakes=100, runs=200, rate=0.5, quarantined=True)]
        * 30,
        flows=[Flow(flow=name, flaky=10_000, judged=10_000, rate=1.0)], in_flight=1000, first_pass=share,
        frozen=Frozen(times=10_000, frozen_s=10**7, now=True), first_pass_by_kind={"refactor": share}, gates=[gate],
        effort=effort, by_role=[effort], by_agent=[effort],
        series=Series(
            progress=[Progress(t_s=t, landed=t, healthy=t, reverted=0) for t in range(500)],
            leads=[Lead(t_s=t, ready_to_healthy_s=t, commit_to_healthy_s=None) for t in range(500)],
            spent=[Spent(t_s=t, tokens=t, cost=t) for t in range(500)],
            bucket_s=61_200.0, healthy_per_bucket=[3] * 500,
        ),
    )  # fmt: skip
    lines = lines_of(metrics)
    assert [line for line in lines if cell_len(line) > WIDTH] == []
    said = "\n".join(lines)
    assert "red by now for            59 m 50 s" in said
    assert "red without a culprit     1,000 times" in said
    assert "limitations resolved      1,000 with a test, 1000 without, 1,000 listed" in said
    assert said.count("50 % (100 of 200 runs), in quarantine") == MOST_FLAKY
    assert "10 more: --json has all of them" in said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (None, "unknown"), (0.0, "0.00 s"), (0.182, "0.18 s"), (0.996, "1.0 s"), (59.94, "59.9 s"), (59.96, "1 m 00 s"),
        (3599.4, "59 m 59 s"), (3599.6, "1 h 00 m"), (86_399.0, "23 h 59 m"), (86_400.0, "1 d 00 h"),
        (200_000.0, "2 d 07 h"),
    ],
)  # fmt: skip
def test_durations_are_told_in_two_units_at_most(seconds: float | None, said: str) -> None:
    assert duration_text(seconds) == said


def test_rates_and_spreads_in_words() -> None:
    assert (percent(None), percent(0.0), percent(0.126)) == ("unknown", "0 %", "13 %")
    assert share_text(Share(count=1, of=8, rate=0.125)) == "12 % (1 of 8)"
    assert share_text(Share()) == "unknown"
    assert spread_text(Spread(count=1, median_s=1.0, p90_s=2.0)) == "median 1.0 s, p90 2.0 s"


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e9)), max_size=200), st.integers(1, 60))
def test_a_sparkline_is_never_wider_than_its_room(values: list[float | None], width: int) -> None:
    assert len(sparkline(values, width)) == min(len(values), width)


def test_a_sparkline_begins_at_zero_and_leaves_gaps() -> None:
    assert sparkline([0.0, 1.0, 2.0, None, 4.0]) == "▁▃▅ █"
    assert sparkline([0.0, 0.0]) == "▁▁"
    assert sparkline([1.0, 3.0, 4.0, 4.0], 2) == "▅█"
    assert sparkline([]) == ""


def test_a_running_total_holds_between_its_points() -> None:
    assert over_time([(0.0, 1), (5.0, 2), (10.0, 3)], 20.0, 4) == [2, 3, 3, 3]
    assert over_time([], 20.0, 2) == [0, 0]
