"""What a canary run left: the golden's differences as the canary sees them, the story, and what is missing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from canary.golden import compare, parse_trace
from engine.artifacts import ArtifactStore
from engine.folders import StateFolder
from engine.history import History
from engine.models.event import Event, NewEvent
from swarm_tui.room.canary_facts import good_samples, medians
from swarm_tui.room.canary_files import differences, flow_files
from swarm_tui.room.canary_story import story_of
from tests.swarm_tui.canary_story import (
    AGAIN,
    BAD,
    FLOW,
    GOLDEN,
    GOOD,
    RED,
    a_hub_with_a_flow,
    a_row,
    culprit,
    green,
    landed,
    red,
    restored,
)
from tests.swarm_tui.proofs import canary_finished, canary_started


@pytest.fixture
def folders(tmp_path: Path) -> StateFolder:
    made = StateFolder(tmp_path / "state")
    made.create()
    return made


@pytest.fixture
def store(folders: StateFolder) -> ArtifactStore:
    return ArtifactStore(folders.artifacts)


def written(*events: NewEvent) -> tuple[list[Event], History]:
    history = History()
    found: list[Event] = []
    for seq, new in enumerate(events, 1):
        event = Event(
            seq=seq, at=1_000.0 + seq, kind=new.kind, fields=dict(new.fields), work_order=new.work_order, run=new.run
        )
        history.apply(event)
        found.append(event)
    return found, history


# -- files -----------------------------------------------------------------------------------------------------------


def test_a_trace_that_is_as_the_golden_has_no_difference(
    tmp_path: Path, folders: StateFolder, store: ArtifactStore
) -> None:
    commit = a_hub_with_a_flow(tmp_path, folders)
    files = flow_files(folders, commit, a_row(store))
    assert (files.golden, files.events, files.difference, files.differing) == ("canary/golden/resize.jsonl", 2, "", ())
    assert files.notes == ()
    assert files.log is not None
    assert files.log.read_bytes() == b"    0.001 out hello\n"
    assert (sample := files.sample("frame-time")) is not None
    assert sample.unit == "ms"


def test_a_difference_is_told_as_the_canary_does_and_field_by_field(
    tmp_path: Path, folders: StateFolder, store: ArtifactStore
) -> None:
    commit = a_hub_with_a_flow(tmp_path, folders)
    files = flow_files(folders, commit, a_row(store, BAD))
    told = compare(parse_trace(GOLDEN.encode()), parse_trace(BAD.encode()), ["t", "ms"])
    assert told is not None
    assert files.difference == told.text
    (only,) = files.differing
    assert (only.place, only.kind) == (2, "frame")
    assert [row for row in only.rows if row[0] != " "] == [
        ("-", "  |a|"),
        ("+", "  |[b]|"),
        ("-", "w: 3"),
        ("+", "w: 4"),
    ]


def test_the_canarys_own_difference_counts_more_than_a_new_comparison(
    tmp_path: Path, folders: StateFolder, store: ArtifactStore
) -> None:
    commit = a_hub_with_a_flow(tmp_path, folders)
    row = dict(a_row(store, BAD))
    row["artifacts"] = {**row["artifacts"], "difference": store.put(b"--- golden\n+++ seen\n")}
    assert flow_files(folders, commit, row).difference == "--- golden\n+++ seen\n"


def test_events_that_only_one_side_has_come_last() -> None:
    one, two, three = {"kind": "a"}, {"kind": "b", "id": 7}, {"kind": "c"}
    (more,) = differences([one, {**two, "id": 9}], [one, two, three])
    assert (more.place, more.kind, more.rows[0][0]) == (3, "c", "+")
    (less,) = differences([one, two, three], [one, two])
    assert (less.place, less.kind, less.rows[0][0]) == (3, "c", "-")


def test_what_is_gone_is_said_and_the_rest_is_shown(tmp_path: Path, folders: StateFolder, store: ArtifactStore) -> None:
    commit = a_hub_with_a_flow(tmp_path, folders)
    row = a_row(store, BAD)
    store.path(row["artifacts"]["trace"]).unlink()
    files = flow_files(folders, commit, row)
    assert files.trace is None
    assert files.log is not None
    assert "its trace is gone from the artifact store" in files.notes
    assert flow_files(folders, commit, {"flow": "other"}).notes == (
        "this run left no files",
        f"commit {commit[:10]} does not define this flow",
    )


def test_without_a_hub_the_definition_is_said_to_be_unreadable(folders: StateFolder, store: ArtifactStore) -> None:
    (note,) = flow_files(folders, "0" * 40, a_row(store)).notes
    assert note.startswith("the flow's definition cannot be read")


def test_a_trace_of_nonsense_is_said_not_to_be_comparable(
    tmp_path: Path, folders: StateFolder, store: ArtifactStore
) -> None:
    commit = a_hub_with_a_flow(tmp_path, folders)
    files = flow_files(folders, commit, a_row(store, "no json\n"))
    assert any("cannot be compared: line 1 is not JSON" in note for note in files.notes)
    assert json.loads(GOOD.splitlines()[0])["kind"] == "ready"


# -- samples ---------------------------------------------------------------------------------------------------------


def test_samples_are_held_against_the_control_or_the_last_green_run(store: ArtifactStore) -> None:
    good = "1" * 40
    _, history = written(*green(store, good), *red(store, good))
    at = next(number for number, run in enumerate(history.canaries) if run.commit == RED)
    commit, values = good_samples(history.canaries, at, FLOW, "frame-time")
    assert (commit, values) == (good, [2.5, 3.5, 4.5])
    assert good_samples(history.canaries, 0, FLOW, "frame-time") == ("", [])
    assert medians(history.canaries, FLOW, "frame-time") == [(good, 3.5), (RED, 21.0)]


# -- the story -------------------------------------------------------------------------------------------------------


def texts(events: Sequence[Event], history: History, about: str = RED) -> list[str]:
    return [beat.text for beat in story_of(events, about, history.moves)]


def test_the_story_is_told_from_landing_to_healthy(store: ArtifactStore) -> None:
    good = "1" * 40
    healthy = NewEvent("work_order_healthy", {"commit": AGAIN, "uncanaried": False}, work_order="one")
    told, history = written(
        landed("two", good), *green(store, good), *red(store, good), restored(good), *culprit(), landed("one", AGAIN),
        healthy, landed("one", "4" * 40),
    )  # fmt: skip
    found = texts(told, history)
    starts = [
        "one landed as 7777777777", "run: FAIL: golden", "again: FAIL, for the same reason",
        "control on last good 1111111111 (two): PASS", "again: FAIL, for the same reason",
        "judged FAIL, for the same reason (red three times", "landing is frozen",
        "main was put back to last good 1111111111 (two)", "taken off main: one", "culprit: one, 7777777777",
        "one is reverted", "bug work order bug-one-1: Regression", "one landed as 5555555555", "one is healthy",
    ]  # fmt: skip
    assert len(found) == len(starts), found
    for text, start in zip(found, starts, strict=True):
        assert text.startswith(start), (text, start)
    assert texts(told, history, good)[0] == "two landed as 1111111111"


def test_innocents_are_named_once_the_culprit_is_known(store: ArtifactStore) -> None:
    good, other = "1" * 40, "2" * 40
    told, history = written(
        landed("zero", good), landed("two", other), *red(store, good), restored(good),
        canary_started(other, RED, "culprit"), canary_finished(other, [a_row(store)], RED, "culprit"), *culprit(),
    )  # fmt: skip
    found = texts(told, history)
    assert "taken off main: two, one; the culprit is searched" in found
    assert "suspect 2222222222 (two): PASS" in found
    assert "innocent, and on the train again: two" in found


def test_a_run_under_way_comes_last_and_other_judgements_stay_out(store: ArtifactStore) -> None:
    good = "1" * 40
    told, history = written(landed("two", good), canary_started(good), *red(store, good)[:10])
    assert texts(told, history)[-1] == "again on 7777777777 (one) is under way"
    assert texts(told, history, good) == ["two landed as 1111111111", "run on 1111111111 (two) is under way"]


def test_an_unresolved_search_frees_everybody(store: ArtifactStore) -> None:
    good = "1" * 40
    lost = NewEvent("culprit_unresolved", {"commit": RED, "reason": "no suspect was red again", "range": []})
    told, history = written(landed("two", good), *red(store, good), restored(good), lost)
    assert texts(told, history)[-2:] == [
        "no culprit was found: no suspect was red again",
        "all of them are on the train again: one",
    ]


def test_hostile_text_in_the_story_is_harmless(store: ArtifactStore) -> None:
    row = a_row(store, BAD, reason="\x1b[2J[red]boom")
    told, history = written(landed("one", RED), canary_started(RED), canary_finished(RED, [row]))
    assert all("\x1b" not in text for text in texts(told, history))
    assert any("[red]boom" in text for text in texts(told, history))
