"""What landed in the hub, proposed to the remote as pull requests, and what became of them there.

The train lands in hub's main as ever; the remote's own button or queue lands in the remote's main. One pull request
brings what is good now and was not proposed before; its branch, named by the commit, is what makes a repeat harmless.
When the remote merges one, its main is taken in like a person's commits.
"""

from __future__ import annotations

import asyncio

from engine.artifacts import ArtifactStore
from engine.effects.world import World
from engine.errors import SwarmError
from engine.forge.body import Landed, body_of, title_of
from engine.forge.choose import open_forge, place_of
from engine.forge.forge import Forge, Request
from engine.forge.http import ForgeFault
from engine.git.hub import IDENTITY_MAIL, CommitInfo, Hub
from engine.git.names import safe_name
from engine.git.remote import Remote
from engine.models.event import NewEvent
from engine.models.report import VerificationReport
from engine.state import PullRequest, State
from engine.text.sanitise import sanitise_line

MAX_COMMITS = 200


async def propose_and_mirror(world: World, remote: Remote, theirs: str, tip: str) -> list[NewEvent]:
    """Open what is missing (its event is journalled at once), look at what is open; the events that end the round.

    theirs: the remote's main, in hub's main already. tip: what the remote should have; "": nothing yet. Raises
    RemoteFault, ForgeFault and UserError.
    """
    place = place_of(world.settings().project, remote.address)
    forge = await asyncio.to_thread(open_forge, place, world.state().branch)
    try:
        out = not tip or await asyncio.to_thread(_is_out, world.hub, tip, theirs)
        if not out:
            await _propose(world, remote, forge, theirs, tip)
        seen = await _mirror(world, forge)
    finally:
        await forge.end()
    arrived = bool(tip) and await asyncio.to_thread(world.hub.is_ancestor, tip, theirs)
    if arrived:
        return [NewEvent("published", {"commit": tip, "to": "remote"}), *seen]
    return [NewEvent("remote_checked", {"commit": tip, "main": theirs}), *seen]


def _is_out(hub: Hub, tip: str, theirs: str) -> bool:
    return hub.is_ancestor(tip, theirs) or hub.tree_of(tip) == hub.tree_of(theirs)


def branch_of(order: str, commit: str) -> str:
    """`agent/<work-order>/<shortid>`."""
    return f"agent/{safe_name(order or 'main')}/{commit[:12]}"


async def _propose(world: World, remote: Remote, forge: Forge, theirs: str, tip: str) -> None:
    state, hub = world.state(), world.hub
    known = state.remote.pull_requests
    before = await asyncio.to_thread(_built_on, hub, state, theirs, tip)
    infos = await asyncio.to_thread(
        lambda: hub.commits_between(before.commit if before else theirs, tip, first_parent=True, limit=MAX_COMMITS)
    )
    landed = [_landed(state, info) for info in infos]
    if not landed:
        return
    branch = branch_of(landed[-1].order, tip)
    if branch in known:
        return
    there = (await asyncio.to_thread(remote.look, f"refs/heads/{branch}")).get(f"refs/heads/{branch}")
    if there != tip:
        await asyncio.to_thread(remote.advance, f"refs/heads/{branch}", tip, there)
    reports, envelope = await asyncio.to_thread(_evidence, world, landed)
    title = title_of(landed)
    on = f"#{before.number}" if before and before.status == "open" else ""
    request = await forge.find(branch) or await forge.create(
        branch, title, body_of(landed, reports, envelope, built_on=on)
    )
    fields = {
        "branch": branch,
        "commit": tip,
        "number": request.number,
        "url": sanitise_line(request.url)[:500],
        "title": title,
    }
    order = landed[-1].order if landed[-1].order in state.orders else ""
    await world.emit(NewEvent("pull_request_opened", fields, work_order=order))
    world.log.info("publish", f"opened {request.url}")


def _built_on(hub: Hub, state: State, theirs: str, tip: str) -> PullRequest | None:
    """The newest pull request whose commits this one would contain, unless the remote has them already."""
    for request in reversed(state.remote.pull_requests.values()):
        if request.commit != tip and hub.is_ancestor(request.commit, tip):
            return request if not hub.is_ancestor(request.commit, theirs) else None
    return None


def _landed(state: State, info: CommitInfo) -> Landed:
    change = next((c for c in state.changes.values() if c.commit == info.commit), None)
    own = info.trailers.get("Report", [])
    digest = next(iter(own or info.trailers.get("Batch-Report", [])), "")
    ours = info.author.endswith(f"<{IDENTITY_MAIL}>") and bool(digest)
    order = next(iter(info.trailers.get("Work-Order", [])), "")
    told = state.orders.get(change.order) if change is not None else None
    return Landed(
        commit=info.commit,
        tree=info.tree,
        subject=told.spec.title if told is not None else info.subject,
        kind="person" if not ours else "change" if change is not None and not change.person else "restore",
        order=order if ours else "",
        summary=change.summary if change is not None else "",
        risk=change.risk if change is not None else "",
        rollback=change.rollback if change is not None else "",
        agent=change.agent if change is not None else "",
        digest=digest if ours else "",
        batched=ours and not own,
    )


def _evidence(world: World, landed: list[Landed]) -> tuple[dict[str, VerificationReport], str]:
    """The reports by digest, and the envelope of the last one. What cannot be read is left out: its digest is there."""
    reports: dict[str, VerificationReport] = {}
    for digest in {one.digest for one in landed if one.digest}:
        try:
            reports[digest] = world.ports.gates.load(digest)
        except (SwarmError, OSError) as error:
            world.log.warning("publish", f"report {digest[:19]} cannot be read: {error}")
    return reports, _envelope(world.artifacts, landed[-1].digest)


def _envelope(artifacts: ArtifactStore, digest: str) -> str:
    try:
        return artifacts.get(digest).decode("utf-8") if digest else ""
    except (SwarmError, OSError, UnicodeDecodeError):
        return ""


async def _mirror(world: World, forge: Forge) -> list[NewEvent]:
    """What changed about those that were open."""
    requests = [request for request in world.state().remote.pull_requests.values() if request.status == "open"]
    seen: dict[str, Request | None] = {}
    for request in requests:
        try:
            seen[request.branch] = await forge.look(request.number)
        except ForgeFault as fault:
            if fault.why != "missing":
                raise
            seen[request.branch] = None  # somebody deleted it
    merged = [r for r in requests if (now := seen[r.branch]) is not None and now.status == "merged"]
    events: list[NewEvent] = []
    for request in requests:
        now = seen[request.branch]
        status, ci = (now.status, now.ci) if now is not None else ("closed", "")
        if status == "open" and (within := await _contained(world, request, merged)):
            await forge.comment(request.number, f"Its commits came with #{within.number}, which was merged.")
            await forge.close(request.number)
            status = "merged"
        if (status, ci) != (request.status, request.ci):
            fields = {"branch": request.branch, "number": request.number, "status": status, "ci": ci}
            events.append(NewEvent("pull_request_updated", fields, work_order=request.order))
    return events


async def _contained(world: World, request: PullRequest, merged: list[PullRequest]) -> PullRequest | None:
    for other in merged:
        if await asyncio.to_thread(world.hub.is_ancestor, request.commit, other.commit):
            return other
    return None
