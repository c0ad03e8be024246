"""What a question would change, read from the engine's repository: named files, changed paths, the difference.

Blocking, and bounded: called in a thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from engine.errors import SwarmError
from engine.git.hub import Entry, Hub
from engine.text.sanitise import sanitise, sanitise_bytes, sanitise_line
from swarm_tui.room import words
from swarm_tui.room.question import Line, Sides

MAX_ROWS = 200
MAX_MEASURED = 5_000
"""Files of a named folder whose sizes are added up."""
DIFF_BYTES = 60_000
FILE_BYTES = 8_000
FILE_LINES = 60
MAX_NAMED = 10

_STATUS = {"A": ("+", "added", "good"), "D": ("−", "deleted", "bad"), "M": ("~", "changed", "plain")}


def evidence_of(state: Path, sides: Sides) -> list[Line]:
    """The evidence as lines of a sheet. `state`: the state folder. What cannot be read is said, never raised."""
    try:
        hub = Hub(state)
        return [*_named(hub, sides), *_changed(hub, sides)]
    except (SwarmError, ValueError, OSError) as error:
        return [Line("evidence", f"it cannot be read: {sanitise_line(str(error))}", "attention")]


def _changed(hub: Hub, sides: Sides) -> list[Line]:
    rows = hub.changed(sides.old, sides.new)
    if not rows:
        return [Line("changes", f"nothing ({sides.about})", "quiet")]
    lines = [Line("changes", f"{len(rows)} file{'s' * (len(rows) != 1)}: {sides.about}")]
    sizes = hub.blob_sizes(
        {
            sha
            for row in rows[:MAX_ROWS]
            for sha in (row.old_sha, row.new_sha)
            if _is_blob(sha, row.new_mode, row.old_mode)
        }
    )
    for row in rows[:MAX_ROWS]:
        glyph, word, tone = _STATUS.get(row.status, ("?", "type changed", "attention"))
        size = sizes.get(row.old_sha if row.status == "D" else row.new_sha)
        measured = f" · {words.size(size)}" if size is not None else ""
        lines.append(Line("", f"{glyph} {word} {sanitise_line(row.path)}{measured}", tone, exact=True))
    if len(rows) > MAX_ROWS:
        lines.append(Line("", f"… and {len(rows) - MAX_ROWS} more", "attention"))
    text = sanitise(hub.diff_text(sides.old, sides.new, DIFF_BYTES))
    lines.append(Line("", ""))
    lines += [
        Line("" if at else "diff", row, _tone(row), exact=True) for at, row in enumerate(text.rstrip("\n").split("\n"))
    ]
    return lines


def _is_blob(sha: str, *modes: str) -> bool:
    return set(sha) != {"0"} and "160000" not in modes


def _tone(row: str) -> str:
    if row.startswith(("+++", "---", "diff ", "index ", "new file", "deleted file")):
        return "quiet"
    return {"+": "good", "-": "bad", "@": "busy"}.get(row[:1], "plain")


def _named(hub: Hub, sides: Sides) -> list[Line]:
    """Files and folders of the tree that a command names: what it runs, or what it would remove."""
    lines: list[Line] = []
    for path in _paths(sides.argv):
        entries = hub.entries(sides.new, path)
        if entries:
            lines += _folder(hub, path, entries)
            continue
        content = hub.read_file(sides.new, path)
        if content is not None:
            lines += _file(path, content)
    return lines


def _paths(argv: Sequence[str]) -> list[str]:
    """Arguments that could be paths below the top, in order. Whether they are is for the tree to say."""
    plain = (part.replace("\\", "/").removeprefix("./").strip("/") for part in argv if 0 < len(part) < 1_000)
    found = (part for part in plain if part and not part.startswith("-") and "\0" not in part and "\n" not in part)
    return list(dict.fromkeys(found))[:MAX_NAMED]


def _folder(hub: Hub, path: str, entries: list[Entry]) -> list[Line]:
    blobs = [entry for entry in entries if entry.kind == "blob"]
    sizes = hub.blob_sizes({entry.sha for entry in blobs[:MAX_MEASURED]})
    total = words.size(sum(sizes.get(entry.sha, 0) for entry in blobs))
    least = "at least " if len(blobs) > MAX_MEASURED else ""
    lines = [Line("names", f"folder {sanitise_line(path)}: {len(entries)} files, {least}{total}", "attention")]
    for entry in entries[:MAX_ROWS]:
        size = f" · {words.size(sizes[entry.sha])}" if entry.sha in sizes else ""
        lines.append(Line("", f"{sanitise_line(entry.path)}{size}", exact=True))
    if len(entries) > MAX_ROWS:
        lines.append(Line("", f"… and {len(entries) - MAX_ROWS} more", "attention"))
    return [*lines, Line("", "")]


def _file(path: str, content: bytes) -> list[Line]:
    lines = [Line("names", f"file {sanitise_line(path)} · {words.size(len(content))}")]
    if b"\0" in content[:FILE_BYTES]:
        return [*lines, Line("", "it is binary", "quiet")]
    rows = sanitise_bytes(content[:FILE_BYTES]).rstrip("\n").split("\n")
    lines += [Line("", f"│ {row}", "quiet", exact=True) for row in rows[:FILE_LINES]]
    if len(rows) > FILE_LINES or len(content) > FILE_BYTES:
        lines.append(Line("", "… it goes on", "attention"))
    return [*lines, Line("", "")]
