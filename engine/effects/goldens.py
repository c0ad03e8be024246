"""Bringing an accepted golden to main: a commit with that one file, or the change that needs it together with it."""

from __future__ import annotations

import asyncio

from engine.actions import ProposeGolden
from engine.effects.world import World, trailers
from engine.errors import SwarmError
from engine.git.names import is_plain_path
from engine.git.trees import compose, write_blob
from engine.golden_state import Golden
from engine.models.event import NewEvent
from engine.state import Change, State
from engine.text.sanitise import sanitise_line

_FILE = "100644"


async def propose_golden(world: World, action: ProposeGolden) -> None:
    """Make the commit and put it on the train. Raises SwarmError when the artifact is gone or damaged."""
    await world.emit(await asyncio.to_thread(_proposed, world, world.state(), action))


def _proposed(world: World, state: State, action: ProposeGolden) -> NewEvent:
    one, hub = state.goldens[action.golden], world.hub
    brought = [one, *(state.goldens[name] for name in action.also)]
    for each in brought:
        if not is_plain_path(each.path):
            said = sanitise_line(each.path)[:200]
            raise SwarmError(f"the golden's path {said} cannot stand in a tree: name another one")
    before = state.changes.get(action.of)
    base, start = (before.base, before.tree) if before is not None else (state.main, state.main_tree)
    files = {each.path: (_FILE, write_blob(hub, world.artifacts.get(each.digest))) for each in brought}
    tree = compose(hub, start, files)
    if before is None and tree == start:
        return NewEvent("golden_settled", {"golden": one.id, "commit": state.main})
    order = state.orders.get(before.order) if before is not None else None
    title = f"{sanitise_line(order.spec.title)[:100]}, with its golden" if order else title_of(one)
    message = "\n".join([title, "", *words_of(one), "", trailers([trailer_of(one)])])
    head = hub.commit(tree, [base], message, one.seen_at)
    ident = _fresh_name(state, one, before)
    hub.keep(ident, head)
    paths = list(dict.fromkeys([*(before.paths if before is not None else []), *map(sanitise_line, files)]))
    fields = {"golden": one.id, "change": ident, "base": base, "head": head, "tree": tree, "paths": paths}
    more = {"of": action.of, "also": list(action.also)}
    return NewEvent("golden_proposed", fields | more, work_order=before.order if before else "")


def title_of(one: Golden) -> str:
    """The first line of the commit."""
    return f"Accept the golden {sanitise_line(one.path)[:160]}"


def words_of(one: Golden) -> list[str]:
    """What the commit's message says of it."""
    return [
        f"Flow {sanitise_line(one.flow)} showed it on {one.commit[:12]}.",
        f"{sanitise_line(one.by)[:100]} takes it for right: {one.digest}",
    ]


def trailer_of(one: Golden) -> tuple[str, str]:
    """By which the commit can be found."""
    return ("Golden", f"accepted {one.id}")


def _fresh_name(state: State, one: Golden, before: Change | None) -> str:
    start = f"agent/{before.order}/{one.id}" if before is not None else f"golden/{one.id}"
    number = 0
    while (name := f"{start}-{number}" if number else start) in state.changes:
        number += 1
    return name
