"""Publishing to the user's remote: one round looks, takes in, pushes or proposes, and says what came of it.

A round may be killed anywhere: nothing is believed that was not looked at, and every step that changes the remote does
nothing when it is done already. It never forces, never asks and never waits without an end; what does not work becomes
"publish pending" with a reason, and the night goes on.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from engine.actions import PublishRemote
from engine.effects.moves import note_evidence
from engine.effects.pull_requests import propose_and_mirror
from engine.effects.world import World
from engine.errors import SwarmError, UserError
from engine.forge.http import ForgeFault
from engine.git.hub import Hub
from engine.git.notes import NOTES
from engine.git.remote import Remote, RemoteFault
from engine.git.remote_login import Address, address_of, environment, login_settings
from engine.models.event import NewEvent
from engine.process.tree import MARKER, kill_marked
from engine.remote_tip import remote_tip

BRIDGE = "Join what landed with how the remote has it\n"


@dataclass(frozen=True)
class Met:
    """What the remote's main is at ("": it has none), and by which commit a person's commits there are taken in ("":
    all is known)."""

    theirs: str
    adopt: str
    notes: str


async def publish_remote(world: World, action: PublishRemote) -> None:
    """One round. Cancelling it ends git, with whatever it has started."""
    marker = f"{world.folders.marker}.git/remote"  # below the hub's own: what a dead engine left is killed at start
    try:
        await note_evidence(world)
        await _round(world, marker)
    except asyncio.CancelledError:
        await asyncio.shield(asyncio.to_thread(kill_marked, marker))
        raise
    except (RemoteFault, UserError) as fault:
        await _pending(world, str(fault))
    except ForgeFault as fault:
        await _pending(world, str(fault), fault.after_s)


async def _round(world: World, marker: str) -> None:
    state, settings = world.state(), world.settings()
    main, tip = state.main, remote_tip(state, settings)
    address = await asyncio.to_thread(address_of, world.repo, settings.project.remote, never_below=world.folders.root)
    remote = Remote(world.hub, address, await asyncio.to_thread(_environment, world, address, marker))
    met = await asyncio.to_thread(meet, remote, state.branch, main)
    if met.adopt and met.adopt != state.remote.seen:
        await world.emit(NewEvent("remote_main_seen", {"commit": met.theirs, "adopt": met.adopt}))
        return
    if met.adopt:
        refused = next((c.why for c in state.changes.values() if c.person and c.head == met.adopt), "")
        failed = state.failures.get(f"adopt:{met.adopt}")
        said = refused or (failed.error if failed is not None else "")
        why = f" ({said})" if said else ""
        await _pending(
            world,
            f"{address.shown} has commits up to {met.theirs[:12]} that cannot join what landed{why}: merge both there "
            "or here, and the swarm takes it from there.",
        )
        return
    if settings.merge.land_via == "pull_request":
        if not met.theirs:
            raise UserError(
                f"{address.shown} has no branch {state.branch} to open pull requests against: push it there once."
            )
        said = await propose_and_mirror(world, remote, met.theirs, tip)
    else:
        if met.theirs != main:
            await asyncio.to_thread(remote.advance, f"refs/heads/{state.branch}", main, met.theirs or None)
        said = [NewEvent("published", {"commit": main, "to": "remote"})]
        world.log.info("publish", f"{address.name} has {main[:12]}")
    if refusal := await asyncio.to_thread(_push_notes, remote, met.notes):
        world.log.warning("publish", refusal)
    await world.emit(*said)  # last: with it the round is over, and what still ran would be cancelled


def _environment(world: World, address: Address, marker: str) -> dict[str, str]:
    return {**environment(login_settings(world.repo, address)), MARKER: marker}


def meet(remote: Remote, branch: str, main: str) -> Met:
    """Look at the remote, and fetch what the hub does not have. Raises RemoteFault."""
    ref, hub = f"refs/heads/{branch}", remote.hub
    seen = remote.look(ref, NOTES)
    theirs, notes = seen.get(ref, ""), seen.get(NOTES, "")
    if not theirs or hub.is_ancestor(theirs, main):
        return Met(theirs, "", notes)
    theirs = remote.fetch(branch)
    if hub.is_ancestor(theirs, main):
        return Met(theirs, "", notes)
    try:
        base = hub.merge_base(theirs, main)
    except SwarmError as error:
        raise RemoteFault(
            "refused", f"{remote.address.shown} has a {branch} without any common history with this repository's: "
            "see whether project.remote names the right one."
        ) from error  # fmt: skip
    return Met(theirs, bridge(hub, base, theirs, main) or theirs, notes)


def bridge(hub: Hub, base: str, theirs: str, main: str) -> str:
    """Where the remote landed what we have by other commits (a squashed or rebased pull request): a merge of its commit
    with the landing that has the very same tree, so that what landed since does not conflict with itself. Else "".

    Nothing refers to it yet; made again, it has the same id.
    """
    tree = hub.tree_of(theirs)
    same = [info for info in hub.commits_between(base, main, first_parent=True) if info.tree == tree]
    if not same:
        return ""
    at = hub.commits_between(None, theirs, limit=1)[-1].at
    return hub.commit(tree, [same[-1].commit, theirs], BRIDGE, at)


def _push_notes(remote: Remote, theirs: str) -> str:
    """ "" or, in one sentence, why the evidence beside the commits did not get there. It goes with the next round."""
    done = remote.hub.git.run("rev-parse", "--verify", "--quiet", NOTES, ok=(0, 1))
    if done.returncode != 0 or done.line == theirs:
        return ""
    try:
        remote.advance(NOTES, done.line, theirs or None)
    except RemoteFault as fault:
        return f"the evidence did not get to the remote as {NOTES}: {fault}"
    return ""


async def _pending(world: World, reason: str, wait_s: float = 0.0) -> None:
    fields = {"commit": world.state().main, "reason": reason, "to": "remote", "wait_s": round(wait_s, 1)}
    await world.emit(NewEvent("publish_pending", fields))
