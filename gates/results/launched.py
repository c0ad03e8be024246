"""The engine's side of the launchers: how a Python test runner is started, and which of its records are believed."""

from __future__ import annotations

import hmac
import io
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal, cast

from engine.models.report import TestOutcome
from gates.results.adapter import FailedBy, Launch, Seen, Watch
from gates.strict_json import JsonRefused, parse

LAUNCHERS = Path(__file__).resolve().parent / "launchers"
RESULTS = "results.jsonl"
ODD = "the results hold a record that the launcher does not write"
"""Only somebody inside the run who found the nonce can sign such a one."""
_PYTHON = re.compile(r"^(python|pypy)[0-9.]*(\.exe)?$", re.IGNORECASE)
_FLAGS = frozenset({"-B", "-u", "-b", "-bb", "-d", "-O", "-OO", "-q", "-v", "-E", "-s", "-P"})
_FLAGS_WITH_VALUE = frozenset({"-W", "-X"})
_MAX_BYTES = 256_000_000
_MAX_PROGRESS_BYTES = 8_000_000
_MAX_ARGUMENTS = 30_000
_SHOWN = 5
# The tested code may have put anything in the file's place: a link to a device, or a FIFO, which a read waits for.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_OUTCOMES: Mapping[object, TestOutcome] = {"passed": "passed", "failed": "failed", "skipped": "skipped"}


def problem_with_module(argv: Sequence[str], module: str) -> str:
    """Why `argv` is not `python [flags] -m <module> …`, as one clause; empty when it is."""
    if _split(argv, module) is None:
        return f'it has results = "{module}" but is not written as ["python", "-m", "{module}", ...]'
    return ""


def launch(argv: Sequence[str], watch: Watch, launcher: str) -> Launch:
    """The argv that runs the module under its launcher. Raises ValueError when `problem_with_module` has a problem."""
    module = launcher.removeprefix("launch_").removesuffix(".py")
    parts = _split(argv, module)
    if parts is None:
        raise ValueError(problem_with_module(argv, module))
    flags, arguments = parts
    own = ("-I", "-S", str(LAUNCHERS / launcher), str(watch.exchange), str(watch.tree))
    return Launch((argv[0], *flags, *own, *arguments), readable=(LAUNCHERS,))


def progress(exchange: Path) -> tuple[int, int]:
    """(tests done, tests failed) by the unverified lines so far."""
    try:
        raw = content(exchange / RESULTS, _MAX_PROGRESS_BYTES)
    except OSError:
        return 0, 0
    return raw.count(b'"kind":"test"'), raw.count(b'"outcome":"failed"')


def read_records(exit_code: int, watch: Watch, runner: str, *, empty_status: int, meanings: Mapping[int, str]) -> Seen:
    """What the records say, when they are whole and agree with the exit code; otherwise the problems, each red."""
    records, broken = believed(watch)
    told = _Told()
    for record in records:
        try:
            told.take(record)
        except (KeyError, TypeError, ValueError, OverflowError):
            broken = ODD
            break
    if told.missing:
        return Seen(fault=told.missing)
    if broken:
        more = [broken]
    elif told.status is None:
        more = [f"the test process ended with exit code {exit_code} before {runner} was finished"]
    else:
        more = _contradictions(told, exit_code, runner, empty_status, meanings)
    return Seen(told.outcomes, (*told.problems, *more), how=told.how, tripwire=told.tripwire)


def restricted(argv: tuple[str, ...], tests: Sequence[str], *also: str) -> tuple[str, ...] | None:
    """`argv` with one more argument per test, which the launcher takes out again; None where they are too many."""
    chosen = (*argv, *also, *(f"--swarm-only={test}" for test in tests))
    return chosen if tests and sum(map(len, chosen)) < _MAX_ARGUMENTS else None


