"""What a canary run left of a flow: its log and trace, and how the trace differs from the golden. Blocks; not for the
room's thread."""

from __future__ import annotations

import difflib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from canary.golden import DEFAULT_MASK, GoldenError, compare, parse_trace, trace_to_golden
from canary.golden_files import lookups, renderer_of
from engine.artifacts import ArtifactStore
from engine.errors import SwarmError
from engine.folders import StateFolder
from engine.git.hub import Hub
from engine.loading import load_definitions
from engine.models.event import Event
from engine.models.flow import Flow, Sample
from swarm_tui.room.canary_story import KINDS

if TYPE_CHECKING:
    from swarm_tui.room.source import Source

EVENTS_SAID = 8
"""Differing events that are told field by field."""
ROWS_SAID = 40
VALUE_CHARS = 300
PACE_S = 0.001
"""Reading the past lets the room draw between slices."""
SLICE = 250


@dataclass(frozen=True)
class EventDifference:
    """One event that is not as in the golden. `rows`: ("-" | "+" | " ", text); "-" is the golden, "+" what was seen."""

    place: int
    kind: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class FlowFiles:
    """`log`, `package_log`, `trace`, `proposed`: artifacts; None when the run left none or it is gone.

    proposed: the trace as a golden, as a person would accept it. golden: path in the repository, "" when the flow has
    none or it is not known. events: how many the trace has. difference: the canary's own unified diff, "" when it
    agrees. differing: the same, event by event. notes: what is missing, each a sentence.
    """

    log: Path | None = None
    package_log: Path | None = None
    trace: Path | None = None
    proposed: Path | None = None
    golden: str = ""
    events: int = 0
    difference: str = ""
    differing: tuple[EventDifference, ...] = ()
    notes: tuple[str, ...] = ()
    flow: Flow | None = None

    def sample(self, name: str) -> Sample | None:
        """How the flow defines a sample, if that is known."""
        steps = self.flow.steps if self.flow else []
        return next((step.sample for step in steps if step.sample and step.sample.name == name), None)


def flow_files(folders: StateFolder, commit: str, row: Mapping[str, Any]) -> FlowFiles:
    """What is left of one flow of a run on `commit`; `row` is its part of the journal's `canary_finished`."""
    store = ArtifactStore(folders.artifacts)
    digests = row.get("artifacts")
    names: Mapping[str, Any] = digests if isinstance(digests, dict) else {}
    notes: list[str] = []
    found = {name: _path(store, name, str(digest), notes) for name, digest in names.items()}
    if not names:
        notes.append("this run left no files")
    flow, hub = _definition(folders, commit, str(row.get("flow", "")), notes)
    golden = (flow.judge.golden or "") if flow else ""
    seen = _events(found.get("trace"), "the trace", notes)
    difference = _text(found.get("difference"))
    differing: tuple[EventDifference, ...] = ()
    if golden and hub is not None and flow is not None and seen:
        golden, wanted = _golden(hub, commit, golden, renderer_of(seen), notes)
        if wanted:
            told = compare(wanted, seen, flow.judge.mask, flow.judge.order, flow.judge.tolerances)
            difference = difference or (told.text if told else "")
            differing = tuple(differences(wanted, seen, flow.judge.mask)) if difference else ()
    return FlowFiles(
        found.get("log"), found.get("package-log"), found.get("trace"), found.get("golden"), golden, len(seen),
        difference, differing, tuple(notes), flow,
    )  # fmt: skip


def differences(
    golden: Sequence[Mapping[str, Any]], seen: Sequence[Mapping[str, Any]], mask: Sequence[str] = DEFAULT_MASK
) -> Iterator[EventDifference]:
    """Events at the same place that differ, field by field, masked as the canary does; the first few of them.

    Ids are left out, since they are renumbered before they count. Events that only one side has come last.
    """
    wanted, got = _masked(golden, mask), _masked(seen, mask)
    said = 0
    for place, (want, have) in enumerate(zip(wanted, got, strict=False), 1):
        rows = tuple(_fields(want, have))
        if rows and said < EVENTS_SAID:
            said += 1
            yield EventDifference(place, str(have.get("kind", "event")), rows)
    for sign, more in (("-", wanted[len(got) :]), ("+", got[len(wanted) :])):
        for place, event in enumerate(more[:EVENTS_SAID], min(len(wanted), len(got)) + 1):
            yield EventDifference(place, str(event.get("kind", "event")), ((sign, _value(event)),))


