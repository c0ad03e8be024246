"""What was proved about a change beyond its gates: that its tests failed before, and that old tests were not weakened.

FAIL_TO_PASS and PASS_TO_PASS are the terms of SWE-bench (Jimenez et al., 2024).
"""

from __future__ import annotations

from typing import Literal

from engine.models.base import Grown

CommandOutcome = Literal["green", "red", "error", "timeout", ""]
"""error: it could not say anything (no such program or script); "": it was not run there."""


class ProvedCommand(Grown):
    """An acceptance or repro command, on the base and on head. `ok`: red on base for the right reason, green on head
    (before a run: red on base). `reason` is one sentence when it is not ok."""

    name: str
    argv: list[str]
    base: CommandOutcome = ""
    head: CommandOutcome = ""
    ok: bool = False
    reason: str = ""
    log: str = ""
    """Digest of the log of its last run."""


class ProofRun(Grown):
    """One run that was needed for the proof, and what it cost. `purpose`: overlay, signs, old-tests, repeat, steady,
    base, head."""

    purpose: str
    gate: str
    tree: str
    result: str
    duration_s: float = 0.0
    cached: bool = False


class Proof(Grown):
    """The test-first proof of one change on one base. Test ids are those of the gates' results.

    overlay: tree id of base's sources with the change's tests; old_tests: tree id of head's sources with base's tests;
    "" where no such tree was needed. Any sentence in `reasons` makes the report red.
    """

    overlay: str = ""
    old_tests: str = ""
    fail_to_pass: list[str] = []
    """Not passing on the overlay (or base), passing on head."""
    pass_to_pass: int = 0
    """How many tests passed on the base and pass on head."""
    weak: list[str] = []
    """Those of fail_to_pass that failed before only because something could not be imported or
    compiled, or that would pass with the fault still there, once what the change adds beside it is there."""
    already_passing: list[str] = []
    """New or changed tests that pass on the overlay too: they prove nothing."""
    weakened: list[str] = []
    """Tests that pass in the change's version and not in base's."""
    looser: list[str] = []
    """Files of tests from which checks of the base are gone, though main's version of the tests still passes."""
    unstable: list[str] = []
    """New or changed tests that did not pass every time."""
    unproved: list[str] = []
    """Tests that the work order names and that are not red before and green after."""
    commands: list[ProvedCommand] = []
    runs: list[ProofRun] = []
    by_order: dict[str, int] = {}
    """Of changes that were tried together: work order -> how many of fail_to_pass are its own and not weak."""
    reasons: list[str] = []
    flags: list[str] = []

    @property
    def regression_tests(self) -> int:
        """How many of fail_to_pass are not weak."""
        return len(set(self.fail_to_pass) - set(self.weak))

    def tests_by_order(self, order: str) -> dict[str, int]:
        """How many each work order proved itself by. order: whose proof it is, where one change was tried alone."""
        return self.by_order or ({order: self.regression_tests} if order else {})
