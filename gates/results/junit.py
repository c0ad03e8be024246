"""Results "junit:PATH": any runner that leaves a JUnit XML file at PATH in the tree's folder.

Weakness: the tested code runs in the command that writes the file, so it can write it too, and no tripwire can be laid.
What is checked: the file is of this run, it is whole and says one thing, and it agrees with the exit code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from xml.parsers import expat

from engine.models.report import TestOutcome
from gates.results.adapter import FailedBy, Launch, Seen, Watch
from gates.results.outputs import disagreement, expect_file, left_file, problem_with_path, shown, unprintable

_MAX_DEPTH = 64
_MAX_NAME = 2_000
_SUITES = ("testsuites", "testsuite")
_COUNTED = ("tests", "failures", "errors", "skipped")
_FAILED: Mapping[str, FailedBy] = {
    "failure": "assertion",
    "error": "error",
    # Passed only when the runner tried again: what passes by chance is no pass.
    "flakyFailure": "assertion",
    "flakyError": "error",
    "rerunFailure": "assertion",
    "rerunError": "error",
}


class JUnitResults:
    """Ids are `classname::name`; without a classname the suite's name stands for it. Skipped tests did not run."""

    counts = True
    version = "junit/1"

    def __init__(self, path: str) -> None:
        self._path = path

    def problem(self, argv: tuple[str, ...]) -> str:
        return problem_with_path(self._path) if argv else "it has no command"

    def only(self, argv: tuple[str, ...], tests: tuple[str, ...]) -> tuple[str, ...] | None:
        return None

    def file_of(self, test: str) -> str:
        return ""

    def launch(self, argv: tuple[str, ...], watch: Watch) -> Launch:
        expect_file(self._path, watch)
        return Launch(argv)

    def progress(self, exchange: Path) -> tuple[int, int]:
        return 0, 0

    def read(self, exit_code: int, watch: Watch) -> Seen:
        left = left_file(self._path, watch)
        if left.problem:
            return Seen(problems=(left.problem,))
        seen = read_junit(left.raw)
        failed = "failed" in seen.outcomes.values()
        doubts = () if seen.problems else disagreement(exit_code, failed, "a test")
        return Seen(seen.outcomes, (*seen.problems, *doubts), how=seen.how)


def read_junit(raw: bytes) -> Seen:
    """What a JUnit file says. No document type, entity, unknown root, doubled id or wrong count is let pass."""
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=None)
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.EntityDeclHandler = _refuse_doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    try:
        parser.Parse(raw, True)
    except expat.ExpatError as error:
        return Seen(problems=(f"the JUnit file is broken XML ({expat.ErrorString(error.code)}, line {error.lineno})",))
    except (_JUnitRefused, ValueError, LookupError) as error:
        return Seen(problems=(f"the JUnit file is refused: {shown(str(error))}",))
    return Seen(reader.outcomes, tuple(reader.problems), how=reader.how)


class _JUnitRefused(Exception):
    """Why, as one clause."""


def _refuse_doctype(*_: object) -> NoReturn:
    raise _JUnitRefused("it has a document type or entities")


@dataclass
class _Suite:
    name: str
    said: dict[str, int]
    direct: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTED, 0))
    whole: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_COUNTED, 0))


@dataclass
class _Case:
    name: str
    outcome: TestOutcome = "passed"
    how: FailedBy | None = None
    column: str = ""


class _Reader:
    """Takes the elements one by one; memory grows with the tests, not with the file."""

    def __init__(self) -> None:
        self.outcomes: dict[str, TestOutcome] = {}
        self.how: dict[str, FailedBy] = {}
        self.problems: list[str] = []
        self._open: list[str] = []
        self._suites: list[_Suite] = []
        self._case: _Case | None = None

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if not self._open and tag not in _SUITES:
            raise _JUnitRefused("its root is neither testsuites nor testsuite")
        if len(self._open) >= _MAX_DEPTH:
            raise _JUnitRefused(f"its elements are nested deeper than {_MAX_DEPTH}")
        if tag in _SUITES:
            if self._case is not None or (self._open and self._open[-1] not in _SUITES):
                raise _JUnitRefused("a suite lies inside of something else than a suite")
            self._suites.append(_Suite(attributes.get("name", ""), _said(attributes)))
        elif tag == "testcase":
            if self._case is not None or self._open[-1] not in _SUITES:
                raise _JUnitRefused("a test lies outside of a suite")
            self._case = self._begun(attributes)
        elif self._case is not None and self._open[-1] == "testcase":
            self._take(self._case, tag)
        self._open.append(tag)

    def end(self, tag: str) -> None:
        self._open.pop()
        if tag == "testcase" and self._case is not None:
            self._finish(self._case)
            self._case = None
        elif tag in _SUITES:
            self._close(self._suites.pop())

    def _begun(self, attributes: dict[str, str]) -> _Case:
        name = attributes.get("name", "")
        where = attributes.get("classname", "") or self._suites[-1].name
        whole = f"{where}::{name}" if where else name
        if not name.strip():
            raise _JUnitRefused("a test has no name")
        if len(whole) > _MAX_NAME:
            raise _JUnitRefused(f"a test's name is longer than {_MAX_NAME} characters")
        if unprintable(whole):
            raise _JUnitRefused(f"a test's name has control characters: {shown(whole)}")
        if whole in self.outcomes:
            self.problems.append(f"two tests are called {shown(whole)}: give each its own name")
        case = _Case(whole)
        if attributes.get("status", "").lower() in ("notrun", "skipped", "disabled"):
            case.outcome, case.column = "skipped", ""
        return case

    def _take(self, case: _Case, tag: str) -> None:
        if tag in _FAILED:
            case.outcome = "failed"
            case.how = "assertion" if "assertion" in (case.how, _FAILED[tag]) else "error"
            if tag in ("failure", "error"):
                case.column = "failures" if tag == "failure" else "errors"
        elif tag == "skipped" and case.outcome != "failed":
            case.outcome, case.column = "skipped", "skipped"

    def _finish(self, case: _Case) -> None:
        before = self.outcomes.get(case.name)
        self.outcomes[case.name] = "failed" if "failed" in (before, case.outcome) else case.outcome
        if case.outcome == "failed" and case.how is not None:
            self.how[case.name] = case.how
        counts = self._suites[-1].direct
        counts["tests"] += 1
        if case.column:
            counts[case.column] += 1

    def _close(self, suite: _Suite) -> None:
        for name in _COUNTED:
            suite.whole[name] += suite.direct[name]
            if self._suites:
                self._suites[-1].whole[name] += suite.whole[name]
        for name, said in suite.said.items():
            if said not in (suite.whole[name], suite.direct[name]):
                found = suite.whole[name]
                called = f"the suite {shown(suite.name)}" if suite.name else "the JUnit file"
                self.problems.append(f"{called} says {name}={said} and has {found}")


def _said(attributes: dict[str, str]) -> dict[str, int]:
    said: dict[str, int] = {}
    for name in _COUNTED:
        text = attributes.get(name, "").strip()
        if text and not (text.isascii() and text.isdigit() and len(text) < 10):
            raise _JUnitRefused(f"{name} is no count: {shown(text)}")
        if text:
            said[name] = int(text)
    return said
