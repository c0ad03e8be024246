"""Moving main: landing, restoring, adopting a person's commits. The only commit point is one ref.

Protocol: compute everything that can be computed again (tree, commit with fixed dates and trailers, so its id is
known),
journal the intent, compare-and-swap the ref, journal the outcome. `settle` finishes what a crash left, by looking at
the ref.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import replace

from engine.actions import Adopt, Land, Restore
from engine.effects.goldens import title_of, trailer_of, words_of
from engine.effects.patches import queue_patches
from engine.effects.train import order_gates
from engine.effects.world import World, trailers
from engine.errors import MergeConflict, SwarmError
from engine.git.hub import Hub
from engine.git.notes import attach_missing
from engine.models.event import NewEvent
from engine.models.report import SCHEMA_VERSION
from engine.state import Change, State
from engine.text.sanitise import sanitise, sanitise_line
from engine.text.unlinked import unlinked

SUMMARY_CAP = 4_000


class StaleError(SwarmError):
    """Main is not what the evidence was made for. The planner will ask again for what is needed now."""


async def land(world: World, action: Land) -> None:
    """Land the proved tree of these changes, one commit for each. Recomputes every value that the report is bound to; a
    stale one does not land."""
    state = world.state()
    changes, main = [state.changes[name] for name in action.changes], state.main
    signed = await asyncio.to_thread(world.ports.gates.load, action.report)
    try:
        trees = await asyncio.to_thread(_steps, world.hub, main, changes)
    except MergeConflict as conflict:
        raise StaleError(str(conflict)) from conflict
    names = list(action.changes)
    bound = {
        "tree": (signed.tree, trees[-1]),
        "base": (signed.base, state.main_tree),
        "policy": (signed.policy, state.policy),
        "repository": (signed.repository, state.repository),
        "change": (signed.change, names[-1]),
        "changes": (signed.changes, names if len(names) > 1 else []),
        "result": (signed.result, "green"),
        "schema version": (signed.schema_version, SCHEMA_VERSION),
        "gates": ([gate.name for gate in signed.gates], [gate.name for gate in order_gates(world, state, changes)]),
    }
    if wrong := [name for name, (said, is_) in bound.items() if said != is_]:
        raise StaleError(f"the report {action.report[:19]} does not fit what would land: {', '.join(wrong)}")
    if unfit := await asyncio.to_thread(world.ports.gates.unfit, signed):
        raise StaleError(f"the report {action.report[:19]} was made with other tools: {unfit}")
    effect_id = _effect_id("land", "+".join(names), main, trees[-1])
    outcomes: list[NewEvent] = []
    tip = main
    for change, tree in zip(changes, trees, strict=True):
        parent, parents = tip, [tip, change.head] if change.person and not change.golden else [tip]
        batched = change is not changes[-1]
        own = _effect_id("land", change.id, tip, tree) if batched else effect_id
        message = _landing_message(state, change, action.report, own, batched=batched)
        tip = await asyncio.to_thread(world.hub.commit, tree, parents, message, _stamp(state, change))
        fields = {"change": change.id, "commit": tip, "tree": tree, "report": action.report, "parent": parent}
        fields["effect_id"] = own
        outcomes.append(NewEvent("change_landed", fields, work_order=change.order))
    if gone := [name for name in names if world.state().changes[name].status != "queued"]:
        raise StaleError(f"{gone[0]} does not wait for landing any more")
    if await _move(world, "land", effect_id, tip, main, *outcomes):
        await _moved_on(world, trees[-1])


def _steps(hub: Hub, main: str, changes: list[Change]) -> list[str]:
    """The tree after each of the changes. Raises MergeConflict."""
    trees: list[str] = []
    tip = main
    for before, change in zip([None, *changes], changes, strict=False):
        if before is not None:
            tip = hub.commit(trees[-1], [tip], f"Assumed: {before.id}", 0.0)
        trees.append(hub.merge_tree(tip, change.head))
    return trees


async def restore(world: World, action: Restore) -> None:
    """Put main back to last good's tree: one ordinary commit on top, no rewritten history, its own fresh report."""
    state = world.state()
    main, tree = state.main, await asyncio.to_thread(world.hub.tree_of, action.to)
    proved = state.verified.get(tree)
    if proved is None or proved.result != "green":
        raise SwarmError(f"last good {action.to[:12]} has no green report, so main cannot be restored to it")
    signed = (await world.ports.gates.restore(tree, proved.report, state.main_tree, main, state.policy)).digest
    effect_id = _effect_id("restore", action.to, main, tree)
    gone = [landing.order or landing.commit[:12] for landing in state.landings if landing.commit != action.to]
    why = sanitise_line(state.canaries[action.red].reason)
    message = "\n".join(
        [
            f"Restore main to {action.to[:12]}",
            "",
            f"The canary is red on {action.red[:12]}: {unlinked(why[:300])}",
            f"Taken back for now: {', '.join(gone)}.",
            "",
            trailers([("Work-Order", f"restore-{action.red[:12]}"), ("Report", signed), ("Effect-Id", effect_id)]),
        ]
    )
    commit = await asyncio.to_thread(
        world.hub.commit, tree, [main], message, state.restores_at[-1] if state.restores_at else state.started_at
    )
    fields = {"commit": commit, "tree": tree, "to": action.to, "from": main, "red": action.red, "report": signed}
    if await _move(world, "restore", effect_id, commit, main, NewEvent("main_restored", fields)):
        await _moved_on(world, tree)


