"""Dangerous operations that agents ask for: frozen, asked once, carried out once in a fresh workspace of the frozen
tree."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.approvals.binding import named_paths, operation_hash, refusal
from engine.approvals.dangers import judge
from engine.approvals.deletions import UNKNOWN, deletions
from engine.effects.world import KEEP_WORDS, World, quota
from engine.errors import SwarmError, UserError
from engine.git.hub import Hub
from engine.git.workspaces import Harvest, Workspace
from engine.models.event import NewEvent
from engine.models.task import GrantedOperation, Operation
from engine.planner import MAX_QUESTIONS, approval_id
from engine.ports import ProcessSpec, SandboxPolicy
from engine.process.environment import allowed_environment
from engine.state import Approval, Order
from engine.text.sanitise import sanitise, sanitise_line
from engine.text.suspicious import escaped

OPERATION_WALL_S = 600.0
MOST_PATHS = 50
"""Paths that an event names of what an operation did."""
MOST_MEASURED = 20_000
"""Files whose sizes are looked up for what a deletion would delete."""
TITLE_CHARS = 2_000


@dataclass(frozen=True)
class Bound:
    """What an answer to an operation is bound to, and what a person is shown beside it."""

    digest: str
    reads: dict[str, str]
    facts: tuple[str, ...]


async def bind(world: World, operation: Operation, tree: str, base: str) -> Bound:
    """Look up in the frozen tree what the operation names, and what it would delete."""
    return await asyncio.to_thread(_bind, world.hub, operation, tree, base)


def _bind(hub: Hub, operation: Operation, tree: str, base: str) -> Bound:
    paths = named_paths(operation.argv, operation.cwd)
    reads = hub.ids_at(tree, paths) if paths else {}
    gone = deletions(operation.argv, operation.cwd, lambda named: _sizes(hub, tree, named))
    facts: list[str] = []
    if gone is not None:
        facts = [f"would delete {gone.said}" if gone.said != UNKNOWN else UNKNOWN, *gone.rows]
    elif judge(operation.danger, operation.argv, claimed=True).word == "large deletion":
        facts = [UNKNOWN]
    return Bound(operation_hash(operation, tree, base, reads), reads, tuple(facts))


def _sizes(hub: Hub, tree: str, named: Sequence[str]) -> Mapping[str, int]:
    entries = [
        entry
        for entry in hub.entries(tree)
        if entry.kind == "blob" and any(not at or entry.path == at or entry.path.startswith(f"{at}/") for at in named)
    ]
    sizes = hub.blob_sizes({entry.sha for entry in entries[:MOST_MEASURED]})
    return {entry.path: sizes.get(entry.sha, 0) for entry in entries}


async def ask(world: World, order: Order, run: str, operation: Operation, harvest: Harvest) -> list[NewEvent]:
    """The events that park the order behind an approval of exactly this operation on exactly this tree.

    What another order asks already, to the letter, is joined: one question, one answer, one execution for each.
    """
    bound = await bind(world, operation, harvest.tree, harvest.base_commit)
    approvals = world.state().approvals
    same = next((a for a in approvals.values() if a.hash == bound.digest and a.status == "pending"), None)
    ident = same.id if same is not None else _fresh_id(approvals, order, bound.digest)
    argv = " ".join(sanitise_line(escaped(part)) for part in operation.argv)[:TITLE_CHARS]
    parked = {
        "why": f"it asks for a dangerous operation ({sanitise_line(operation.danger)}): {argv}",
        "do": f"swarm approve {ident}, or swarm deny {ident}",
        "approval": ident,
    }
    if same is not None:
        return [NewEvent("approval_joined", {"approval": ident}), NewEvent("work_order_parked", parked)]
    settings = world.settings()
    judged = judge(operation.danger, operation.argv, claimed=True, cwd=operation.cwd, env=operation.env)
    fields = {
        "approval": ident,
        "danger": sanitise_line(operation.danger),
        "title": f"{order.spec.id} asks to run: {argv}",
        "why": sanitise(operation.why)[:KEEP_WORDS],
        "operation": operation.model_dump(),
        "hash": bound.digest,
        "tree": harvest.tree,
        "base": harvest.base_commit,
        "expires_at": world.ports.clock.now() + settings.approvals.expire,
        "subject": run,
        "facts": list(bound.facts),
        "warnings": list(judged.warnings),
        "reads": {sanitise_line(path): sha for path, sha in bound.reads.items()},
    }
    events = [NewEvent("approval_asked", fields), NewEvent("work_order_parked", parked)]
    if settings.approvals.unattended == "deny" and order.resume is None:  # who was told no and asks again waits
        by = "settings: approvals.unattended = deny"
        events.append(NewEvent("approval_answered", {"approval": ident, "answer": "denied", "by": by}))
    return events


def _fresh_id(approvals: Mapping[str, Approval], order: Order, digest: str) -> str:
    """An id that no question has had: an answer to an old one is no answer to this one."""
    number = 0
    while (ident := approval_id("operation", order.spec.id, digest, str(number))) in approvals:
        number += 1
    return ident


async def why_in_vain(world: World, order: Order, operation: Operation, harvest: Harvest) -> tuple[str, str]:
    """The rule and the reason why this question is not put to a person, ("", "") if it is: what was denied is not
    asked again, and asking does not go on for ever."""
    bound = await bind(world, operation, harvest.tree, harvest.base_commit)
    own = [a for a in world.state().approvals.values() if order.spec.id in a.askers and a.tree]
    if any(a.hash == bound.digest and a.status == "denied" for a in own):
        return "approval-denied", "it was denied what it asked for, and only asks again"
    if order.asked >= MAX_QUESTIONS:
        return "approval-rate", f"it has asked {order.asked} questions, and only asks again"
    return "", ""


async def execute_granted(world: World, order: Order, workspace: Workspace, run: str) -> list[GrantedOperation]:
    """Carry out what a person approved, once, before the agent goes on; an answer of no is only passed on.

    Everything is checked again: the approval has to be of exactly this operation on exactly this tree, unexpired and
    not used. What is not carried out is said to the agent, which judges how it goes on. Raises UserError when the
    program is not there, with nothing used up.
    """
    resume = order.resume
    if resume is None:
        return []
    operation = Operation.model_validate(resume.operation)
    approval = world.state().approvals.get(resume.approval)
    granted = GrantedOperation(
        approval=resume.approval,
        answer=resume.answer,
        operation=operation,
        why=approval.said if approval is not None else "",
    )
    if resume.answer != "approved":
        return [granted]
    if approval is not None and order.spec.id in approval.used:
        return [granted.model_copy(update=_outcome(resume.done))]
    bound = await bind(world, operation, resume.tree, resume.base)
    why = refusal(approval, order.spec.id, bound.digest, world.ports.clock.now())
    if not why and workspace.start_tree != resume.tree:
        why = "the workspace does not hold the tree that the answer is about"
    if why:
        await world.emit(
            NewEvent("guardrail_denied", {"rule": "approval", "reason": why}, work_order=order.spec.id, run=run)
        )
        return [granted.model_copy(update={"answer": "refused", "did": f"it was not run: {why}; ask again"})]
    spec = await _spec(world, operation, workspace, run)
    done = await _execute(world, order, workspace, spec, resume.approval, bound.digest)
    return [granted.model_copy(update=_outcome(done))]


def _outcome(done: dict[str, Any] | None) -> dict[str, Any]:
    """What the agent is told of an operation that was begun."""
    if done is None:
        did = "it was begun, and the engine stopped before it ended: it is not run twice; ask again if it is needed"
        return {"exit_code": None, "did": did}
    counts = ", ".join(f"{done[word]} {word}" for word in ("added", "changed", "deleted") if done[word])
    did = f"files: {counts}" if counts else "no file is different"
    ended = "" if done["end"] == "exited" else f"it ended as {done['end']}; "
    return {"exit_code": done["exit_code"], "did": f"{ended}{done['note'] or did}"}


async def _spec(world: World, operation: Operation, workspace: Workspace, run: str) -> ProcessSpec:
    folder = world.folders.runs / run / "granted"
    home = folder / "home"
    await asyncio.to_thread(home.mkdir, parents=True, exist_ok=True)
    if _in_the_state_folder(operation.argv[0], world.folders.root):
        raise UserError("the approved operation names a program in the swarm's own folder, where agents write")
    # Programs may be asked for their version, out here; what an agent may have written is for the sandbox alone.
    programs = world.ports.programs
    find = programs.placed if Path(operation.argv[0]).is_absolute() else programs.resolve
    program = await asyncio.to_thread(find, operation.argv[0])
    # What the agent gives is not looked up anywhere: `$NAME` would be a person's secret.
    env = {**allowed_environment({"HOME": str(home)}).values, **operation.env}
    return ProcessSpec(
        run_id=f"{run}.granted",
        argv=(program.command, *operation.argv[1:]),
        cwd=await asyncio.to_thread(_inside, workspace.path, operation.cwd),
        env=env,
        folder=folder,
        wall_s=OPERATION_WALL_S,
        policy=SandboxPolicy(writable=(workspace.path, home), readable=program.roots),
        quota=quota(world.settings().limits),
    )


async def _execute(
    world: World, order: Order, workspace: Workspace, spec: ProcessSpec, approval: str, digest: str
) -> dict[str, Any]:
    ident, run = order.spec.id, spec.run_id.removesuffix(".granted")
    started = {"approval": approval, "hash": digest}
    await world.emit(NewEvent("operation_started", started, work_order=ident, run=run))
    result = await world.ports.executor.run(spec)
    note = f"it could not be started: {result.note}" if result.end == "not_started" else ""
    fields: dict[str, Any] = {
        "approval": approval,
        "end": result.end,
        "exit_code": result.exit_code,
        "duration_s": round(result.duration_s, 3),
        "note": sanitise_line(note),
    }
    fields |= await asyncio.to_thread(_difference, world, workspace)
    await world.emit(NewEvent("operation_finished", fields, work_order=ident, run=run))
    return {"added": 0, "changed": 0, "deleted": 0, "note": "", **fields}


def _difference(world: World, workspace: Workspace) -> dict[str, Any]:
    """What the operation left, kept, against what it was given."""
    try:
        harvest = world.workspaces.harvest(workspace)
        rows = world.hub.changed(workspace.start_tree, harvest.tree)
    except SwarmError as error:
        return {"note": f"what it changed could not be read: {sanitise_line(str(error))}"}
    signs = {"A": "+", "D": "-"}
    paths = [f"{signs.get(row.status, '~')} {sanitise_line(row.path)}" for row in rows]
    statuses = [row.status for row in rows]
    added, deleted = statuses.count("A"), statuses.count("D")
    return {
        "tree": harvest.tree,
        "kept": harvest.commit,
        "added": added,
        "changed": len(rows) - added - deleted,
        "deleted": deleted,
        "paths": [*paths[:MOST_PATHS], *([f"… and {len(paths) - MOST_PATHS} more"] if len(paths) > MOST_PATHS else [])],
    }


def _in_the_state_folder(program: str, root: Path) -> bool:
    path = Path(program)
    return path.is_absolute() and (path.is_relative_to(root) or path.resolve().is_relative_to(root.resolve()))


def _inside(workspace: Path, cwd: str) -> Path:
    """The real folder; a link or `..` that leads out of the workspace is refused."""
    folder = (workspace / cwd).resolve()
    if not folder.is_relative_to(workspace.resolve()) or not folder.is_dir():
        raise SwarmError(f"the approved operation names a folder outside of its workspace: {sanitise_line(cwd)}")
    return folder
