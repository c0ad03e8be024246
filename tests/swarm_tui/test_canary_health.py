"""What the room shows of the canary's health: comparisons of samples, the culprit search as it stands, flakes, and how
long main was frozen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from engine.artifacts import ArtifactStore
from engine.flow_health import FlowRecord, FlowRun
from engine.folders import StateFolder
from engine.history import CanaryRecord
from engine.models.event import NewEvent
from engine.models.status import CanaryStatus, FlowStatus
from swarm_tui.inspecting import canary_words
from swarm_tui.room.canary_facts import flow_lines
from swarm_tui.room.comparison import comparison_lines
from swarm_tui.room.pulse import CanaryPulse, Sampler
from swarm_tui.widgets.canary import CanaryPane
from swarm_tui.widgets.head import Head
from swarm_tui.widgets.prose import Line
from tests.swarm_tui.canary_story import RED, a_row, green, landed, queued, red, restored
from tests.swarm_tui.nights import COMMIT, a_night
from tests.swarm_tui.proofs import canary_finished, canary_started, shown, until
from tests.swarm_tui.test_canary_screen import detail, opened, story

OTHER = "2" * 40
WORSE = {
    "flow": "resize", "sample": "frame-time", "unit": "ms", "better": "lower", "before": 2.5, "after": 3.75,
    "pairs": 15, "p": 0.0003, "verdict": "worse", "reason": "50.0 % worse than last good",
}  # fmt: skip
SAME = WORSE | {"sample": "memory\x1b[2J", "unit": "", "after": 2.5, "verdict": "unknown", "reason": "no such sample"}


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    folders = StateFolder(tmp_path / "state")
    folders.create()
    return ArtifactStore(folders.artifacts)


def compared(commit: str, verdict: str, *metrics: dict[str, Any]) -> list[NewEvent]:
    fields = {
        "commit": commit, "about": commit, "purpose": "compare", "verdict": verdict, "reason": "frame-time is worse",
        "flow": "resize" if verdict == "FAIL" else "", "metrics": list(metrics), "against": OTHER,
        "flows": [{"flow": "resize", "verdict": "FAIL", "reason": "frame-time is worse"}] if verdict == "FAIL" else [],
    }  # fmt: skip
    return [canary_started(commit, purpose="compare"), NewEvent("canary_finished", fields)]


def text_of(lines: list[Line]) -> str:
    return "\n".join("".join(span.text for span in line.spans) for line in lines)


async def test_a_comparison_is_a_table(tmp_path: Path, store: ArtifactStore) -> None:
    night = a_night(tmp_path, *green(store, COMMIT), *compared(COMMIT, "FAIL", WORSE, SAME))
    async with opened(night) as (pilot, screen):
        await until(pilot, lambda: "samples: FAIL: frame-time is worse" in story(screen))
        await pilot.press("down", "f")
        await until(pilot, lambda: "Samples beside 2222222222, run in turns" in detail(screen))
        row = next(row for row in detail(screen).splitlines() if row.startswith("frame-time  "))
        assert row.split() == ["frame-time", "2.5", "3.75", "+50.0%", "✘", "worse"]
        assert "ms · lower is better · 15 pairs of runs · p = 0.0003" in detail(screen)
        assert "no such sample" in detail(screen)
        assert "✘ worse" in shown(pilot.app)
        assert "\x1b" not in shown(pilot.app)


async def test_the_pane_says_how_far_samples_moved(tmp_path: Path, store: ArtifactStore) -> None:
    better = WORSE | {"after": 2.0, "verdict": "better"}
    night = a_night(tmp_path, *green(store, COMMIT), *compared(COMMIT, "PASS", better))
    async with opened(night) as (pilot, screen):
        await until(pilot, lambda: "samples: PASS, frame-time -20.0%" in story(screen))
        screen.room_app.go_back()
        await until(pilot, lambda: "frame-time -20.0%" in shown(pilot.app))
        assert pilot.app.screen.query_one(CanaryPane).rows.keys


def searched(store: ArtifactStore) -> list[NewEvent]:
    """Two landings are suspects; main was put back, and the search has begun."""
    return [
        *green(store, COMMIT), *queued("two"), landed("two", OTHER), *red(store, COMMIT), restored(COMMIT),
        canary_started(RED, RED, "culprit"),
    ]  # fmt: skip


async def test_the_search_shows_what_it_believes_of_each_suspect(tmp_path: Path, store: ArtifactStore) -> None:
    night = a_night(tmp_path, *searched(store), orders=({"id": "one"}, {"id": "two"}))
    async with opened(night, RED) as (pilot, screen):
        await until(pilot, lambda: "nobody: chance, or the machine" in story(screen))
        assert shares(story(screen)) == pytest.approx({"2222222222": 45.0, "7777777777": 45.0, "nobody": 10.0})
        bad = [a_row(store, verdict="FAIL", reason="it is red")]
        night.write(
            canary_finished(RED, bad, RED, "culprit"),
            canary_started(OTHER, RED, "culprit"), canary_finished(OTHER, [a_row(store)], RED, "culprit"),
        )  # fmt: skip
        await until(pilot, lambda: shares(story(screen))["7777777777"] > 80)
        assert shares(story(screen))["2222222222"] < 10


def shares(told: str) -> dict[str, float]:
    """What stands before the names, in percent."""
    rows = [row.replace("▶", " ").split() for row in told.splitlines() if "%" in row]
    return {row[2].rstrip(":"): float(row[1].rstrip("%")) for row in rows}


async def test_how_long_main_was_frozen_and_how_often_it_was_put_back_stands_above(
    tmp_path: Path, store: ArtifactStore
) -> None:
    night = a_night(tmp_path, *green(store, COMMIT), *red(store, COMMIT))
    async with opened(night) as (pilot, screen):
        head = screen.query_one(Head)
        await until(pilot, lambda: "frozen" in head.text and "in all" in head.text)
        assert "put back" not in head.text
        night.write(restored(COMMIT))
        await until(pilot, lambda: "put back once" in head.text)
        assert "landing is open" in head.text


def test_a_flow_tells_its_last_runs_and_how_often_it_lies() -> None:
    run = CanaryRecord(COMMIT, COMMIT, "first", 1.0, 2.0, "PASS", "", [{"flow": "resize", "verdict": "PASS"}])
    newest = [FlowRun(COMMIT, "first", verdict, 1.0) for verdict in ("PASS", "FAIL", "PASS")]
    told = text_of(flow_lines([run], 0, "resize", None, FlowRecord(19, 1, newest)))
    assert "last runs  ♥✘♥" in told
    assert "red by chance: 5.1% (1 of 19 on good commits)" in told
    assert "last runs" not in text_of(flow_lines([run], 0, "resize", None))


def test_a_comparison_without_numbers_says_why() -> None:
    run = CanaryRecord(COMMIT, COMMIT, "compare", 1.0, 2.0, "INCONCLUSIVE", "no flow takes a sample")
    assert text_of(comparison_lines(run)) == "? INCONCLUSIVE\nno flow takes a sample"


def test_the_pulse_tells_the_pair_that_is_measured(tmp_path: Path) -> None:
    folders = StateFolder(tmp_path / "state")
    folders.create()
    folder = folders.runs / f"canary.{COMMIT[:16]}.compare.{COMMIT[:16]}.0.1.0"
    folder.mkdir(parents=True)
    row = {
        "kind": "canary",
        "said": "pair",
        "flow": "resize",
        "number": 1,
        "flows": 1,
        "pair": 3,
        "pairs": 15,
        "stage": 2,
    }
    (folder / "progress.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    sampler = Sampler(folders)
    found = sampler._canaries((COMMIT,))
    assert found[COMMIT].doing == "fresh pair 3 of 15"
    assert CanaryPulse("checkout").doing == "checkout"


def test_the_status_tells_how_samples_went_in_words() -> None:
    flow = FlowStatus(flow="resize", runs=3, reds=1, flake_rate=0.1, trends={"ms\x1b[2J": [2.0, 4.0]})
    told = canary_words(CanaryStatus(flows=[flow], waiting=1, freezes=1, frozen_s=12.3))
    assert told[0] == "canary     resize: no run; red 1 of 3 times on good commits"
    assert told[1].endswith(" 4, medians of 2 good commits")
    assert "\x1b" not in told[1]
    assert told[2:] == ["           1 landing not judged yet", "           landing was frozen once, 12 s in all"]