async def adopt(world: World, action: Adopt) -> None:
    """Take a person's commits: fast-forward if hub's main is behind them, else propose them as a change of their
    own."""
    state, hub = world.state(), world.hub
    there = action.source == "remote"  # then its commits are in the hub already
    fetched = action.commit if there else await asyncio.to_thread(hub.fetch_user, world.repo, state.branch)
    if fetched != action.commit:
        await world.emit(NewEvent("user_main_seen", {"commit": fetched}))
        return
    if await asyncio.to_thread(hub.is_ancestor, fetched, state.main):
        await world.emit(NewEvent("user_main_settled", {"commit": fetched}))
        return
    tree = await asyncio.to_thread(hub.tree_of, fetched)
    if await asyncio.to_thread(hub.is_ancestor, state.main, fetched):
        commits = [info.commit for info in await asyncio.to_thread(hub.commits_between, state.main, fetched)]
        effect_id = _effect_id("adopt", fetched, state.main, tree)
        fields = {"commit": fetched, "tree": tree, "old": state.main, "commits": commits}
        if there:
            fields["source"] = action.source
        await _move(world, "adopt", effect_id, fetched, state.main, NewEvent("commits_adopted", fields))
        return
    base = await asyncio.to_thread(hub.merge_base, state.main, fetched)
    rows = await asyncio.to_thread(hub.changed, await asyncio.to_thread(hub.tree_of, base), tree)
    fields = {
        "change": f"person/{fetched[:12]}",
        "base": base,
        "head": fetched,
        "tree": tree,
        "person": True,
        "paths": [sanitise_line(row.path) for row in rows],
        "commits": [info.commit for info in await asyncio.to_thread(hub.commits_between, base, fetched)],
        "summary": "a person's commits on main",
        "agent": "",
    }
    await world.emit(NewEvent("change_proposed", fields))


async def settle(world: World) -> None:
    """At start: every intent without an outcome is settled by looking at main, never by guessing."""
    for effect_id, intent in list(world.state().intents.items()):
        if await asyncio.to_thread(
            world.hub.is_ancestor, intent["new"], (await asyncio.to_thread(world.hub.main)).commit
        ):
            outcomes = [intent["outcome"], *intent.get("more", [])]
            await world.emit(*(NewEvent(o["kind"], o["fields"], work_order=o["work_order"]) for o in outcomes))
        else:
            # Main did not move. The evidence may still hold: the planner asks again, with a new intent.
            await world.emit(
                NewEvent(
                    "intent_abandoned",
                    {"effect_id": effect_id, "reason": "main had not moved when the engine came back"},
                )
            )


