"""Recorded nights for tests of the replay, as files of JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from recorded_story import START, Story

from engine.models.event import Event
from swarm_tui.room.recording import LinesRecording
from swarm_tui.room.replay import ReplaySource


@dataclass
class RealClock:
    """The real clock, by hand."""

    at: float = 500.0

    def __call__(self) -> float:
        return self.at


def two_nights() -> Story:
    """Night 1 ends without a word at 60. Night 2, from 1000 to 1400: a rejection, a landing, a long quiet stretch, a
    red canary and the restore."""
    story = Story()
    story.add(0, "engine_started", epoch=1, version="0", pid=1)
    story.ready(1, "one")
    story.run(20, "one", 1)
    story.propose(21, "one", "c1")
    story.report(30, "c1", "green")
    story.land(60, "one", "c1", "k1")
    story.add(1000, "engine_started", epoch=2, version="0", pid=2)
    story.ready(1001, "two")
    story.run(1010, "two", 1)
    story.propose(1011, "two", "c2")
    story.report(1019, "c2", "red")
    story.reject(1020, "two", "c2")
    story.run(1030, "two", 2)
    story.propose(1031, "two", "c3")
    story.report(1039, "c3", "green")
    story.land(1040, "two", "c3", "k2")
    story.condemned(1340, "k2")
    story.restored(1350, "c0", "k2", "k3")
    story.add(1400, "engine_stopped", reason="idle")
    for event in story.events:
        for flow in event.fields.get("flows", ()):
            flow["reason"] = ""
    return story


def written(path: Path, events: Iterable[Event]) -> Path:
    """A file as `swarm events --json` writes it."""
    text = "".join(json.dumps(event.as_json(), separators=(",", ":")) + "\n" for event in events)
    path.write_text(text, encoding="utf-8", newline="\n")
    return path


def started(folder: Path, story: Story, number: int | None = None, speed: int = 1) -> tuple[ReplaySource, RealClock]:
    """A replay of a story that stands at its beginning, and the real clock it goes by."""
    clock = RealClock()
    recording = LinesRecording(written(folder / "night.jsonl", story.events))
    source = ReplaySource(recording, folder, number, speed=speed, monotonic=clock)
    source.start()
    return source, clock


def since_start(source: ReplaySource) -> float:
    """The night's clock, in seconds of the story."""
    return round(source.now() - START, 3)
