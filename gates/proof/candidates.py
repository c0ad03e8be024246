"""Which tests of a gate a change is about: new ones, changed ones, and old ones that stand on what was changed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from engine.models.report import TestOutcome
from engine.models.settings import Gate
from gates.judge import is_named
from gates.proof.test_files import same_file
from gates.proof.versions import Touched
from gates.results.table import adapter

_PARTS = re.compile(r"::|[./:#\s]+")
_CODE = re.compile(r"\.(py|pyi|go|[cm]?[jt]sx?|rb|php|pl|java|kt|scala|cs|c|h|cc|cpp|hpp|swift|lua|sh|bats|exs?|dart)$")
_OWN_PROCESSES = frozenset({"cargo-test", "nextest"})
"""Runners that give each test a process: a file acts on the tests that are built with it alone."""


@dataclass(frozen=True)
class Candidates:
    """Test ids that pass on head. `new`: those that the base did not have. `own`: new ones, and those in files (or,
    where ids name no file, under names) that the change touches. only: what a run is restricted to."""

    tests: tuple[str, ...] = ()
    new: frozenset[str] = frozenset()
    own: tuple[str, ...] = ()
    only: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.tests)

    @classmethod
    def of(
        cls, gate: Gate, tests: Iterable[str], new: frozenset[str] = frozenset(), own: Iterable[str] = ()
    ) -> Candidates:
        """A run is restricted to files where the ids name any: an id that an old version does not have can stop a
        runner (pytest) from running the others."""
        reading = adapter(gate.results)
        listed = tuple(tests)
        only = dict.fromkeys(reading.file_of(test) or test for test in listed)
        return cls(listed, new, tuple(own), tuple(only))


def candidates(
    gate: Gate,
    change: Touched,
    base: Mapping[str, TestOutcome] | None,
    head: Mapping[str, TestOutcome],
    asked: Sequence[str] = (),
) -> Candidates:
    """The tests that may show that something was mended or made: passing on head, and new, touched, not passing on the
    base, or named by the order. base: None when there is no report."""
    passing = [test for test, outcome in head.items() if outcome == "passed"]
    new = frozenset(test for test in passing if base is not None and test not in base)
    touches = _Touches(gate, change, head)
    own = [test for test in passing if test in new or touches.own(test)]
    tests = [
        test
        for test in passing
        if test in new
        or touches.own(test)
        or touches.stands_on(test)
        or (base is not None and base.get(test) != "passed")
        or is_named(test, asked)
    ]
    return Candidates.of(gate, tests, new, own)


def affected(
    gate: Gate, change: Touched, base: Mapping[str, TestOutcome], head: Mapping[str, TestOutcome]
) -> list[str]:
    """The tests that passed on the base, pass on head, and may do so because of a test file, fixture or configuration
    that the change touches or adds: where tests share a process, any code there can patch what the others test. What
    no longer runs is LOST, and said elsewhere."""
    touches = _Touches(gate, change, {**base, **head})
    return [
        test
        for test, outcome in base.items()
        if outcome == "passed" and head.get(test) == "passed" and touches.old(test)
    ]


class _Touches:
    """Whether a test id is about what the change touches."""

    def __init__(self, gate: Gate, change: Touched, tests: Iterable[str]) -> None:
        self._reading = adapter(gate.results)
        self._change = change
        files = {file for test in tests if (file := self._reading.file_of(test))}
        self._support = [_reach(path, files) for path in change.support]
        self._old_support = [_reach(path, files) for path in change.support if path in change.old | change.added]
        shared = self._reading.version.partition("/")[0] not in _OWN_PROCESSES
        code = {*change.files, *change.support} - change.inline
        self._any = shared and any(_CODE.search(path) and self._own_language(path) for path in code)
        self._some_name_files = bool(files)

    def own(self, test: str) -> bool:
        return self._in_files(test, self._change.files)

    def old(self, test: str) -> bool:
        if self._any:
            return True
        files = {path: names for path, names in self._change.files.items() if path in self._change.old}
        return self._in_files(test, files) or self._below(test, self._old_support)

    def stands_on(self, test: str) -> bool:
        return self._below(test, self._support)

    def _in_files(self, test: str, files: Mapping[str, frozenset[str] | None]) -> bool:
        file = self._reading.file_of(test)
        if file and not file.endswith("/"):
            return any(same_file(file, path) for path in files)
        # Ids without files: of a runner that names none, or of tests in sources. By the names of the functions.
        parts = set(_PARTS.split(test.partition("[")[0]))
        return any((names is None or bool(parts & names)) and self._own_language(path) for path, names in files.items())

    def _own_language(self, path: str) -> bool:
        """Whether this gate may have run the file, as far as its kind of results says."""
        endings = _LANGUAGES.get(self._reading.version.partition("/")[0])
        return endings is None or path.endswith(endings)

    def _below(self, test: str, folders: Sequence[str | None]) -> bool:
        file = self._reading.file_of(test)
        return any(
            folder is not None and (not folder or not file or f"/{file}".find(f"/{folder}/") >= 0) for folder in folders
        )


_LANGUAGES: Mapping[str, tuple[str, ...]] = {
    "pytest": (".py",),
    "unittest": (".py",),
    "cargo-test": (".rs",),
    "nextest": (".rs",),
    "go-test": (".go",),
}


def _reach(path: str, files: set[str]) -> str | None:
    """The nearest folder above a fixture, data or configuration file that has tests; "" is the whole tree, which is
    also the answer where ids name no files or leave out the folders before them."""
    for folder in PurePosixPath(path).parents:
        name = "" if str(folder) == "." else str(folder)
        if not name or any(f"/{file}".find(f"/{name}/") >= 0 for file in files):
            return name
    return ""
