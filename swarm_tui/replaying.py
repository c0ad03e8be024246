"""`swarm replay`: a recorded night once more, in the room or as plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from engine.errors import UserError
from engine.text.sanitise import sanitise_line
from swarm_tui.headless import line_of
from swarm_tui.phrases import phrase
from swarm_tui.place import find_folders
from swarm_tui.room import words
from swarm_tui.room.recording import JournalRecording, Night, Recording, nights_of, recording_of
from swarm_tui.room.replay import LEAD_S, QUIET_S, SPEEDS

if TYPE_CHECKING:
    from swarm_tui.app import RoomApp

PAUSE_S = 0.25
"""At most so long between two looks whether somebody wants to leave."""


def run_replay(
    repo: Path | None, state: Path | None, night: str, *, speed: int, plain: bool, as_list: bool, quiet: bool = True
) -> int:
    """Play a night and return the exit code. `night`: "" (the newest), its number, or a path. `quiet`: skip quiet
    stretches. Raises UserError."""
    from swarm_tui.terminal import can_show_a_room

    if speed not in SPEEDS:
        raise UserError(f"--speed takes one of {', '.join(map(str, SPEEDS))}, not {speed}")
    number = int(night) if night.isascii() and night.isdecimal() else None
    recording, repository = _recording(repo, state, "" if number is not None else night)
    try:
        if as_list:
            sys.stdout.write("\n".join(listed(nights_of(recording))) + "\n")
        elif plain or not can_show_a_room():
            _print_night(recording, number, speed, skips_quiet=quiet)
        else:
            return _show_night(recording, repository, number, speed, skips_quiet=quiet)
    finally:
        recording.close()
    return 0


def _recording(repo: Path | None, state: Path | None, path: str) -> tuple[Recording, Path]:
    """The recording, and what stands for its repository: a path next to nothing else is all that is known of it."""
    if path:
        where = Path(path).resolve()
        recording = recording_of(where)
        return recording, where if isinstance(recording, JournalRecording) and where.is_dir() else where.parent
    from engine.git.user_repository import root_of

    folders = find_folders(repo, state)
    return JournalRecording(folders), root_of((repo or Path.cwd()).resolve())


def listed(nights: Iterable[Night]) -> list[str]:
    """A line a night, under a line of titles."""
    lines = [f"{'night':>5}  {'started':<16}  {'length':>8}  {'landed':>6}  {'rejected':>8}  {'parked':>6}  ended"]
    for night in nights:
        started = time.strftime("%Y-%m-%d %H:%M", time.localtime(night.start))
        ended = sanitise_line(night.stopped)[:40] or "no end was recorded"
        lines.append(
            f"{night.number:>5}  {started}  {words.clock(night.length_s):>8}  {night.landed:>6}  {night.rejected:>8}"
            f"  {night.parked:>6}  {ended}"
        )
    return lines if len(lines) > 1 else ["nothing is recorded yet: start the engine once with `swarm`"]


# -- plain lines -------------------------------------------------------------------------------------------------------


def _print_night(recording: Recording, number: int | None, speed: int, *, skips_quiet: bool) -> None:
    night = _find(recording, number)
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for line in spoken(recording, night, speed, _wait, skips_quiet=skips_quiet):
        console.print(line)
        console.file.flush()


def _find(recording: Recording, number: int | None) -> Night:
    nights = nights_of(recording)
    if not nights:
        raise UserError("nothing is recorded yet: start the engine once with `swarm`")
    if number is None:
        return nights[-1]
    if not 1 <= number <= len(nights):
        raise UserError(f"there is no night {number}: `swarm replay --list` lists the {len(nights)} there are")
    return nights[number - 1]


def spoken(
    recording: Recording, night: Night, speed: float, wait: Callable[[float], None], *, skips_quiet: bool = True
) -> Iterator[Text]:
    """The lines of a night for people. `wait` is called with the real seconds between two events."""
    before = night.start
    for place, event in enumerate(recording.events(night.first - 1, len(night.times))):
        at = night.times[place]
        gap_s, before = at - before, at
        if skips_quiet and gap_s >= QUIET_S and gap_s > 2 * LEAD_S * speed:
            wait(LEAD_S)
            yield Text(f"… nothing for {words.age(gap_s)}", style="dim")
            wait(LEAD_S)
        elif gap_s > 0:
            wait(gap_s / speed)
        if (made := phrase(event)) is not None:
            yield line_of(event, made)


def _wait(seconds: float) -> None:
    ends = time.monotonic() + seconds
    while (left := ends - time.monotonic()) > 0:
        time.sleep(min(PAUSE_S, left))


# -- the room ----------------------------------------------------------------------------------------------------------


def _show_night(recording: Recording, repository: Path, number: int | None, speed: int, *, skips_quiet: bool) -> int:
    from swarm_tui.room.hangup import ends_with_its_terminal

    app = replay_app(recording, repository, number, speed=speed, skips_quiet=skips_quiet)
    with ends_with_its_terminal(app):
        leaving = app.run()
    if leaving is not None and leaving.error is not None:
        raise leaving.error
    return app.return_code or 0


def replay_app(
    recording: Recording, repository: Path, number: int | None = None, *, speed: int = 1, skips_quiet: bool = True
) -> RoomApp:
    """The room over a recorded night (None: the newest)."""
    from swarm_tui.app import Say
    from swarm_tui.room.pulse import Sampler
    from swarm_tui.room.replay import ReplaySource
    from swarm_tui.room.room import Room
    from swarm_tui.screens.replay import ReplayApp

    def opener(say: Say) -> Room:
        say("reading the night")
        source = ReplaySource(
            recording, repository, number, speed=speed, said=lambda count: say(f"reading the night: {count:,} events")
        )
        source.skips_quiet = skips_quiet
        source.start()
        return Room(source, Sampler(source.folders))  # nothing runs, so there is nothing to sample

    return ReplayApp(opener)