@dataclass
class _Told:
    """The records, folded."""

    outcomes: dict[str, TestOutcome] = field(default_factory=dict[str, TestOutcome])
    how: dict[str, FailedBy] = field(default_factory=dict[str, FailedBy])
    tripwire: Literal["", "tripped", "silent"] = ""
    planned: list[str] = field(default_factory=list[str])
    problems: list[str] = field(default_factory=list[str])
    status: int | None = None
    recorded: int = 0
    counted: int = 0
    missing: str = ""

    def take(self, record: dict[str, Any]) -> None:
        kind, name = record.get("kind"), _written(str(record.get("id", "")))
        if kind == "test":
            self.recorded += 1
            outcome = _OUTCOMES.get(record.get("outcome"), "failed")
            before = self.outcomes.get(name)
            self.outcomes[name] = "failed" if "failed" in (before, outcome) else outcome
            if self.outcomes[name] == "failed" and record.get("how") in ("assertion", "error"):
                self.how[name] = record["how"]
            if name != record.get("id"):
                self.problems.append(f"{name} has signs in its name that cannot be written: rename it")
            if note := record.get("note"):
                self.problems.append(f"{name} was reported as passed although {note}")
        elif kind == "planned":
            self.planned = [_written(str(one)) for one in record.get("ids", [])]
        elif kind == "deselected":
            for one in record.get("ids", []):
                self.outcomes.setdefault(_written(str(one)), "skipped")
        elif kind == "tripwires":
            self._take_tripwires([str(one) for one in record["silent"]], int(record["tripped"]))
        elif kind == "uncollected":
            self.problems.append(f"{name} could not be collected")
            self.how[name] = "error"
        elif kind == "missing":
            what, program = record.get("what"), record.get("program")
            self.missing = f"{what} for {program}: install it there, or name another python in run."
        elif kind == "finish":
            self.status, self.counted = int(record["status"]), int(record["tests"])

    def _take_tripwires(self, silent: list[str], tripped: int) -> None:
        self.tripwire = "silent" if silent else "tripped" if tripped else ""
        if silent:
            more = f" and {len(silent) - _SHOWN} more" if len(silent) > _SHOWN else ""
            where = ", ".join(silent[:_SHOWN]) + more
            self.problems.append(f"a test that was made to fail was not reported as failed in {where}")


def _written(name: str) -> str:
    """The name as UTF-8 and argv can hold it: lone surrogates and NUL are spelled out."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def _contradictions(
    told: _Told, exit_code: int, runner: str, empty_status: int, meanings: Mapping[int, str]
) -> list[str]:
    found: list[str] = []
    failed = any(outcome == "failed" for outcome in told.outcomes.values())
    if told.status != exit_code:
        found.append(f"the test process ended with exit code {exit_code} although {runner} ended with {told.status}")
    elif told.status == 0 and failed:
        found.append("the exit code is 0 although tests failed")
    elif told.status == 1 and not failed and not told.problems:
        found.append("the exit code is 1 although no test failed")
    elif exit_code not in (0, 1, empty_status):
        meaning = meanings.get(exit_code, f"{runner} ended with an unknown status")
        found.append(f"{meaning} (exit code {exit_code})")
    if told.counted != told.recorded:
        found.append(f"{told.counted} tests were counted and {told.recorded} recorded")
    if told.status == 0 and (missing := [name for name in told.planned if name not in told.outcomes]):
        found.append(f"{len(missing)} collected tests have no result: {', '.join(missing[:5])}")
    return found


def believed(watch: Watch) -> tuple[list[dict[str, Any]], str]:
    """(the launcher's records up to the first that is not believed, why the rest is not; "" when all are)."""
    try:
        raw = content(watch.exchange / RESULTS, _MAX_BYTES + 1)
    except OSError:
        return [], "the run left no results"
    if len(raw) > _MAX_BYTES:
        return [], f"the results have more than {_MAX_BYTES} bytes"
    found: list[dict[str, Any]] = []
    key = bytes.fromhex(watch.nonce)
    # One line at a time: a list of all the lines of a file full of line feeds takes ten times its size.
    for number, line in enumerate(io.BytesIO(raw), start=1):
        if not line.endswith(b"\n"):
            return found, "the results end in the middle of a record"
        signature, _, body = line[:-1].partition(b" ")
        if not hmac.compare_digest(signature, hmac.new(key, body, "sha256").hexdigest().encode("ascii")):
            return found, f"line {number} of the results was not written by the launcher"
        try:
            record = parse(body)
        except JsonRefused:
            return found, f"line {number} of the results is no JSON"
        if not isinstance(record, dict) or cast("dict[str, Any]", record).get("seq") != number:
            return found, f"there is a gap in the results at line {number}"
        found.append(cast("dict[str, Any]", record))
    return found, ""


def content(path: Path, most_bytes: int) -> bytes:
    """At most so many bytes of a plain file. Raises OSError for anything else in its place, without waiting for it."""
    with os.fdopen(os.open(path, _OPEN_FLAGS), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(f"{path} is no plain file")
        return file.read(most_bytes)


def _split(argv: Sequence[str], module: str) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """(the interpreter's own flags, the module's arguments)."""
    if not argv or not _PYTHON.match(PureWindowsPath(PurePosixPath(argv[0]).name).name):
        return None
    at = 1
    while at < len(argv) and argv[at] != "-m":
        at += 2 if argv[at] in _FLAGS_WITH_VALUE else 1
        if argv[at - 1] not in _FLAGS and (at < 2 or argv[at - 2] not in _FLAGS_WITH_VALUE):
            return None
    if list(argv[at : at + 2]) != ["-m", module]:
        return None
    return tuple(argv[1:at]), tuple(argv[at + 2 :])
