"""Results "tap": a runner that tells its results on standard output in the Test Anything Protocol, versions 12 to 14.

Weakness: the tested code usually shares that output and can print lines of its own, and no tripwire can be laid. What
is checked: the plan is kept, the numbers run on, subtests agree with their parents, and all with the exit code.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from engine.models.report import TestOutcome
from gates.results.adapter import FailedBy, Launch, Seen, Watch
from gates.results.outputs import disagreement, launch_stream, shown, stream_so_far, streamed, unprintable

_TEST = re.compile(r"^(not )?ok\b(?:[ \t]+([0-9]{1,9})(?=[ \t]|$))?[ \t]*(?:- ?)?(.*)$")
_PLAN = re.compile(r"^1\.\.([0-9]{1,9})[ \t]*(#.*)?$")
_DIRECTIVE = re.compile(r"(?:^|[ \t])#[ \t]*(todo|skip)\S*.*$", re.IGNORECASE)
_MAX_DEPTH = 32
_MAX_NAME = 2_000
_BETWEEN = " > "


class TapResults:
    """Ids are descriptions (`#7` where there is none), those of subtests behind their parent's: `parent > child`."""

    counts = True
    version = "tap/1"

    def problem(self, argv: tuple[str, ...]) -> str:
        return "" if argv else "it has no command"

    def only(self, argv: tuple[str, ...], tests: tuple[str, ...]) -> tuple[str, ...] | None:
        return None

    def file_of(self, test: str) -> str:
        return ""

    def launch(self, argv: tuple[str, ...], watch: Watch) -> Launch:
        return launch_stream(argv, watch)

    def progress(self, exchange: Path) -> tuple[int, int]:
        lines = stream_so_far(exchange).split(b"\n")
        failed = sum(1 for line in lines if line.startswith(b"not ok"))
        return failed + sum(1 for line in lines if line.startswith(b"ok")), failed

    def read(self, exit_code: int, watch: Watch) -> Seen:
        output = streamed(exit_code, watch)
        if output.fault or output.problem:
            return Seen(fault=output.fault, problems=(output.problem,) if output.problem else ())
        seen = read_tap(output.raw)
        failed = "failed" in seen.outcomes.values()
        doubts = () if seen.problems else disagreement(exit_code, failed, "a test")
        return Seen(seen.outcomes, (*seen.problems, *doubts), how=seen.how)


def read_tap(raw: bytes) -> Seen:
    """What a TAP stream says. A line that is no TAP is passed over, as the protocol wants it."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return Seen(problems=("the TAP output is not UTF-8",))
    reader = _Reader()
    in_yaml = ""
    for line in text.split("\n"):
        line = line.rstrip("\r")
        indent = line[: len(line) - len(line.lstrip(" "))]
        if in_yaml:
            in_yaml = "" if line == f"{in_yaml}..." else in_yaml
        elif line == f"{indent}---" and indent and reader.just_tested:
            in_yaml = indent
        else:
            reader.take(len(indent) // 4, line.lstrip(" ") if len(indent) % 4 == 0 else "")
    reader.end()
    return Seen(reader.outcomes, tuple(reader.problems), how=reader.how)


@dataclass
class _Level:
    """One stream: the whole, or the subtests whose parent is not told yet."""

    plan: int | None = None
    plan_at: int = 0
    tests: list[tuple[str, TestOutcome]] = field(default_factory=list[tuple[str, TestOutcome]])
    failed: bool = False


class _Reader:
    def __init__(self) -> None:
        self.outcomes: dict[str, TestOutcome] = {}
        self.how: dict[str, FailedBy] = {}
        self.problems: list[str] = []
        self.just_tested = False
        self._levels: list[_Level] = [_Level()]
        self._bailed = False

    def take(self, depth: int, line: str) -> None:
        if not line or self._bailed:
            return
        self.just_tested = False
        if line.startswith("Bail out!"):
            self.problems.append(f"the runner gave up: {shown(line)}")
            self._bailed = True
        elif depth > _MAX_DEPTH:
            return
        elif found := _PLAN.match(line):
            self._take_plan(self._level(depth), int(found[1]))
        elif found := _TEST.match(line):
            self._take_test(depth, found)
            self.just_tested = True

    def end(self) -> None:
        if len(self._levels) > 1 and not self._bailed:
            self.problems.append("the output ends inside of a subtest")
        self._close(self._levels[0], "the output")
        for name, outcome in self._levels[0].tests:
            self._keep(name, outcome)

    def _level(self, depth: int) -> _Level:
        while len(self._levels) <= depth:
            self._levels.append(_Level())
        return self._levels[depth]

    def _take_plan(self, level: _Level, count: int) -> None:
        if level.plan is not None:
            self.problems.append("there is more than one plan")
        level.plan, level.plan_at = count, len(level.tests)

    def _take_test(self, depth: int, found: re.Match[str]) -> None:
        level = self._level(depth)
        number = self._next(level)
        rest = found[3]
        directive = _DIRECTIVE.search(rest)
        word = directive[1].lower() if directive else ""
        name = (rest[: directive.start()] if directive else rest).strip() or f"#{number}"
        if found[2] and int(found[2]) != number:
            self.problems.append(f"{shown(name)} has the number {found[2]} and is test {number}")
        failed = bool(found[1]) and word != "todo"
        outcome: TestOutcome = "failed" if failed else "skipped" if word else "passed"
        if unprintable(name) or len(name) > _MAX_NAME:
            self.problems.append(f"a test's name has control characters or is too long: {shown(name)}")
        children = self._children(depth, name)
        if outcome == "passed" and children is not None and children.failed:
            self.problems.append(f"{shown(name)} is ok although a subtest of it is not")
        level.failed = level.failed or failed
        level.tests.append((name, outcome))
        if children is not None:
            for child, end in children.tests:
                self._keep_below(level, name, child, "skipped" if word and end == "failed" else end)

    def _next(self, level: _Level) -> int:
        return sum(1 for name, _ in level.tests if not name.startswith("\0")) + 1

    def _keep_below(self, level: _Level, parent: str, child: str, outcome: TestOutcome) -> None:
        # Marked, so that it is not counted as a test of this level.
        level.tests.append(("\0" + parent + _BETWEEN + child.lstrip("\0"), outcome))

    def _children(self, depth: int, name: str) -> _Level | None:
        if len(self._levels) <= depth + 1:
            return None
        if len(self._levels) > depth + 2:
            self.problems.append(f"subtests of a subtest of {shown(name)} have no parent")
        children = self._levels[depth + 1]
        del self._levels[depth + 1 :]
        self._close(children, shown(name))
        return children

    def _close(self, level: _Level, where: str) -> None:
        count = self._next(level) - 1
        if self._bailed:
            return
        if level.plan is None:
            self.problems.append(f"{where} has no plan (a line 1..N)")
        elif level.plan != count:
            self.problems.append(f"{where} plans {level.plan} tests and has {count}")
        elif 0 < level.plan_at < len(level.tests):
            self.problems.append(f"{where} has its plan in the middle")

    def _keep(self, name: str, outcome: TestOutcome) -> None:
        name = name.lstrip("\0")
        if name in self.outcomes:
            self.problems.append(f"two tests are called {shown(name)}: give each its own name")
        self.outcomes[name] = "failed" if "failed" in (self.outcomes.get(name), outcome) else outcome
        if self.outcomes[name] == "failed":
            self.how[name] = "assertion"
