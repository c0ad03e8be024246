"""The engine's side of the launchers that watch from outside: how they are started, and what their records mean."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from engine.models.report import TestOutcome
from gates.results.adapter import FailedBy, Launch, Seen, Watch
from gates.results.launched import LAUNCHERS, ODD, believed

_OUTCOMES: Mapping[object, TestOutcome] = {"passed": "passed", "failed": "failed", "skipped": "skipped"}
_SHOWN = 5


def launch_outside(launcher: str, plan: Mapping[str, object], watch: Watch) -> Launch:
    """The argv that runs a launcher with the engine's own interpreter; `plan` is what it is told, as JSON."""
    # Not the virtual environment's program: only the standard library is wanted.
    python = Path(cast("str", getattr(sys, "_base_executable", "") or sys.executable))
    own = (str(LAUNCHERS / launcher), str(watch.exchange), str(watch.tree), json.dumps(plan))
    return Launch((str(python), "-I", "-S", *own), readable=(LAUNCHERS, Path(sys.base_prefix), python.parent))


def read_outside(exit_code: int, watch: Watch, runner: str) -> Seen:
    """What the records say, when they are whole and agree with the exit code; otherwise the problems, each red.

    The launcher ends with 0 when all that ran passed, with 1 when something did not, and with no other status.
    """
    records, broken = believed(watch)
    told = _Told()
    for record in records:
        try:
            told.take(record)
        except (KeyError, TypeError, ValueError, OverflowError):
            broken = ODD
            break
    if told.fault:
        return Seen(fault=told.fault)
    problems = list(told.problems)
    failed = any(outcome == "failed" for outcome in told.outcomes.values())
    missing = [name for name in told.planned if name not in told.outcomes]
    if broken:
        problems.append(broken)
    elif told.status is None:
        problems.append(f"the launcher ended with exit code {exit_code} before {runner} was finished")
    elif told.status != exit_code:
        problems.append(f"the launcher ended with exit code {exit_code} although it said {told.status}")
    elif exit_code not in (0, 1):
        problems.append(f"the launcher ended with an unknown status (exit code {exit_code})")
    elif (exit_code == 0) is (failed or bool(problems)):
        problems.append(f"the exit code is {exit_code}, which does not agree with the results")
    if told.status is not None and told.counted != told.recorded:
        problems.append(f"{told.counted} tests were counted and {told.recorded} recorded")
    if told.status is not None and missing:
        some = ", ".join(missing[:_SHOWN])
        problems.append(f"{len(missing)} listed tests have no result: {some}")
    return Seen(told.outcomes, tuple(problems), how=told.how, tripwire=told.tripwire)


@dataclass
class _Told:
    """The records, folded."""

    outcomes: dict[str, TestOutcome] = field(default_factory=dict[str, TestOutcome])
    how: dict[str, FailedBy] = field(default_factory=dict[str, FailedBy])
    planned: list[str] = field(default_factory=list[str])
    problems: list[str] = field(default_factory=list[str])
    tripwire: Literal["", "tripped", "silent"] = ""
    status: int | None = None
    recorded: int = 0
    counted: int = 0
    fault: str = ""

    def take(self, record: Mapping[str, Any]) -> None:
        kind, name = record.get("kind"), str(record.get("id", ""))
        if kind == "test":
            self._take_test(name, record)
        elif kind == "planned":
            self.planned += [str(one) for one in cast("Sequence[object]", record.get("ids", []))]
        elif kind == "problem":
            self.problems.append(str(record.get("text", "")))
            if name:
                self.how[name] = "error"
        elif kind == "tripwire":
            silent = record.get("state") != "tripped" or self.tripwire == "silent"
            self.tripwire = "silent" if silent else "tripped"
            if silent:
                self.problems.append(
                    f"a freshly made test that must fail was not seen to fail ({name}): what the run reports is not "
                    "what happens"
                )
        elif kind == "fault":
            self.fault = str(record.get("text", ""))
        elif kind == "finish":
            self.status, self.counted = int(record["status"]), int(record["tests"])

    def _take_test(self, name: str, record: Mapping[str, Any]) -> None:
        self.recorded += 1
        if name in self.outcomes:
            self.problems.append(f"two tests are called {name}")
        if not name.isprintable() or not name:
            self.problems.append(f"a test has a name that cannot be printed ({name!a})")
        outcome = _OUTCOMES.get(record.get("outcome"), "failed")
        self.outcomes[name] = "failed" if "failed" in (self.outcomes.get(name), outcome) else outcome
        if outcome == "failed":
            self.how[name] = "assertion" if record.get("how") == "assertion" else "error"
