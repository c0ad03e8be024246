"""What the gates said of a tree, test by test: from the signed report, or from the run folder while they run.

All of it reads files, so it is not for the room's thread.
"""

from __future__ import annotations

import json
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from engine.artifacts import ArtifactStore
from engine.errors import SwarmError
from engine.folders import StateFolder
from engine.history import GateRecord
from engine.models.report import GateResult, VerificationReport
from gates.inventory import outcomes_of
from swarm_tui.room.reports import read_report
from swarm_tui.room.run_files import read_said

ORDER = ("failed", "lost", "skipped", "passed")
"""Outcomes in the order in which a person wants to see them. `lost`: it passed on the base and has no result now."""
LIVE_CAP_BYTES = 8_000_000
LOG_CAP_BYTES = 16_000_000
LOOKED_AT = 400
"""Characters of a log line that are looked at for the name of a test."""
REPOSITORY = "REPOSITORY"
"""What a report's commands call the repository that has the tree."""
SLACK_S = 2.0
"""How far a run folder's times may lie beside those of the journal's events."""
_HEADING = re.compile(r"\s*(ERROR: |FAIL: |_{3,} |-{3,} |={3,} |--- FAIL|not ok |thread ')")
"""How the output of a failing test begins in a log; a line of a summary is none."""


@dataclass(frozen=True)
class GateTests:
    """One gate's part. `outcomes`: test id -> one of ORDER, that order first, then by name. `log`: None without one.

    live: nobody has signed this yet, it is what the running gate notes down. problem: why there are no outcomes, as a
    sentence, "" when it is plain.
    """

    outcomes: Mapping[str, str] = field(default_factory=dict[str, str])
    log: Path | None = None
    problem: str = ""
    live: bool = False
    result: GateResult | None = None


@dataclass(frozen=True)
class TreeResults:
    """A report that was believed, or in `problem` why none is. `gates` by name."""

    digest: str = ""
    report: VerificationReport | None = None
    problem: str = ""
    gates: Mapping[str, GateTests] = field(default_factory=dict[str, GateTests])


def signed_results(folders: StateFolder, digest: str, tree: str) -> TreeResults:
    """The results in a report, once its signature and its tree hold. Never raises for what it finds on the disk."""
    store = ArtifactStore(folders.artifacts)
    read = read_report(store.get, folders.keys / "public.pem", digest)
    report = read.report
    if report is None:
        return TreeResults(digest, problem=f"the report cannot be shown: {read.problem}")
    if report.tree != tree:
        return TreeResults(digest, problem=f"the report is about the tree {report.tree[:10]}, not {tree[:10]}")
    return TreeResults(digest, report, "", {gate.name: _signed(store, gate) for gate in report.gates})


def _signed(store: ArtifactStore, gate: GateResult) -> GateTests:
    outcomes: dict[str, str] = {}
    problem = ""
    try:
        outcomes.update(outcomes_of(store, gate))
    except SwarmError as error:
        problem = f"the outcomes of its tests are gone: {error}"
    outcomes.update(dict.fromkeys(gate.lost, "lost"))
    if not outcomes and not problem:
        problem = "no test was executed" if gate.argv and gate.exit_code is not None else "it did not run"
        if gate.exit_code is not None and gate.result == "green":
            problem = "it names no tests: its exit code is the result"
    return GateTests(_ordered(outcomes), _log_of(store, gate), problem, result=gate)


def _log_of(store: ArtifactStore, gate: GateResult) -> Path | None:
    try:
        return store.path(gate.log) if gate.log and store.has(gate.log) else None
    except SwarmError:
        return None


def _ordered(outcomes: Mapping[str, str]) -> dict[str, str]:
    rank = {outcome: place for place, outcome in enumerate(ORDER)}
    return dict(sorted(outcomes.items(), key=lambda each: (rank.get(each[1], 0), each[0])))


# -- what runs, or was never signed ----------------------------------------------------------------------------------


