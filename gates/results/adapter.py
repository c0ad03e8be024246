"""What every results adapter does: start the runner so that it is watched, and read what the watcher wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from engine.models.report import TestOutcome

FailedBy = Literal["assertion", "error"]


@dataclass(frozen=True)
class Watch:
    """Where a watched run meets its watcher. `exchange` is a folder that the run may write, outside the tree.

    nonce: hex secret of this run. The launcher takes it from `exchange/nonce`, which it deletes before it lets the tree
    in, and signs every record with it.
    """

    exchange: Path
    nonce: str
    tree: Path


@dataclass(frozen=True)
class Launch:
    """How to start the run. `readable`: folders outside the tree that it needs."""

    argv: tuple[str, ...]
    readable: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Seen:
    """What was seen. `outcomes` per test id; a problem is one clause, and any problem makes the gate red.

    fault: why nothing could be seen, one sentence with what to do; the gate's result is then "error".
    how: for failed tests, where it is known, whether a check failed or something else went wrong before (an import, a
    fixture, the compiler). tripwire: what became of freshly made must-fail tests; "silent" also is a problem.
    """

    outcomes: Mapping[str, TestOutcome] = field(default_factory=dict[str, TestOutcome])
    problems: tuple[str, ...] = ()
    fault: str = ""
    how: Mapping[str, FailedBy] = field(default_factory=dict[str, FailedBy])
    tripwire: Literal["", "tripped", "silent"] = ""


class ResultsAdapter(Protocol):
    """`counts`: there are tests to count. `version` changes when the same run would be read otherwise."""

    counts: bool
    version: str

    def problem(self, argv: tuple[str, ...]) -> str:
        """Why this argv cannot be watched, as one clause; empty when it can."""
        ...

    def only(self, argv: tuple[str, ...], tests: tuple[str, ...]) -> tuple[str, ...] | None:
        """`argv` (as in the settings) restricted to these test ids, files or name prefixes; None: it cannot be
        restricted, so all have to run."""
        ...

    def file_of(self, test: str) -> str:
        """The file, relative to the tree, that a test id names; "" where ids name none."""
        ...

    def launch(self, argv: tuple[str, ...], watch: Watch) -> Launch:
        """How to run `argv` (its program already absolute) under watch."""
        ...

    def progress(self, exchange: Path) -> tuple[int, int]:
        """(tests done, tests failed) so far. A hint for people, not evidence."""
        ...

    def read(self, exit_code: int, watch: Watch) -> Seen:
        """What the finished run showed."""
        ...
