"""What may be written but does nothing yet. Said openly: a setting that is silently ignored is a false promise.

Each line goes when the thing works.
"""

from __future__ import annotations

from engine.models.problem import Problem
from engine.models.roadmap import Roadmap
from engine.models.settings import Settings
from engine.toml_lines import Loc
from engine.wording import Locate


def settings_not_yet(settings: Settings, at: Locate) -> list[Problem]:
    """Warnings: where a weaker thing happens instead."""
    found: list[Problem] = []

    def say(loc: Loc, what: str, do: str) -> None:
        found.append(Problem(where=at(loc), what=what, do=do, level="warning"))

    for index, gate in enumerate(settings.gate):
        if "canary" in gate.when:
            what = f"gate {gate.name}: gates after landing come with a later version"
            say(("gate", index, "when"), what, "write it as a [[canary.flow]]")
    return found


def roadmap_not_yet(roadmap: Roadmap, at: Locate) -> list[Problem]:
    """Warnings: what an order asks to be proved beyond its gates and tests."""
    found: list[Problem] = []
    for index, order in enumerate(roadmap.work_order):
        if order.budget:
            what = f"work order {order.id}: budget is told to the agent and not checked yet"
            do = "check it in a gate"
            found.append(Problem(where=at(("work_order", index, "budget")), what=what, do=do, level="warning"))
    return found