def gate_folder(runs: Path, change: str, gate: str, started_at: float, ended_at: float = 0.0) -> Path | None:
    """The folder in which a gate of this change ("" is main) ran at that time; None when nothing of it is left.

    started_at, ended_at: UTC seconds, as the journal has them; `ended_at` 0 while it runs.
    """
    prefix = f"{change.replace('/', '-')}-" if change else "main-"
    found: list[tuple[float, Path]] = []
    with suppress(OSError), os.scandir(runs) as entries:
        for entry in entries:
            if entry.name.startswith(prefix):
                found += _begun(Path(entry.path), gate)
    until = ended_at or float("inf")
    fitting = [(at, path) for at, path in found if started_at - SLACK_S <= at <= until + SLACK_S]
    return min(fitting, key=lambda each: abs(each[0] - started_at))[1] if fitting else None


def _begun(folder: Path, gate: str) -> list[tuple[float, Path]]:
    """(when it began, folder) of each run of the gate in a run folder."""
    found: list[tuple[float, Path]] = []
    with suppress(OSError):
        for own in folder.iterdir():
            if re.fullmatch(rf"{re.escape(gate)}-[0-9a-f]+", own.name) is None:
                continue
            begun = own / "spec.json"
            found.append(((begun if begun.exists() else own).stat().st_mtime, own))
    return found


def unsigned_results(runs: Path, change: str, records: Sequence[GateRecord]) -> dict[str, GateTests]:
    """What gates without a signed result have noted down so far, by name; none for one that left nothing."""
    found: dict[str, GateTests] = {}
    for record in records:
        folder = gate_folder(runs, change, record.gate, record.started_at, record.ended_at)
        if folder is not None:
            found[record.gate] = live_results(folder)
    return found


def live_results(folder: Path) -> GateTests:
    """What a gate in this folder has noted down so far. Unverified, for people: nothing is decided by it."""
    outcomes: dict[str, str] = {}
    # What the gate runs can put a pipe or a link there.
    for line in read_said(folder / "exchange" / "results.jsonl", LIVE_CAP_BYTES).text.split("\n"):
        _, _, body = line.partition(" ")
        with suppress(ValueError, RecursionError):
            row = json.loads(body)
            if isinstance(row, dict) and row.get("kind") == "test" and row.get("outcome") in ORDER:
                name = str(row.get("id", ""))
                if outcomes.get(name) != "failed":
                    outcomes[name] = row["outcome"]
    log = folder / "log"
    return GateTests(_ordered(outcomes), log if log.exists() else None, live=True)


# -- the failing output ----------------------------------------------------------------------------------------------


def short_name(test: str) -> tuple[str, str]:
    """(the test's own name, where it stands) of an id such as `a/test_b.py::C::test_d[1.5]` or `a.test_b.C.test_d`."""
    head, bracket, parameters = test.partition("[")
    for separator in ("::", "."):
        where, found, name = head.rpartition(separator)
        if found:
            return name + bracket + parameters, where
    return test, ""


def failing_line(log: Path, test: str) -> str:
    """The line of a gate's log with which the output of this test begins; "" when the log does not name it.

    Headings (of unittest, pytest, cargo, go, TAP) count more than a mention, and the full id more than the name.
    """
    try:
        with log.open("rb") as file:
            raw = file.read(LOG_CAP_BYTES)
    except OSError:
        return ""
    name, where = short_name(test)
    if not name or name.encode("utf-8", "replace") not in raw:
        return ""
    own = re.compile(rf"(?<![\w]){re.escape(name)}(?![\w\[])")
    holder = short_name(where)[0]
    best, found = 0, ""
    for line in raw.split(b"\n"):
        text = line[:LOOKED_AT].decode("utf-8", "replace").rstrip("\r")
        if own.search(text) is None:
            continue
        exact = 2 if test in text else 1 if holder and holder in text else 0
        score = 1 + exact + (4 if _HEADING.match(text) else 0)
        if score > best:
            best, found = score, text
    return found


def by_hand(report: VerificationReport, repository: Path, gate: GateResult | None = None) -> list[str]:
    """Shell lines that run the gates (or this one alone) again on the report's tree, which lies in `repository`."""
    lines = [line.replace(REPOSITORY, shlex.quote(str(repository))) for line in report.reproduce]
    if gate is None or not gate.argv or len(lines) < 3:
        return lines
    return [*lines[:2], shlex.join(gate.argv)]
