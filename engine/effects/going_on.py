"""A run goes on with the files of the one before it, where its provider's limit ended that one."""

from __future__ import annotations

from dataclasses import dataclass

from engine.errors import MergeConflict
from engine.git.hub import Hub
from engine.state import Order
from engine.text.sanitise import sanitise_line

SHOWN_PATHS = 5
_LIMIT = "the run before it was ended by its provider's limit"


@dataclass(frozen=True)
class Given:
    """tree: what the run starts with instead of its base's files, "" for those. kept: the commit that they are of.
    said: one clause about it, for its agent and for people."""

    tree: str = ""
    kept: str = ""
    said: str = ""


def kept_files(hub: Hub, order: Order, base: str) -> Given:
    """What is left of a run that its provider's limit ended, as changes of the commit `base`. Raises GitError."""
    if not order.unfinished:
        return Given()
    try:
        tree = hub.merge_tree(base, order.unfinished)
    except MergeConflict as conflict:
        shown = sanitise_line(", ".join(conflict.paths[:SHOWN_PATHS]), line_cap=300)
        more = f" and {len(conflict.paths) - SHOWN_PATHS} more" if len(conflict.paths) > SHOWN_PATHS else ""
        kept = f"its files are kept as {order.unfinished[:12]}"
        return Given(said=f"it starts afresh: {_LIMIT}, and main has changed {shown}{more} since; {kept}")
    if tree == hub.tree_of(base):
        return Given()
    return Given(tree, order.unfinished, f"it goes on with these files: {_LIMIT}, and left them")
