"""What runs of a canary flow have shown: its last runs, and how often it is red on commits that are good. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

MOST_RUNS = 20
MOST_VALUES = 200
"""Of a sample; the oldest go first."""
EXPECTED_REDS, EXPECTED_RUNS = 1, 20
"""What is believed of a flow before it has run: the counts of a Beta(1, 19) prior, one red in twenty."""


@dataclass
class FlowRun:
    """One run of a flow. `at`: UTC seconds when it ended; `purpose` as in `canary_finished`."""

    commit: str
    purpose: str
    verdict: str
    at: float
    duration_s: float = 0.0


@dataclass
class Trend:
    """A sample's median for each commit that became last good, oldest first."""

    commits: list[str] = field(default_factory=list[str])
    values: list[float] = field(default_factory=list[float])

    def add(self, commit: str, value: float) -> None:
        self.commits = [*self.commits, commit][-MOST_VALUES:]
        self.values = [*self.values, value][-MOST_VALUES:]


@dataclass
class FlowRecord:
    """`reds` of `runs` on commits that were judged PASS: chance, not the commit. `newest`: the last runs, oldest
    first."""

    runs: int = 0
    reds: int = 0
    newest: list[FlowRun] = field(default_factory=list[FlowRun])
    trends: dict[str, Trend] = field(default_factory=dict[str, Trend])
    """By sample; begun anew when somebody is asked to mend it."""

    @property
    def rate(self) -> float:
        """Probability that it is red on a good commit: the posterior mean."""
        return (self.reds + EXPECTED_REDS) / (self.runs + EXPECTED_RUNS)

    def ran(self, run: FlowRun) -> None:
        self.newest = [*self.newest, run][-MOST_RUNS:]

    def judged(self, verdict: str) -> None:
        """A run on a commit that is good."""
        if verdict in ("PASS", "FAIL"):
            self.runs += 1
            self.reds += verdict == "FAIL"