def _masked(events: Sequence[Mapping[str, Any]], mask: Sequence[str]) -> list[dict[str, Any]]:
    lines = trace_to_golden(events, mask).decode("utf-8", "replace").split("\n")
    return [json.loads(line) for line in lines if line]


def _fields(want: Mapping[str, Any], have: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name in dict.fromkeys([*want, *have]):
        old, new = want.get(name), have.get(name)
        if name == "id" or name.endswith("_id") or (name in want and name in have and old == new):
            continue
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _fields(old, new, f"{prefix}{name}.")
        elif isinstance(old, list) and isinstance(new, list) and _is_text(old) and _is_text(new):
            yield " ", f"{prefix}{name}:"
            yield from _rows(old, new)
        else:
            if name in want:
                yield "-", f"{prefix}{name}: {_value(old)}"
            if name in have:
                yield "+", f"{prefix}{name}: {_value(new)}"


def _is_text(rows: list[Any]) -> bool:
    return bool(rows) and all(isinstance(row, str) for row in rows)


def _rows(old: list[str], new: list[str]) -> Iterator[tuple[str, str]]:
    lines = list(difflib.unified_diff(old[:500], new[:500], n=1, lineterm=""))[2:]
    for line in lines[:ROWS_SAID]:
        if not line.startswith("@@"):
            yield line[:1], "  " + line[1:]
    if len(lines) > ROWS_SAID:
        yield " ", f"  … {len(lines) - ROWS_SAID} more lines"


def _value(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= VALUE_CHARS else f"{text[:VALUE_CHARS]}…"


def _path(store: ArtifactStore, name: str, digest: str, notes: list[str]) -> Path | None:
    try:
        if store.has(digest):
            return store.path(digest)
    except SwarmError:
        pass
    notes.append(f"its {name} is gone from the artifact store")
    return None


def _text(path: Path | None) -> str:
    try:
        return path.read_bytes().decode("utf-8", "replace") if path else ""
    except OSError:
        return ""


def _events(path: Path | None, what: str, notes: list[str]) -> list[dict[str, Any]]:
    if path is None:
        return []
    try:
        return parse_trace(path.read_bytes())
    except (OSError, GoldenError) as error:
        notes.append(f"{what} cannot be compared: {error}")
        return []


def _golden(hub: Hub, commit: str, golden: str, renderer: str, notes: list[str]) -> tuple[str, list[dict[str, Any]]]:
    """The path that counts for this system and renderer, and what stands there."""
    path = golden
    try:
        for path in lookups(golden, renderer):
            if (raw := hub.read_file(commit, path)) is not None:
                return path, parse_trace(raw)
        notes.append(f"the golden {golden} is not in commit {commit[:10]}")
    except (SwarmError, GoldenError) as error:
        notes.append(f"the golden {path} cannot be read: {error}")
    return golden, []


def _definition(folders: StateFolder, commit: str, name: str, notes: list[str]) -> tuple[Flow | None, Hub | None]:
    """The flow as committed; goldens and masks may only be read there."""
    try:
        hub = Hub(folders.root)
        settings = load_definitions(partial(hub.read_file, commit), partial(hub.list_files, commit), commit[:10])
    except SwarmError as error:
        notes.append(f"the flow's definition cannot be read: {error}")
        return None, None
    flow = next((each for each in settings.canary.flow if each.name == name), None) if settings else None
    if flow is None:
        notes.append(f"commit {commit[:10]} does not define this flow")
    return flow, hub


def events_for_stories(source: Source, after: int, upto: int, pace_s: float = PACE_S) -> list[Event]:
    """Events of the kinds that stories are made of, up to a seq. Nothing when the journal cannot be read."""
    found: list[Event] = []
    try:
        while after < upto:
            found += [event for event in source.events(after, min(SLICE, upto - after)) if event.kind in KINDS]
            after += SLICE
            time.sleep(pace_s)
    except SwarmError:
        return []
    return found
