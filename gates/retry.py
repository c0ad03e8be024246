"""A second try for tests that are known to flake: once, and on a checkout that the first try has not seen."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from engine.git.slots import Slot
from engine.models.report import TestOutcome
from engine.models.settings import Gate
from gates.execution import Job, Ran, is_begun
from gates.judge import Judgement, judge
from gates.ready import Ready
from gates.threads import in_thread

if TYPE_CHECKING:
    from gates.session import Session


class Retry:
    """One gate of a group, tried again in the slot where it was red. `logs`: what the second try said.

    The checkout is made afresh, and what the gate (and those of the group that are still to come) needs runs again
    there first: the first try may have left anything in the old one.
    """

    def __init__(self, session: Session, slot: Slot, ready: Ready, group: tuple[Gate, ...], at: int) -> None:
        self._session, self._slot, self._ready = session, slot, ready
        self._later = [gate for gate in group[at + 1 :] if gate.name not in session.results]
        needed = {need.name for gate in (ready.gate, *self._later) for need in session.needs_of(gate)}
        self._before = [gate for gate in group[:at] if gate.name in needed]
        self.logs: tuple[Path, ...] = ()

    @staticmethod
    def is_due(flaky: Collection[str], ran: Ran, said: Judgement) -> bool:
        """Whether failed tests are all that is wrong, and all of them have a record of flaking."""
        clean = not (ran.touched or ran.seen.problems or ran.seen.fault or said.lost)
        return said.result == "red" and clean and bool(said.failing) and set(said.failing) <= set(flaky)

    async def run(self, failing: tuple[str, ...], first: Mapping[str, TestOutcome]) -> Ran | None:
        """What both tries showed together, when every one of the tests passed now; None otherwise. first: outcomes of
        the first."""
        session, gate = self._session, self._ready.gate
        scope = f"again-{gate.name}"
        whole = any(gate.name in {need.name for need in session.needs_of(later)} for later in self._later)
        argv = None if whole else self._ready.adapter.only(tuple(gate.run), failing)
        job = session.job(self._ready, "retry", scope)
        if argv is not None:
            job = replace(job, gate=gate.model_copy(update={"run": list(argv)}))
        before = [
            session.job(ready, f"before {gate.name}", scope) for need in self._before if (ready := self._of(need))
        ]
        if not any(is_begun(each.folder) for each in (*before, job)):
            await in_thread(self._slot.checkout, session.request.tree)
        for each in before:
            if not await self._green(each):
                return None
        ran = await session.ground.execute(self._slot, job)
        self.logs = (ran.process.log,)
        if not _is_clean(ran) or any(ran.seen.outcomes.get(test) != "passed" for test in failing):
            return None
        together: dict[str, TestOutcome] = {**first, **dict.fromkeys(failing, "passed")}
        return replace(ran, seen=replace(ran.seen, outcomes=together))

    async def _green(self, job: Job) -> bool:
        ran = await self._session.ground.execute(self._slot, job)
        return _is_clean(ran) and judge(ran.seen, counts=job.adapter.counts).result == "green"

    def _of(self, gate: Gate) -> Ready | None:
        found = self._session.ready[gate.name]
        return found if isinstance(found, Ready) and found.flow is None else None


def _is_clean(ran: Ran) -> bool:
    seen = ran.seen
    if ran.timeout_s is not None or ran.process.exit_code != 0 or ran.touched or seen.problems or seen.fault:
        return False
    return "failed" not in seen.outcomes.values()
