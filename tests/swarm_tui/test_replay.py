"""A recorded night is played again: the same events in the same order, on a clock that a person sets."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from nights import a_night
from recorded_story import START, Story
from replay_story import since_start, started, two_nights, written

from engine.errors import SwarmError, UserError
from engine.models.event import Event, NewEvent
from engine.snapshot import dump_state
from swarm_tui.replaying import listed, run_replay, spoken
from swarm_tui.room.recording import FIRST_SPACING, MOST_KEPT, Folded, LinesRecording, nights_of, recording_of
from swarm_tui.room.replay import REFUSED, SPEEDS, ReplaySource

AMPLE_S = 60.0


def seen(source: Any) -> list[int]:
    return [event.seq for event in source.poll(AMPLE_S)]


def as_folded(source: Any) -> tuple[bytes, Any, Any]:
    """Everything a room draws from, to be compared."""
    figures = source.tally.figures(0.0)
    return dump_state(source.state), dataclasses.asdict(source.history), figures


def folded_upto(events: list[Event], seq: int) -> tuple[bytes, Any, Any]:
    folded = Folded()
    for event in events[:seq]:
        folded.apply(event)
    return as_folded(folded)


def long_night(count: int) -> Story:
    """One event a second."""
    story = Story()
    story.add(0, "engine_started", epoch=1, version="0", pid=1)
    for t in range(1, count):
        if t % 100 == 1:
            story.ready(t, f"order-{t}")
        else:
            story.gate(t, f"c{t}", "unit", "green", 1.0)
    return story


# -- nights ------------------------------------------------------------------------------------------------------------


def test_a_night_is_what_lies_between_two_starts(tmp_path: Path) -> None:
    story = two_nights()
    first, second = nights_of(LinesRecording(written(tmp_path / "n", story.events)))
    assert (first.number, first.landed, first.rejected, first.stopped, first.length_s) == (1, 1, 0, "", 60.0)
    assert (second.number, second.landed, second.rejected, second.stopped) == (2, 1, 1, "idle")
    assert (second.start, second.length_s) == (START + 1000, 400.0)
    assert (first.first, second.last) == (2, len(story.events))
    assert first.last + 1 == second.first


def test_a_recording_without_a_start_is_one_night(tmp_path: Path) -> None:
    events = two_nights().events[3:6]
    (night,) = nights_of(LinesRecording(written(tmp_path / "n", events)))
    assert (night.first, night.last) == (4, 6)


def test_nights_are_listed_with_what_came_of_them(tmp_path: Path) -> None:
    titles, first, second = listed(nights_of(LinesRecording(written(tmp_path / "n", two_nights().events))))
    assert titles.split() == ["night", "started", "length", "landed", "rejected", "parked", "ended"]
    assert first.split()[3:] == ["1:00", "1", "0", "0", "no", "end", "was", "recorded"]
    assert second.split()[3:] == ["6:40", "1", "1", "0", "idle"]


def test_what_a_file_says_reaches_the_list_only_clean(tmp_path: Path) -> None:
    story = two_nights()
    story.events[-1].fields["reason"] = "idle\x1b[2J\u202e"
    assert all(line.isprintable() for line in listed(nights_of(LinesRecording(written(tmp_path / "n", story.events)))))


def test_the_newest_night_is_played_unless_one_is_named(tmp_path: Path) -> None:
    assert started(tmp_path, two_nights())[0].night.number == 2
    assert started(tmp_path, two_nights(), 1)[0].night.number == 1
    with pytest.raises(UserError, match=r"there is no night 3: .*--list.* the 2 there are"):
        started(tmp_path, two_nights(), 3)


def test_a_machine_whose_clock_went_back_does_not_turn_the_night_back(tmp_path: Path) -> None:
    story = Story()
    story.add(0, "engine_started", epoch=1, version="0", pid=1)
    for t in (10, 4, 12):
        story.add(t, "engine_paused")
    (night,) = nights_of(LinesRecording(written(tmp_path / "n", story.events)))
    assert [t - START for t in night.times] == [0, 10, 10, 12]


# -- what is played ----------------------------------------------------------------------------------------------------


def test_it_begins_with_the_first_event_of_the_night_on_the_state_before_it(tmp_path: Path) -> None:
    story = two_nights()
    source, _ = started(tmp_path, story)
    assert since_start(source) == 1000
    assert seen(source) == [source.night.first]
    assert source.state.main == "k1"
    assert "two" not in source.state.orders
    assert as_folded(source) == folded_upto(story.events, source.night.first)


@pytest.mark.parametrize("speed", [1, 10, 100])
def test_events_come_when_they_are_due_at_the_speed(tmp_path: Path, speed: int) -> None:
    source, clock = started(tmp_path, two_nights(), speed=speed)
    source.skips_quiet = False
    came: list[tuple[float, int]] = []
    while not source.ended:
        came += [(since_start(source), seq) for seq in seen(source)]
        clock.at += 1.0 / speed
    by_seq = {event.seq: event.at - START for event in two_nights().events}
    assert [seq for _, seq in came] == list(range(source.night.first, source.night.last + 1))
    assert all(by_seq[seq] <= at < by_seq[seq] + 1.001 for at, seq in came)


def test_the_end_is_the_state_of_the_whole_recording(tmp_path: Path) -> None:
    story = two_nights()
    source, clock = started(tmp_path, story)
    clock.at += 10_000
    source.skips_quiet = False
    seen(source)
    assert as_folded(source) == folded_upto(story.events, len(story.events))
    assert since_start(source) == 1400, "the clock never runs past the night"
    assert source.ended


def test_what_does_not_fit_the_budget_waits_but_a_seek_does_not(tmp_path: Path) -> None:
    source, clock = started(tmp_path, two_nights())
    seen(source)
    clock.at += 45
    assert len(source.poll(0.0)) == 1
    source.seek(START + 1045)
    assert len(source.poll(0.0)) > 5


def test_paging_never_looks_into_the_future(tmp_path: Path) -> None:
    story = two_nights()
    source, _ = started(tmp_path, story)
    seen(source)
    assert [event.seq for event in source.events(0, 1_000)] == list(range(1, source.state.seq + 1))
    assert source.events(source.state.seq, 10) == []
    part = story.events[3:]
    source, _ = started(tmp_path, _story_of(part), 1)
    seen(source)
    assert [event.seq for event in source.events(0, 1_000)][-1] == source.state.seq


def _story_of(events: list[Event]) -> Story:
    story = Story()
    story.events = events
    return story


def test_commands_are_refused_with_a_sentence(tmp_path: Path) -> None:
    source, _ = started(tmp_path, two_nights())
    assert source.read_only
    assert source.engine() == "replay"
    with pytest.raises(UserError) as refused:
        source.send("pause").result()
    assert str(refused.value) == REFUSED


def test_nothing_is_written(tmp_path: Path) -> None:
    folders = a_night(tmp_path, NewEvent("engine_stopped", {"reason": "idle"})).folders
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    recording = recording_of(folders.root)
    from swarm_tui.room.replay import ReplaySource

    source = ReplaySource(recording, tmp_path)
    source.start()
    source.seek(source.night.end)
    assert seen(source)
    with pytest.raises(SwarmError, match="missing"):
        source.artifact(f"sha256:{'0' * 64}")
    source.close()
    left = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert {path for path in left if not path.name.endswith(("-shm", "-wal"))} == set(before)
    assert all(left[path] == content for path, content in before.items())


# -- the clock ---------------------------------------------------------------------------------------------------------


def test_a_pause_holds_the_clock_and_a_new_speed_does_not_move_it(tmp_path: Path) -> None:
    source, clock = started(tmp_path, two_nights())
    clock.at += 5
    source.toggle()
    clock.at += 100
    assert since_start(source) == 1005
    source.toggle()
    clock.at += 2
    source.change_speed(1)
    assert (source.speed, since_start(source)) == (2, 1007)
    clock.at += 3
    assert since_start(source) == 1013


def test_speeds_stop_at_both_ends(tmp_path: Path) -> None:
    source, _ = started(tmp_path, two_nights())
    went: list[int] = []
    for step in [1] * 8 + [-1] * 8:
        source.change_speed(step)
        went.append(source.speed)
    assert went == [*SPEEDS[1:], 100, 100, *SPEEDS[-2::-1], 1, 1]


def test_a_quiet_stretch_is_left_out_but_for_its_ends_and_said(tmp_path: Path) -> None:
    source, clock = started(tmp_path, two_nights(), speed=10)
    source.seek(START + 1040)
    seen(source)
    clock.at += 0.5
    source.poll(AMPLE_S)
    assert (since_start(source), source.skipped_s) == (1045, 0.0)
    clock.at += 1.0
    source.poll(AMPLE_S)
    assert (since_start(source), source.skipped_s) == (1320, 1320 - 1055)
    clock.at += 1.0
    assert seen(source), "the next event comes a second later"


def test_quiet_stretches_are_sat_out_when_asked(tmp_path: Path) -> None:
    source, clock = started(tmp_path, two_nights(), speed=10)
    source.toggle_quiet()
    source.seek(START + 1040)
    clock.at += 2.0
    source.poll(AMPLE_S)
    assert (since_start(source), source.skipped_s) == (1060, 0.0)


def test_at_the_end_it_plays_again_from_the_start(tmp_path: Path) -> None:
    source, clock = started(tmp_path, two_nights())
    source.seek(START + 1400)
    source.poll(AMPLE_S)
    source.toggle()
    assert seen(source) == [source.night.first]
    clock.at += 1
    assert since_start(source) == 1001


# -- seeking -----------------------------------------------------------------------------------------------------------


def test_jumps_go_from_chapter_to_chapter(tmp_path: Path) -> None:
    source, _ = started(tmp_path, two_nights())
    went: list[float] = []
    while source.jump(1):
        source.poll(AMPLE_S)
        went.append(since_start(source))
    assert went == [1020, 1040, 1340, 1350]
    assert [chapter.kind for chapter in source.night.chapters] == ["rejection", "landing", "red canary", "restore"]
    while source.jump(-1):
        went.append(since_start(source))
    assert went[4:] == [1340, 1040, 1020]


def test_a_second_jump_back_goes_further_though_the_night_has_run_on(tmp_path: Path) -> None:
    source, clock = started(tmp_path, two_nights(), speed=100)
    source.seek(START + 1345)
    assert source.jump(-1)
    assert since_start(source) == 1340
    clock.at += 0.05
    assert source.jump(-1)
    assert since_start(source) == 1040
    clock.at += 3.1
    assert source.jump(-1)
    assert since_start(source) == 1340, "after a while it counts from where the night is"


@pytest.mark.parametrize("t", [1400, 1341, 1040, 1020.5, 1000, 900, 2000])
def test_seeking_is_the_same_as_having_watched(tmp_path: Path, t: float) -> None:
    story = two_nights()
    source, _ = started(tmp_path, story)
    source.poll(AMPLE_S)
    source.seek(START + 1350)
    source.poll(AMPLE_S)
    source.seek(START + t)
    source.poll(AMPLE_S)
    upto = max(source.night.first, sum(event.at <= START + t for event in story.events))
    assert as_folded(source) == folded_upto(story.events, upto)


def test_the_state_is_another_one_only_after_a_look(tmp_path: Path) -> None:
    source, _ = started(tmp_path, two_nights())
    source.seek(START + 1400)
    source.poll(AMPLE_S)
    drawn = source.state, source.history
    source.seek(START)
    assert (source.state, source.history) == drawn, "rows that were drawn must stay while nobody has looked again"
    source.poll(AMPLE_S)
    assert source.state is not drawn[0]


@pytest.mark.slow
def test_a_long_night_keeps_few_states_and_seeks_from_the_nearest(tmp_path: Path) -> None:
    story = long_night(FIRST_SPACING * (MOST_KEPT + 2))
    source, _ = started(tmp_path, story)
    kept = source._kept
    assert 4 <= len(kept.seqs) <= MOST_KEPT
    assert kept.seqs[0] == source.night.first - 1
    assert kept.seqs == sorted(set(kept.seqs))
    source.poll(AMPLE_S)
    for t in (40_000, 3, 17_000, 16_000):
        source.seek(START + t)
        before = source.state.seq
        events = source.poll(AMPLE_S)
        assert len(events) <= kept.spacing or events[0].seq == before + 1
        assert source.state.seq == sum(event.at <= START + t for event in story.events)
    assert as_folded(source) == folded_upto(story.events, source.state.seq)


# -- recordings --------------------------------------------------------------------------------------------------------


def test_lines_are_the_events_they_were_written_from(tmp_path: Path) -> None:
    events = two_nights().events
    recording = LinesRecording(written(tmp_path / "n", events))
    assert list(recording.events(0)) == events
    assert [event.seq for event in recording.events(5, 3)] == [6, 7, 8]


def test_a_state_folder_and_its_journal_are_the_same_recording(tmp_path: Path) -> None:
    folders = a_night(tmp_path, NewEvent("engine_stopped", {"reason": "idle"})).folders
    by_folder, by_file = recording_of(folders.root), recording_of(folders.journal)
    assert list(by_folder.events(0)) == list(by_file.events(0))
    assert by_folder.folders == by_file.folders == folders
    by_folder.close()
    by_file.close()


def test_the_summary_of_a_headless_run_is_no_event(tmp_path: Path) -> None:
    events = two_nights().events
    path = written(tmp_path / "n", events)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"kind": "summary", "main": "k3"}) + "\n")
    assert list(LinesRecording(path).events(0)) == events


@pytest.mark.parametrize(
    ("number", "line", "why"),
    [
        (3, "{not json", "line 3 is no event"),
        (2, '"text"', "line 2 is no event .*no object"),
        (4, '{"seq":4,"at":"soon","kind":"k","work_order":"","run":""}', "line 4 is no event"),
        (5, '{"seq":7,"at":"2026-01-01T00:00:00Z","kind":"k","work_order":"","run":""}', "seq is 7 where 5 should be"),
        (4, '{"seq":4,"at":"2026-01-01T00:00:00Z","kind":"gate_started","work_order":"","run":""}', "event 4 .*KeyErr"),
    ],
)
def test_a_line_that_is_no_event_is_named(tmp_path: Path, number: int, line: str, why: str) -> None:
    path = written(tmp_path / "n", two_nights().events)
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[number - 1] = line
    path.write_text("\n".join(lines), encoding="utf-8")
    from swarm_tui.room.recording import read_night

    with pytest.raises(UserError, match=why):
        read_night(LinesRecording(path), None, lambda _: None)


def test_nothing_to_play_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no recorded night at .*nowhere"):
        recording_of(tmp_path / "nowhere")
    (tmp_path / "empty").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="is empty"):
        recording_of(tmp_path / "empty")
    with pytest.raises(UserError, match="no journal"):
        recording_of(tmp_path)


# -- plain lines -------------------------------------------------------------------------------------------------------


def test_plain_lines_come_with_the_pauses_of_the_night(tmp_path: Path) -> None:
    recording = LinesRecording(written(tmp_path / "n", two_nights().events))
    night = nights_of(recording)[1]
    waits: list[float] = []
    lines = [line.plain for line in spoken(recording, night, 10, waits.append, skips_quiet=False)]
    assert sum(waits) == pytest.approx(40.0)
    assert "started (epoch 2)" in lines[0]
    assert lines[-1].endswith("stopped: idle")
    waits.clear()
    lines = [line.plain for line in spoken(recording, night, 10, waits.append)]
    assert "… nothing for 5m" in lines
    assert sum(waits) == pytest.approx(40.0 - 29.0 + 2.0)


def test_the_command_prints_without_a_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "night", [event for event in two_nights().events if event.at <= START + 60])
    sped = [dataclasses.replace(event, at=START) for event in LinesRecording(path).events(0)]
    written(path, sped)
    assert run_replay(None, None, str(path), speed=100, plain=False, as_list=False) == 0
    assert "landed on main as k1" in capsys.readouterr().out


def test_a_speed_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--speed takes one of 1, 2, 5, 10, 20, 50, 100, not 3"):
        run_replay(None, None, "", speed=3, plain=True, as_list=False)


def test_a_page_before_the_first_event_of_a_recording_is_empty(tmp_path: Path) -> None:
    recording = LinesRecording(written(tmp_path / "late.jsonl", two_nights().events[10:]))
    source = ReplaySource(recording, tmp_path)
    source.start()
    source.seek(source.night.end)
    source.poll(1.0)
    assert source.events(0, 10) == []
    assert [event.seq for event in source.events(5, 10)] == [11, 12, 13, 14, 15]
