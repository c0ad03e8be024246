"""`swarm gates --sabotage N`: changed lines are broken one at a time, to see whether any gate notices."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, Protocol, runtime_checkable

from engine.errors import UserError
from engine.git.removal import remove_tree
from engine.models.settings import Gate
from engine.ports import GateRequest
from engine.text.sanitise import sanitise_line
from gates.proof.trials import Trial, Trials
from gates.sabotage import Mutant, Sabotage, sabotage
from gates.trials import HubTrees
from swarm_tui.ending import finished
from swarm_tui.gating import words
from swarm_tui.gating.asked import Asked
from swarm_tui.gating.board import moving
from swarm_tui.gating.command import Subject, gate, request_of, subject_of, tell_ending
from swarm_tui.proving import Bench


@runtime_checkable
class Tries(Protocol):
    """A runner that can run gates on trees that nobody asks to land."""

    def trials(self, request: GateRequest) -> Trials: ...


def run_sabotage(bench: Bench, asked: Asked) -> int:
    """Exit 0 when every broken version was caught, else 1, also when the gates are not green on what is not broken.

    Raises UserError when nothing was changed that could be broken.
    """
    subject = subject_of(bench, asked)
    if subject.tree == subject.base_tree:
        raise UserError("nothing was changed, so no line can be broken: name what to compare with, as in --base HEAD~5")
    started = time.monotonic()
    before, found = finished(bench.closing(_sabotage(bench, asked, subject)))
    if found is None:
        tell_ending(bench.site, asked, before)
        return 1
    if not found.made:
        raise UserError("no changed line is code that could be broken: name another base, as in --base HEAD~5")
    if asked.as_json:
        sys.stdout.write(json.dumps(said(subject, found, asked.seed), indent=2) + "\n")
    else:
        lines = ["", *lines_of(found, time.monotonic() - started)]
        sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0 if found.caught == found.made else 1


async def _sabotage(bench: Bench, asked: Asked, subject: Subject) -> tuple[dict[str, Any], Sabotage | None]:
    """What the gates said of the tree itself, and of its broken versions, None when it was not green already."""
    runner = bench.wings.ports.gates
    if not isinstance(runner, Tries):
        raise UserError("this runner cannot run gates on broken versions: leave out --sabotage")
    before = await gate(bench, asked, subject, await asyncio.to_thread(request_of, bench, asked, subject))
    if before["result"] != "green":
        return before, None
    request = await asyncio.to_thread(request_of, bench, asked, subject)
    trees = HubTrees(bench.site.hub)
    try:
        with _told(asked) as tell:
            counted = _Counted(runner.trials(request), asked.sabotage, tell)
            return before, await sabotage(
                request.gates, subject.tree, subject.base_tree, asked.sabotage, asked.seed, counted, trees
            )
    finally:
        await asyncio.to_thread(remove_tree, bench.site.folders.runs / request.key)


class _Counted:
    """Trials that tell how far they are."""

    def __init__(self, trials: Trials, most: int, tell: Callable[[str], None]) -> None:
        self._trials, self._most, self._tell = trials, most, tell
        self._trees: dict[str, bool] = {}

    async def __call__(
        self, gate: Gate, tree: str, *, purpose: str, only: Sequence[str] = (), repeat: int = 0
    ) -> Trial:
        self._trees.setdefault(tree, False)
        caught = sum(self._trees.values())
        self._tell(f"broken version {len(self._trees)} of at most {self._most}, gate {gate.name}; {caught} caught")
        trial = await self._trials(gate, tree, purpose=purpose, only=only, repeat=repeat)
        self._trees[tree] |= trial.result.result in ("red", "timeout")
        return trial


@contextlib.contextmanager
def _told(asked: Asked) -> Generator[Callable[[str], None]]:
    """A line that moves, on a terminal; nothing anywhere else, where the result is enough."""
    if asked.as_json or not moving():
        yield lambda line: None
        return
    from rich.console import Console
    from rich.text import Text

    with Console(highlight=False).status("") as status:
        yield lambda line: status.update(Text(sanitise_line(line)))


def lines_of(found: Sabotage, seconds: float) -> list[str]:
    """What became of the broken versions, for people."""
    sign = words.sign_of("green" if found.caught == found.made else "red")
    judged = found.made - len(found.unclear)
    versions = "1 broken version" if judged == 1 else f"{judged} broken versions"
    share = "" if found.share is None else f" ({found.share:.0%})"
    unclear = f", and {len(found.unclear)} unclear" if found.unclear else ""
    lines = [f"{sign.glyph} {found.caught} of {versions} caught{share}{unclear}, in {words.duration(seconds)}"]
    if found.survivors:
        lines += ["", "no gate noticed these; write a test that fails for each:"]
        lines += [f"  ✘ {_shown(mutant)}" for mutant in found.survivors]
    if found.unclear:
        lines += ["", "on these no gate could say anything:"]
        lines += [f"  ? {_shown(mutant)}" for mutant in found.unclear]
    return lines


def _shown(mutant: Mutant) -> str:
    return sanitise_line(f"{mutant.path}:{mutant.line}  {mutant.before}  →  {mutant.after}")


def said(subject: Subject, found: Sabotage, seed: int) -> dict[str, Any]:
    """What --json prints."""

    def rows(mutants: Sequence[Mutant]) -> list[dict[str, Any]]:
        return [{"path": m.path, "line": m.line, "before": m.before, "after": m.after} for m in mutants]

    return {
        "tree": subject.tree,
        "base": subject.base_tree,
        "commit": subject.commit,
        "seed": seed,
        "made": found.made,
        "caught": found.caught,
        "share": found.share,
        "survivors": rows(found.survivors),
        "unclear": rows(found.unclear),
        "runs": [run.model_dump(mode="json") for run in found.runs],
    }
