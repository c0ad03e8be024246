"""The patch queue: what landed as mails that `git am` takes, for whoever has no remote.

One patch for each commit on main's first-parent line since a base; `series` names them in order, `cover-letter.txt`
says what they are and what proves them. On the base they give main's tree, byte for byte. A merge of a person's
commits is one patch, since no mail can hold a merge.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from engine.durable import write_durably
from engine.errors import SwarmError
from engine.git.hub import CommitInfo, Hub
from engine.git.names import check_id
from engine.text.sanitise import sanitise_line

SERIES, COVER, INDEX = "series", "cover-letter.txt", "queue.json"

_FORMAT = (
    "format-patch", "--stdout", "-1", "--no-numbered", "--no-signature", "--full-index", "--binary", "--no-renames",
    "--no-attach", "--no-thread", "--no-cover-letter", "--no-notes", "--no-ext-diff", "--no-textconv", "--no-color",
    "--subject-prefix=PATCH", "--ignore-submodules=none",
)  # fmt: skip
_LONG_S = 600.0


@dataclass
class Queue:
    """What lies in the folder. `files` in order, "" for a commit that changes nothing; `commits` beside it. `epoch`: of
    the engine that began it."""

    base: str
    tip: str
    epoch: int = 0
    commits: list[str] = field(default_factory=list[str])
    files: list[str] = field(default_factory=list[str])


def read_queue(folder: Path) -> Queue | None:
    """The queue in a folder; None when there is none, or not a whole one."""
    try:
        raw = json.loads((folder / INDEX).read_bytes())
        queue = Queue(**raw)
        check_id(queue.base)
        there = all((folder / name).is_file() for name in queue.files if name)
        return queue if there and len(queue.commits) == len(queue.files) else None
    except (OSError, ValueError, TypeError, AttributeError, SwarmError):
        return None


def write_queue(
    hub: Hub, folder: Path, base: str, tip: str, epoch: int, told: Callable[[CommitInfo], str] = lambda info: ""
) -> Queue:
    """Bring the folder up to `tip`. What is there of the same base is kept, so each landing costs one patch.

    Interrupted anywhere it is repeated to the same files. told: a line about a commit for the cover letter. Raises
    GitError and OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    known = read_queue(folder)
    infos = hub.commits_between(base, tip, first_parent=True)
    names = [info.commit for info in infos]
    kept = known if known is not None and known.base == base and names[: len(known.commits)] == known.commits else None
    queue = Queue(base, tip, epoch, list(kept.commits) if kept else [], list(kept.files) if kept else [])
    for nth, info in enumerate(infos[len(queue.commits) :], len(queue.commits) + 1):
        patch = _patch(hub, info, base if nth == 1 else "")
        name = f"{nth:04}-{_slug(info.subject)}.patch" if patch else ""
        if patch:
            write_durably(folder / name, patch)
        queue.commits.append(info.commit)
        queue.files.append(name)
    write_durably(folder / COVER, _cover(hub, queue, infos, told).encode("utf-8"))
    write_durably(folder / SERIES, "".join(f"{name}\n" for name in queue.files if name).encode("ascii"))
    write_durably(folder / INDEX, json.dumps(asdict(queue)).encode("ascii"))
    for old in folder.glob("*.patch"):
        if old.name not in queue.files:
            old.unlink(missing_ok=True)
    return queue


def _patch(hub: Hub, info: CommitInfo, base: str) -> bytes:
    """b"" for a commit that changes nothing."""
    commit = info.commit
    if len(info.parents) > 1:
        message = hub.git.run("log", "-1", "--no-show-signature", "--format=%B", commit, "--").stdout
        commit = hub.commit(info.tree, info.parents[:1], message.decode("utf-8", "replace"), info.at)
    named = [f"--base={base}"] if base else []
    return hub.git.run(*_FORMAT, *named, commit, timeout_s=_LONG_S).stdout


def _slug(subject: str) -> str:
    """A file name on every system."""
    return re.sub(r"[^A-Za-z0-9]+", "-", subject)[:52].strip("-") or "patch"


def _cover(hub: Hub, queue: Queue, infos: list[CommitInfo], told: Callable[[CommitInfo], str]) -> str:
    rows = [
        f"{len([name for name in queue.files if name])} patches",
        "",
        f"Base-Commit: {queue.base}",
        f"Base-Tree: {hub.tree_of(queue.base)}",
        f"Tip-Commit: {queue.tip}",
        f"Tip-Tree: {hub.tree_of(queue.tip)}",
        "",
        "To apply them, in a clean checkout:",
        "",
        f"    git switch --create swarm {queue.base}",
        "    git am --keep-cr FOLDER/0*.patch      (the names are in the file series, in order)",
        "    git rev-parse HEAD^{tree}             (must print the Tip-Tree)",
        "",
        "Each patch names its report in a trailer. It proves the tree that main had with that commit, so these patches",
        "are proved together and in this order, on this base.",
        "",
    ]
    for info, name in zip(infos, queue.files, strict=True):
        digest = next(iter(info.trailers.get("Report", []) or info.trailers.get("Batch-Report", [])), "none")
        rows += [name or "(changes nothing)", f"    {sanitise_line(info.subject)[:200]}", f"    commit {info.commit}"]
        rows += [f"    tree {info.tree}", f"    report {sanitise_line(digest)[:80]}"]
        rows += [f"    {line}"] if (line := sanitise_line(told(info))[:400]) else []
    return "\n".join(rows) + "\n"
