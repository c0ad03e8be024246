"""A golden that waits, as a person reads it: how what was shown differs from what is recorded. Blocks; not for the
room's thread."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.artifacts import ArtifactStore
from engine.errors import SwarmError
from engine.folders import StateFolder
from engine.golden_state import Golden, pending
from engine.state import State
from engine.text.sanitise import sanitise_line

MOST_ROWS = 400
ROW_CHARS = 400
LOOKED_AT = 1_000_000


@dataclass(frozen=True)
class GoldenFacts:
    """rows: ("-" | "+" | " ", clean text); "-" is the golden, "+" what was shown. files: what, and where it lies.
    problem: why there is nothing to see, or ""."""

    rows: tuple[tuple[str, str], ...] = ()
    files: tuple[tuple[str, Path], ...] = ()
    problem: str = ""


def facts_of(folders: StateFolder, one: Golden) -> GoldenFacts:
    """Read from the artifacts. A new golden is shown whole, as lines that come; of a picture only where it lies."""
    store = ArtifactStore(folders.artifacts)
    named = (("shown", one.digest), ("golden", one.was), ("difference", one.difference))
    files = tuple((what, path) for what, digest in named if digest and (path := _path(store, digest)) is not None)
    try:
        content = store.get(one.digest)
        difference = store.get(one.difference) if one.difference else b""
    except SwarmError as error:
        return GoldenFacts((), files, sanitise_line(str(error)))
    if b"\0" in content[:LOOKED_AT] or b"\0" in difference[:LOOKED_AT]:
        return GoldenFacts((), files)
    lines = _lines(difference) if difference else [f"+{row}" for row in _lines(content)]
    rows = [(row[:1] or " ", _clean(row[1:])) for row in lines[:MOST_ROWS] if not row.startswith(("---", "+++", "@@"))]
    if len(lines) > MOST_ROWS:
        rows.append((" ", f"… {len(lines) - MOST_ROWS} more lines"))
    return GoldenFacts(tuple(rows), files)


def kind_of(one: Golden) -> str:
    """In a word: whether something is recorded there already."""
    return "changed" if one.was else "new"


def waiting_of(state: State, flow: str) -> str:
    """The first golden of this flow that waits, by its id; "" when none does."""
    return next((one.id for one in pending(state.goldens.values()) if one.flow == flow), "")


def _lines(content: bytes) -> list[str]:
    return content[:LOOKED_AT].decode("utf-8", "replace").rstrip("\n").split("\n")


def _clean(text: str) -> str:
    return sanitise_line(text, line_cap=ROW_CHARS)


def _path(store: ArtifactStore, digest: str) -> Path | None:
    try:
        return store.path(digest) if store.has(digest) else None
    except SwarmError:
        return None
