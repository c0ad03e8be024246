"""The four verdicts, and which of several counts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from engine.models.verdict import Verdict

SEVERITY: tuple[Verdict, ...] = ("FAIL", "ENVIRONMENT", "INCONCLUSIVE", "PASS")
"""Worst first."""


@dataclass(frozen=True)
class Finding:
    """One thing that was found out about a flow. `reason` is one sentence."""

    verdict: Verdict
    reason: str


def worst(findings: Iterable[Finding]) -> Finding | None:
    """The first of the worst ones; None when there are none."""
    return min(findings, key=lambda finding: SEVERITY.index(finding.verdict), default=None)


class Miss(Exception):
    """What was expected did not happen. `reason` is one sentence: what was expected, and what was seen."""

    def __init__(self, verdict: Verdict, reason: str) -> None:
        super().__init__(reason)
        self.verdict: Verdict = verdict
        self.reason = reason
