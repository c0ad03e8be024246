"""What proofs are made with: one gate, run on one tree, in a clean checkout, under the same watch as a real gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from engine.models.report import GateResult, TestOutcome
from engine.models.settings import Gate
from gates.results.adapter import FailedBy


@dataclass(frozen=True)
class Trial:
    """What one gate showed. `result` is judged without any inventory; `how` says of failed tests what failed.

    output: for gates without results, the last 8,000 characters or so that it printed, as they are; else it may be "".
    """

    result: GateResult
    outcomes: Mapping[str, TestOutcome] = field(default_factory=dict[str, TestOutcome])
    how: Mapping[str, FailedBy] = field(default_factory=dict[str, FailedBy])
    output: str = ""


class Trials(Protocol):
    """Runs a gate on any tree in a freshly swept slot. Equal runs are answered from the cache, except repeats."""

    async def __call__(
        self, gate: Gate, tree: str, *, purpose: str, only: Sequence[str] = (), repeat: int = 0
    ) -> Trial:
        """only: run just these tests where the adapter can (else all run, and the outcomes are filtered).
        repeat: the how-manieth time; each number runs afresh. purpose: for the report, see `ProofRun`."""
        ...


class Trees(Protocol):
    """The part of the hub that proofs need. Trees and blobs by full id."""

    def changed(self, base: str, head: str) -> Sequence[Changed]: ...
    def read(self, tree: str, path: str) -> bytes | None: ...
    def write(self, content: bytes) -> str: ...
    def compose(self, tree: str, entries: Mapping[str, tuple[str, str] | None]) -> str: ...


@dataclass(frozen=True)
class Changed:
    """One changed path. Modes are git's six octal digits, 000000 (and an id of zeros) where there is no file."""

    path: str
    old_mode: str
    new_mode: str
    old_sha: str
    new_sha: str
