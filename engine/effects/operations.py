"""Dangerous operations that agents ask for: frozen, asked once, carried out in a fresh workspace of the frozen tree."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path

from engine.effects.world import KEEP_WORDS, World
from engine.errors import SwarmError, UserError
from engine.git.workspaces import Harvest, Workspace
from engine.models.event import NewEvent
from engine.models.task import GrantedOperation, Operation
from engine.planner import approval_id
from engine.ports import ProcessSpec, SandboxPolicy
from engine.process.environment import allowed_environment
from engine.state import Order
from engine.text.sanitise import sanitise, sanitise_line

OPERATION_WALL_S = 600.0
MAX_QUESTIONS = 5
"""Different questions of one order, after which the answer no is the end of an attempt."""


def ask(world: World, order: Order, run: str, operation: Operation, harvest: Harvest) -> list[NewEvent]:
    """The events that park the order behind an approval of exactly this operation on exactly this tree."""
    asked = operation.model_dump()
    digest = _digest(operation, harvest)
    ident = approval_id("operation", order.spec.id, digest)
    # Ids are short: whoever asks can search for one that another question has, which it must not take the place of.
    while (taken := world.state().approvals.get(ident)) is not None and taken.hash != digest:
        ident = approval_id("operation", order.spec.id, digest, ident)
    settings = world.settings()
    argv = " ".join(sanitise_line(part) for part in operation.argv)
    danger = sanitise_line(operation.danger)
    fields = {
        "approval": ident,
        "danger": danger,
        "title": f"{order.spec.id} asks to run: {argv}",
        "why": sanitise(operation.why)[:KEEP_WORDS],
        "operation": asked,
        "hash": digest,
        "tree": harvest.tree,
        "base": harvest.base_commit,
        "expires_at": world.ports.clock.now() + settings.approvals.expire,
        "subject": run,
    }
    parked = {
        "why": f"it asks for a dangerous operation ({danger}): {argv}",
        "do": f"swarm approve {ident}, or swarm deny {ident}",
        "approval": ident,
    }
    events = [NewEvent("approval_asked", fields), NewEvent("work_order_parked", parked)]
    if settings.approvals.unattended == "deny" and order.resume is None:  # who was told no and asks again waits
        by = "settings: approvals.unattended = deny"
        events.append(NewEvent("approval_answered", {"approval": ident, "answer": "denied", "by": by}))
    return events


def asks_in_vain(world: World, order: Order, operation: Operation, harvest: Harvest) -> bool:
    """Whether an agent that was just told no asks the same again, or goes on asking: that must not go on for ever."""
    if order.resume is None or order.resume.answer != "denied":
        return False
    approvals = world.state().approvals
    same = approval_id("operation", order.spec.id, _digest(operation, harvest)) in approvals
    return same or sum(one.order == order.spec.id for one in approvals.values()) >= MAX_QUESTIONS


def _digest(operation: Operation, harvest: Harvest) -> str:
    bound = json.dumps([operation.model_dump(), harvest.tree], sort_keys=True)
    return hashlib.sha256(bound.encode("utf-8")).hexdigest()


async def execute_granted(world: World, order: Order, workspace: Workspace, run: str) -> list[GrantedOperation]:
    """Carry out what a person approved, once, before the agent goes on; an answer of no is only passed on.

    Raises SwarmError when the operation could not be started; how it ended is for the agent to judge.
    """
    resume = order.resume
    if resume is None:
        return []
    operation = Operation.model_validate(resume.operation)
    said = world.state().approvals[resume.approval].said
    exit_code = None
    if resume.answer == "approved":
        exit_code = await _execute(world, operation, workspace, run)
    return [
        GrantedOperation(
            approval=resume.approval, answer=resume.answer, operation=operation, exit_code=exit_code, why=said
        )
    ]


async def _execute(world: World, operation: Operation, workspace: Workspace, run: str) -> int | None:
    folder = world.folders.runs / run / "granted"
    home = folder / "home"
    await asyncio.to_thread(home.mkdir, parents=True, exist_ok=True)
    if _in_the_state_folder(operation.argv[0], world.folders.root):
        # Programs may be asked for their version, out here; what an agent has written there is for the sandbox alone.
        raise UserError("the approved operation names a program in the swarm's own folder, where agents write")
    program = await asyncio.to_thread(world.ports.programs.resolve, operation.argv[0])
    result = await world.ports.executor.run(
        ProcessSpec(
            run_id=f"{run}.granted",
            argv=(program.command, *operation.argv[1:]),
            cwd=await asyncio.to_thread(_inside, workspace.path, operation.cwd),
            env=allowed_environment({"HOME": str(home)}).values,
            folder=folder,
            wall_s=OPERATION_WALL_S,
            policy=SandboxPolicy(writable=(workspace.path, home), readable=program.roots),
        )
    )
    if result.end == "not_started":
        raise SwarmError(f"the approved operation could not be started: {result.note}")
    return result.exit_code


def _in_the_state_folder(program: str, root: Path) -> bool:
    path = Path(program)
    return path.is_absolute() and (path.is_relative_to(root) or path.resolve().is_relative_to(root.resolve()))


def _inside(workspace: Path, cwd: str) -> Path:
    """The real folder; a link or `..` that leads out of the workspace is refused."""
    folder = (workspace / cwd).resolve()
    if not folder.is_relative_to(workspace.resolve()) or not folder.is_dir():
        raise SwarmError(f"the approved operation names a folder outside of its workspace: {sanitise_line(cwd)}")
    return folder
