"""Read-only mode: the journal cannot be believed, so no engine runs on it and no command reaches it.

It is a file in the state folder, so that whoever looks from outside knows without verifying anything himself. Nothing
is deleted: what is there is evidence. The next start that finds the journal whole takes the file away.
"""

from __future__ import annotations

import json
from contextlib import suppress

from engine.durable import write_durably
from engine.errors import JournalBroken
from engine.folders import StateFolder
from engine.models.event import utc_text

MOST_BYTES = 10_000


def enter(folders: StateFolder, broken: JournalBroken, now: float) -> JournalBroken:
    """Write down that nothing may run here and why; the same as one sentence that says what to do."""
    said = (
        f"the journal was changed by something else: {broken}; nothing runs on it: put back a copy of the state folder "
        f"{folders.root}, or move it away to keep it as evidence, then start again"
    )
    found = {"reason": said, "event": broken.event, "at": utc_text(now)}
    with suppress(OSError):  # a full disk: the sentence is said all the same
        write_durably(folders.broken, json.dumps(found).encode("ascii") + b"\n")
    return JournalBroken(said, broken.event)


def leave(folders: StateFolder) -> None:
    """The journal is whole."""
    with suppress(OSError):
        folders.broken.unlink(missing_ok=True)


def reason(folders: StateFolder) -> str:
    """Why nothing may run on this state folder, as one sentence; "" when it may."""
    try:
        with folders.broken.open("rb") as file:
            return str(json.loads(file.read(MOST_BYTES))["reason"])
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return f"the journal was found to be changed, but {folders.broken} cannot be read: start `swarm --no-ui`"
