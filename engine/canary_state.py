"""What the state knows of landings since last good, of canary runs, and of main's regressions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from engine.models.verdict import Purpose, Verdict


@dataclass
class Landing:
    """One commit on main since last good, in order. `kind`: origin, change, restore, person."""

    commit: str
    tree: str
    kind: Literal["origin", "change", "restore", "person"]
    change: str = ""
    order: str = ""


@dataclass
class CanaryRun:
    purpose: Purpose
    verdict: Verdict
    reason: str
    flow: str = ""
    flows: dict[str, str] = field(default_factory=dict[str, str])
    """Flow -> its verdict. artifacts: of a red run's `flow`, name -> digest."""
    artifacts: dict[str, str] = field(default_factory=dict[str, str])


@dataclass
class Canaried:
    """Canary runs on one commit, and the judgement once there is one. `compares`: its samples held against last
    good's; `comparing`: that is under way. `waived`: a person lets it be red."""

    runs: list[CanaryRun] = field(default_factory=list[CanaryRun])
    controls: list[CanaryRun] = field(default_factory=list[CanaryRun])
    compares: list[CanaryRun] = field(default_factory=list[CanaryRun])
    comparing: bool = False
    verdict: str = ""
    reason: str = ""
    flow: str = ""
    flaky: bool = False
    waived: bool = False
    measured: dict[str, dict[str, float]] = field(default_factory=dict[str, dict[str, float]])
    """Flow -> sample -> the median of its newest green run."""


@dataclass
class Regression:
    """A confirmed red canary from restore to culprit. `suspects` are landings in order, `good` the commit before them.

    slower: nothing was put back; `commit` is good, and its samples are worse than those of `good`. Without suspects,
    they got so little by little.
    """

    commit: str
    flow: str
    reason: str
    suspects: list[Landing]
    probes: dict[str, list[CanaryRun]] = field(default_factory=dict[str, list[CanaryRun]])
    running: str = ""
    """The commit that is being probed now."""
    culprit: str = ""
    order: str = ""
    done: bool = False
    bug: str = ""
    good: str = ""
    range: list[str] = field(default_factory=list[str])
    """Commits among which the culprit is, where it could not be told apart."""
    probability: float = 0.0
    artifacts: dict[str, str] = field(default_factory=dict[str, str])
    slower: bool = False
