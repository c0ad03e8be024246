"""What a handoff causes, by role: a change, proposed work orders, tests for another order, or nothing more."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from engine.actions import JoinTests
from engine.adr import adr_folder
from engine.effects.world import KEEP_WORDS, World
from engine.errors import MergeConflict
from engine.git.hub import Hub
from engine.git.workspaces import Harvest
from engine.models.event import NewEvent
from engine.models.handoffs import Abort, Changing, DesignContract, Handoff, HandoffError, Proposing, Tests
from engine.models.settings import RoleName
from engine.planner.roles import TEST_FILES, contracts_of, role_of, tests_of
from engine.ports import GuardRequest
from engine.proposals import boundaries, checked
from engine.scope import matches
from engine.state import Change, Order, State
from engine.text.sanitise import sanitise, sanitise_line

PATHS_CAP_CHARACTERS = 200_000
"""Of the changed paths as JSON: they go into events whole, and an event has its limit."""
SKIPPED_CAP = 50
ASK_CHARS = 60
_NO_FILES: frozenset[RoleName] = frozenset({"coordinator", "triager"})
_ORDERS_TOLD = 200


class NotTaken(HandoffError):
    """There is no use in returning it: it is not the handoff that is wrong."""


# -- what an agent is told beside its order --------------------------------------------------------------------------
# Asked in threads, while events go on being folded: all orders are looked at in a copy of the list.


def contract_of(world: World, order: Order) -> dict[str, Any]:
    """The landed Design Contracts that the order stands under, by the orders that made them. Raises SwarmError when the
    artifact of one is gone."""
    found = {one.spec.id: world.artifacts.get_json(one.handoff) for one in contracts_of(world.state(), order.spec)}
    # Where nobody is the architect, implementers do such orders, and what they hand in is no contract.
    return {ident: fields for ident, fields in found.items() if "interfaces" in fields}


def about_of(world: World, order: Order) -> dict[str, Any]:
    """What the role has to know beside that."""
    state, settings = world.state(), world.settings()
    role = role_of(order.spec, settings.roles)
    if role == "coordinator":
        rows = [(each.spec, each.phase) for each in list(state.orders.values()) if each is not order]
        return {
            "orders": [
                {"id": spec.id, "title": spec.title, "kind": spec.kind, "phase": phase}
                for spec, phase in rows[-_ORDERS_TOLD:]
            ]
        }
    if role == "verifier":
        return {"oracle": " ".join(settings.verifier.oracle)}
    if role in ("architect", "scribe"):
        return {"adr": adr_folder(world.hub.list_files(state.main))}
    return {}


def given_tree(hub: Hub, state: State, order: Order, base: str) -> str | None:
    """What a run is given instead of the files of `base`: those with the tests that the verifier wrote for it, once
    they are there and fit."""
    tests = tests_of(state, order.spec.id)
    if tests is None or not tests.done.get("head"):
        return None
    try:
        return hub.merge_tree(base, tests.done["head"])
    except MergeConflict:
        return None


# -- what follows ----------------------------------------------------------------------------------------------------


def said_of(
    world: World, order: Order, role: RoleName, raw: bytes | None, harvest: Harvest
) -> tuple[Handoff, list[NewEvent]]:
    """What was handed in, judged, and the events that it causes. Raises HandoffError, for the agent to read."""
    said = world.ports.roles.handoff(role, raw, harvest.changed_paths)
    if isinstance(said, Abort):
        return said, []
    if harvest.changed_paths and role in _NO_FILES:
        named = sanitise_line(", ".join(harvest.changed_paths[:5]), line_cap=300)
        raise HandoffError(f"a {role} changes no files, and these are changed: {named}; put them back")
    if len(json.dumps(harvest.changed_paths)) > PATHS_CAP_CHARACTERS:
        count = len(harvest.changed_paths)
        raise NotTaken(f"it changes {count} paths, more than one change can name: hand in less, or shorter names")
    received = {"role": role, "digest": "", "summary": sanitise(_summary(said))[:KEEP_WORDS]}
    if isinstance(said, DesignContract):
        received |= {"forbidden": boundaries(said)}
    events = _proposed(world, order, said) if isinstance(said, Proposing) else []
    if isinstance(said, Tests) and order.tests_for:
        events.append(_tests(order, said, harvest))
    elif not harvest.changed_paths and not events:
        raise NotTaken("nothing was changed")
    elif not harvest.changed_paths:
        events.append(NewEvent("work_order_done", {"summary": received["summary"]}))
    # What is stored is what was taken, in our own words for it.
    received["digest"] = world.artifacts.put_json(said.model_dump(mode="json", by_alias=True))
    return said, [NewEvent("handoff_received", received), *events]


def _summary(said: Handoff) -> str:
    if isinstance(said, Changing):
        return said.summary
    return str(getattr(said, "why", "") or getattr(said, "title", ""))


def _proposed(world: World, order: Order, said: Proposing) -> list[NewEvent]:
    state = world.state()
    known = {each.spec.id: each.spec for each in list(state.orders.values())}
    orders = checked(said.orders, order.spec, known, list(state.items.values()), world.settings())
    return [
        NewEvent(
            "work_order_added",
            {
                "order": each.model_dump(mode="json", by_alias=True, exclude_defaults=True),
                "because": f"{order.spec.id} proposes it",
                "proposed": order.spec.id,
            },
            work_order=each.id,
        )
        for each in orders
    ]


def _tests(order: Order, said: Tests, harvest: Harvest) -> NewEvent:
    """Its change joins the other's, so its scope is looked at here; all other guards see it there."""
    if not harvest.changed_paths:
        raise NotTaken("no test was written")
    if outside := [path for path in harvest.changed_paths if not matches(path, order.spec.allow or TEST_FILES)]:
        raise HandoffError(f"{sanitise_line(outside[0])} is not a file of tests that it may write: take it back")
    fields = {
        "summary": sanitise(said.summary)[:KEEP_WORDS],
        "head": harvest.commit,
        "base": harvest.base_commit,
        "paths": [sanitise_line(path) for path in harvest.changed_paths],
        "later": [sanitise_line(each) for each in (*said.stress, *said.goldens)],
    }
    return NewEvent("work_order_done", fields)