async def _move(world: World, effect: str, effect_id: str, new: str, old: str, *outcomes: NewEvent) -> bool:
    """Whether main moved: False when somebody else had moved it first."""
    outcomes = tuple(replace(each, fields={"effect_id": effect_id, **each.fields}) for each in outcomes)
    written = [{"kind": each.kind, "fields": each.fields, "work_order": each.work_order} for each in outcomes]
    intent = {"effect": effect, "effect_id": effect_id, "old": old, "new": new, "outcome": written[0]}
    more = {"more": written[1:]} if len(written) > 1 else {}
    # Both have to be durable before the ref moves, and neither needs the other.
    hardening = asyncio.create_task(asyncio.to_thread(world.hub.harden, new, old))
    await world.emit(NewEvent("intent", intent | more, work_order=outcomes[0].work_order))
    await hardening
    if not await asyncio.to_thread(world.hub.move_main, new, old, hardened=True):
        await world.emit(NewEvent("intent_abandoned", {"effect_id": effect_id, "reason": "main had moved on"}))
        return False
    await world.emit(*outcomes)
    world.on_main_moved()
    world.log.info("git", f"main moved by {effect}", commit=new)
    return True


async def _moved_on(world: World, tree: str) -> None:
    """What may follow a move and need not: the evidence as a note beside the commit, and warm caches."""
    if world.settings().project.publish == "none":  # else both go with what is published
        await note_evidence(world)
        await queue_patches(world)
    await world.ports.gates.landed(tree)


async def note_evidence(world: World) -> None:
    """Attach the reports of the newest landed commits to them, where that is still to be done."""

    def evidence(digest: str) -> list[bytes]:
        report = world.ports.gates.load(digest)
        return [world.artifacts.get(each) for each in (digest, *report.envelopes)]

    def attach() -> None:
        with world.noting:  # in the thread: it goes on when whoever waits for it is cancelled
            attach_missing(world.hub, evidence)

    try:
        await asyncio.to_thread(attach)
    except (SwarmError, OSError) as error:
        world.log.warning("git", f"the evidence could not be noted beside its commit: {error}")


def _effect_id(*parts: str) -> str:
    return f"{parts[0]}-{hashlib.sha256('|'.join(parts).encode()).hexdigest()[:16]}"


def _stamp(state: State, change: Change) -> float:
    """A fixed date for the commit: when its order was last touched before landing, so that a repeat makes the
    same id."""
    order = state.orders.get(change.order)
    return order.since if order else state.started_at


def _landing_message(state: State, change: Change, report: str, effect_id: str, *, batched: bool) -> str:
    """The engine writes the message. Agents' words are sanitised, capped and indented, so that none can pass for
    a trailer, and no forge acts on them."""
    order, golden = state.orders.get(change.order), state.goldens.get(change.golden)
    title = sanitise_line(order.spec.title)[:100] if order else f"Merge a person's commits ({change.head[:12]})"
    if golden is not None and order is None:
        title = title_of(golden)
    said = sanitise(change.summary)[:SUMMARY_CAP]
    quoted = "\n".join(f"    {line}" for line in [*said.splitlines(), *(words_of(golden) if golden else [])])
    pairs: list[tuple[str, str]] = [
        ("Work-Order", change.order or f"person-{change.head[:12]}"),
        *([trailer_of(golden)] if golden else []),
        ("Batch-Report" if batched else "Report", report),
    ]
    if change.agent:
        pairs.append(("Agent", change.agent))
    if order is not None and not order.spec.auto_revert:
        pairs.append(("Auto-Revert", "off"))
    pairs.append(("Effect-Id", effect_id))
    body = [unlinked(title), ""]
    if quoted:
        body += [unlinked(quoted), ""]
    return "\n".join([*body, trailers(pairs)])
