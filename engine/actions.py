"""What the planner can ask for. Each action has a key; a key runs once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Action:
    """`key` names one attempt at one effect; `effect` is the key without the attempt, under which failures are
    counted."""

    key: str
    effect: str


@dataclass(frozen=True)
class Record(Action):
    """A decision that only has to be written down: its effect is the event."""

    kind: str = ""
    work_order: str = ""
    fields: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class StartRun(Action):
    """An attempt of an order's role, on a workspace of main as it is when it starts. `agent`: who does it; of the runs
    that begin together only the plan knows how many each provider takes."""

    order: str = ""
    run: str = ""
    agent: str = ""


@dataclass(frozen=True)
class CheckAcceptance(Action):
    """Whether what an order names as its proof is red on main (`tree`), before anybody works on it. `goal`: the digest
    of what it names."""

    order: str = ""
    tree: str = ""
    goal: str = ""


@dataclass(frozen=True)
class JoinTests(Action):
    """Merge what the verifier wrote in the order `tests` into the change that it was written for."""

    change: str = ""
    tests: str = ""


@dataclass(frozen=True)
class CheckChange(Action):
    """The guards on the change's own tree."""

    change: str = ""


@dataclass(frozen=True)
class GateTrial(Action):
    """The gates on main with the changes `assumed` merged first and `test` on top. `nice`: as in `ProcessSpec`."""

    test: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    nice: int = 0


@dataclass(frozen=True)
class GateMain(Action):
    """The gates on main's own tree: the base that changes are compared with, or a person's commits."""

    commit: str = ""
    tree: str = ""


@dataclass(frozen=True)
class Land(Action):
    """Move main to the tree of these changes, which was proved as a whole; one commit for each, in this order."""

    changes: tuple[str, ...] = ()
    report: str = ""


@dataclass(frozen=True)
class Restore(Action):
    """Put main back to the tree of `to`, by one ordinary commit. `red`: the commit whose canary is red."""

    to: str = ""
    red: str = ""


@dataclass(frozen=True)
class Adopt(Action):
    """Take a person's commits on the user's main, or on the remote's (then they are in the hub), into hub's main."""

    commit: str = ""
    source: str = "local"


@dataclass(frozen=True)
class Publish(Action):
    """Bring hub's main to the user's repository."""

    commit: str = ""


@dataclass(frozen=True)
class PublishRemote(Action):
    """Bring hub's main, or what of it is good, to the user's remote, and see what became of it there."""


@dataclass(frozen=True)
class RunCanary(Action):
    """One canary run on `commit`. `about` is the commit that is being judged (control: another one)."""

    commit: str = ""
    about: str = ""
    purpose: str = "first"


@dataclass(frozen=True)
class ProposeGolden(Action):
    """Put an accepted golden on the train: alone, or (`of`) with the change that was taken back because of it, and of
    those in `also`."""

    golden: str = ""
    of: str = ""
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileBug(Action):
    """Ask the triager for the bug work order of a regression."""

    commit: str = ""


MOVERS = (Land, Restore, Adopt)
"""Actions that move main. At most one of them is desired at a time, and none is cancelled once it began."""
LANES: tuple[tuple[type[Action], ...], ...] = (MOVERS, (Publish,), (PublishRemote,))
"""Of each lane one action runs at a time: the next is planned again on what it leaves."""
CANCELLABLE = (StartRun, CheckAcceptance, GateTrial, GateMain, RunCanary, CheckChange, PublishRemote)