async def refused_tests(world: World, order: Order, said: Handoff | None, harvest: Harvest | None) -> str:
    """Why the guards would refuse the change that these tests join, for who wrote them: the other could not mend it."""
    if not isinstance(said, Tests) or not order.tests_for or harvest is None:
        return ""
    base = await asyncio.to_thread(world.hub.tree_of, harvest.base_commit)
    allow, deny = tuple(order.spec.allow), tuple(order.spec.deny)
    request = GuardRequest(harvest.tree, base, allow, deny, world.settings().guards, order.spec.id, named=())
    denied = [result for result in await world.ports.gates.guard(request) if not result.ok]
    return sanitise_line(f"the guard {denied[0].rule} refuses it: {denied[0].reason}") if denied else ""


def proposal(run: str, harvest: Harvest, said: Changing, agent: str) -> dict[str, Any]:
    """The fields of `change_proposed`."""
    order, number = run.rsplit(".", 1)
    return {
        "change": f"agent/{order}/{number}-{harvest.tree[:8]}",
        "base": harvest.base_commit,
        "head": harvest.commit,
        "tree": harvest.tree,
        "paths": [sanitise_line(path) for path in harvest.changed_paths],
        "summary": sanitise(said.summary)[:KEEP_WORDS],
        "risk": sanitise(said.risk)[:KEEP_WORDS],
        "rollback": sanitise(said.rollback)[:KEEP_WORDS],
        "agent": agent,
        "skipped": _skipped(harvest.skipped),
        "asks": [sanitise_line(ask)[:ASK_CHARS] for ask in said.asks],
    }


def _skipped(lines: list[str]) -> list[str]:
    more = len(lines) - SKIPPED_CAP
    return [*lines[:SKIPPED_CAP], *([f"… and {more} more"] if more > 0 else [])]


# -- tests that join a change ----------------------------------------------------------------------------------------


async def join_tests(world: World, action: JoinTests) -> None:
    """Merge the verifier's tests into the change that they were written for; from there on it is judged with them. A
    change that has other words for the same tests is rejected."""
    state = world.state()
    change, tests = state.changes[action.change], state.orders[action.tests].done
    if change.status != "proposed":
        return
    await world.emit(await asyncio.to_thread(joined, world.hub, change, action.tests, tests))


def joined(hub: Hub, change: Change, order: str, tests: Mapping[str, Any]) -> NewEvent:
    """What becomes of `change` with the tests of the work order `order` (`tests`: its `work_order_done`). The joined
    change starts from the newer of their two bases, so that what landed between is not held to be its own."""
    base = tests["base"] if hub.is_ancestor(change.base, tests["base"]) else change.base
    paths: list[str] = tests["paths"]
    try:
        wanted = hub.ids_at(hub.commit(hub.merge_tree(base, tests["head"]), [], "Tests\n", 0.0), paths)
    except MergeConflict as conflict:
        said = sanitise_line(", ".join(conflict.paths), line_cap=400)
        told = f"main has changed what these tests stand on ({said}): write them again on today's main"
        return NewEvent("work_order_ready", {"feedback": [told]}, work_order=order)
    try:
        tree = hub.merge_tree(change.head, tests["head"])
    except MergeConflict as conflict:
        if not set(conflict.paths) & set(paths):
            said = sanitise_line(", ".join(conflict.paths), line_cap=400)
            reason = f"it does not merge with main ({base[:12]}): conflict in {said}; redo it on today's main"
            return NewEvent("change_rejected", {"change": change.id, "reasons": [reason]}, work_order=change.order)
        bent, head, tree = conflict.paths, "", ""
    else:
        head = hub.commit(tree, [change.head, tests["head"]], f"Join the tests of {order}\n", 0.0)
        bent = [path for path in paths if hub.ids_at(head, [path]).get(path) != wanted.get(path)]
    if bent:
        said = sanitise_line(", ".join(bent), line_cap=400)
        reason = (
            f"it changes files in which the verifier wrote the tests of this order ({said}): leave them as they are"
        )
        return NewEvent("change_rejected", {"change": change.id, "reasons": [reason]}, work_order=change.order)
    hub.keep(f"{change.id}-joined", head)
    fields = {"change": change.id, "tests": order, "joined": tests["head"], "base": base, "head": head, "tree": tree}
    return NewEvent(
        "tests_joined", fields | {"paths": list(dict.fromkeys([*change.paths, *paths]))}, work_order=change.order
    )
