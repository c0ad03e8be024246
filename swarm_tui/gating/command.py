"""`swarm gates`: run the gates of one commit as they are defined on its base, and sign what was seen."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from engine.definitions import policy_digest
from engine.errors import UserError
from engine.git.removal import remove_tree
from engine.host import Site
from engine.models.settings import Settings
from engine.ports import GateRequest, SignedReport
from engine.text.sanitise import sanitise_bytes, sanitise_line
from gates.explain import Explained
from swarm_tui.ending import finished
from swarm_tui.gating import standing, words
from swarm_tui.gating.asked import Asked
from swarm_tui.gating.bases import base_report, note_path, note_report
from swarm_tui.gating.board import Board, board_for, followed
from swarm_tui.gating.dirt import dirt
from swarm_tui.gating.leftovers import clear_leftovers, new_key
from swarm_tui.proving import Bench, open_bench, settings_at


@runtime_checkable
class Explains(Protocol):
    """A runner that can say why a gate would run."""

    def explain(self, request: GateRequest) -> list[Explained]: ...


@dataclass(frozen=True)
class Subject:
    """What is gated: a tree with a name for people, and what it would land on. commit: "" for a working tree."""

    tree: str
    commit: str
    called: str
    base_tree: str
    base_commit: str
    settings: Settings


def run_gates(asked: Asked) -> int:
    """Exit 0 only if all is green. Raises UserError, and KeyboardInterrupt once everything it started is gone."""
    if asked.watch:
        from swarm_tui.gating.watching import run_watch

        return run_watch(asked)
    bench = open_bench(asked.repo, asked.state)
    bench.wings.executor.warm_up()
    clear_leftovers(bench.site.folders.runs)
    if asked.sabotage:
        from swarm_tui.gating.sabotaging import run_sabotage

        return run_sabotage(bench, asked)
    if not asked.revision and (hint := dirt(bench.site.repository.root)):
        sys.stderr.write(f"{hint}\n")
    subject = subject_of(bench, asked)
    request = request_of(bench, asked, subject)
    alone = subject.tree == subject.base_tree  # its own tests are what passed on its base
    note = "" if alone else str(note_path(bench.site.folders, subject.base_tree, request.policy))
    recipe = standing.recipe_for(asked, bench.main, request.gates, bench.wings.programs, note)
    before = _look(bench, recipe)
    said = finished(bench.closing(gate(bench, asked, subject, request)))
    tell_ending(bench.site, asked, said)
    if recipe is not None and said["result"] == "green":
        after = _look(bench, recipe)
        if standing.is_unchanged(before, after):
            standing.remember(asked, recipe, after, said, bench.site.folders)
    return 0 if said["result"] == "green" else 1


def _look(bench: Bench, recipe: standing.Recipe | None) -> dict[str, Any]:
    """The sandbox was probed when the bench was opened: that does not change by running gates."""
    return standing.look(recipe, bench.site.repository.root, bench.site.folders) if recipe is not None else {}


def subject_of(bench: Bench, asked: Asked) -> Subject:
    """The commit that was asked for. Definitions come from the base, never from the commit under test."""
    hub, root = bench.site.hub, bench.site.repository.root
    commit = hub.fetch_objects(root, asked.revision or "HEAD")
    base = hub.fetch_objects(root, asked.base or bench.main)
    found = hub.commits_between(None, commit, limit=1)
    title = f"{asked.revision or 'HEAD'}, {commit[:12]}" + (f" ({found[-1].subject})" if found else "")
    base_tree = hub.tree_of(base)
    return Subject(hub.tree_of(commit), commit, title, base_tree, base, settings_at(bench.site, base))


def request_of(bench: Bench, asked: Asked, subject: Subject) -> GateRequest:
    """Raises UserError: no gate, one that is not there, gates that need each other in a circle."""
    from gates.definitions import select

    site, settings = bench.site, subject.settings
    gates = select([one for one in settings.gate if one.run or one.flow], asked.gates)
    if not gates:
        raise UserError("there is no gate in swarm.toml, so nothing can be proved: write a [[gate]]")
    policy = policy_digest(settings)
    return GateRequest(
        key=new_key(),
        tree=subject.tree,
        base_tree=subject.base_tree,
        base_commit=subject.base_commit,
        repository=site.hub.root_commit(),
        gates=gates,
        policy=policy,
        base_report=base_report(site.folders, bench.wings.ports.gates, subject.base_tree, policy),
        kind="gates",
        flows=tuple(settings.canary.flow),
        coverage=settings.guards.coverage,
        keep_going=asked.keep_going,
    )


async def gate(bench: Bench, asked: Asked, subject: Subject, request: GateRequest) -> dict[str, Any]:
    """Run the gates and show them as they run. Gives what --json prints, see `tell_ending`.

    Cancelling ends every process that it started; nothing is signed then.
    """
    site = bench.site
    explained: list[dict[str, Any]] = []
    if asked.explain:
        explained = [asdict(each) for each in await asyncio.to_thread(_explain, bench, request)]
    if not asked.as_json:
        sys.stdout.write(f"gating {sanitise_line(subject.called)}\n")
        sys.stdout.write("".join(f"{line}\n" for line in words.explained(explained)))
    board = board_for([one.name for one in request.gates], as_json=asked.as_json)

    async def emit(kind: str, fields: dict[str, Any]) -> None:
        _tell(board, kind, fields)

    folder = site.folders.runs / request.key
    try:
        async with followed(folder / "progress.jsonl", board):
            signed = await bench.wings.ports.gates.run(request, emit)
    finally:
        board.close()
        await asyncio.to_thread(remove_tree, folder)
    if signed.report.result == "green" and not asked.gates:
        await asyncio.to_thread(note_report, site.folders, subject.tree, request.policy, signed.digest)
    base_name = asked.base or bench.main
    return _said(site, subject, signed, explained, known=bool(request.base_report), base_name=base_name)


def _explain(bench: Bench, request: GateRequest) -> Sequence[Explained]:
    runner = bench.wings.ports.gates
    if not isinstance(runner, Explains):
        raise UserError("this runner cannot say why a gate runs: leave out --explain")
    return runner.explain(request)


def _tell(board: Board, kind: str, fields: dict[str, Any]) -> None:
    if kind == "gate_started":
        board.started(fields["gate"])
    elif kind == "gate_finished":
        board.finished({"name": fields["gate"], **fields})


def _said(
    site: Site, subject: Subject, signed: SignedReport, explained: list[dict[str, Any]], *, known: bool, base_name: str
) -> dict[str, Any]:
    report = signed.report
    said: dict[str, Any] = {
        "result": report.result,
        "report": str(site.artifacts.path(signed.digest)),
        "tree": subject.tree,
        "base": subject.base_tree,
        "base_name": base_name,
        "base_known": known or subject.tree == subject.base_tree,
        "commit": subject.commit,
        "digest": signed.digest,
        "gates": [one.model_dump(mode="json") for one in report.gates],
        "reasons": report.reasons,
        "flags": report.flags,
        "runs": [run.model_dump(mode="json") for run in report.proof.runs] if report.proof is not None else [],
    }
    return said | ({"explained": explained} if explained else {})


def tell_ending(site: Site, asked: Asked, said: dict[str, Any]) -> None:
    """All that comes after the table, or everything as JSON."""
    if asked.as_json:
        sys.stdout.write(json.dumps(said, indent=None if asked.watch else 2) + "\n")
    else:

        def log(digest: str) -> tuple[Path, list[str]]:
            # Gates print what the code under test says: all of it is sanitised.
            return site.artifacts.path(digest), sanitise_bytes(site.artifacts.get(digest)).splitlines()

        lines = [*(words.costs(said) if asked.explain else []), *words.ending(said, log)]
        sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
