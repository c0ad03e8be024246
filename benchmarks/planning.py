"""Planning time per event: `plan` on a state with many changes in the train, after each event of a real course."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benchmarks.figure import Figure, Scale
from engine.actions import Action, GateTrial, Land, Record
from engine.fold import apply
from engine.models.event import Event
from engine.models.roadmap import WorkOrder
from engine.models.settings import Gate, Limits, Project, Settings
from engine.planner import plan
from engine.state import State

GOAL_MS = 5.0
CHANGES = 200
FOLDERS = 25
EVENTS = 120


@dataclass(frozen=True)
class Course:
    """folders: in which the changes are. bad: the share of bad ones. held: the trial that assumes nothing speaks last,
    so that ever longer chains of green trials wait for it."""

    folders: int = FOLDERS
    bad: float = 0.15
    held: bool = False


def measure(_scale: Scale) -> list[Figure]:
    name = f"planning, {CHANGES} changes in the train"
    one = f"{name}, all in one folder"
    chain = Course(folders=1, bad=0.0, held=True)
    return [
        Figure(f"{name}, per event", "ms", list(planned_ms(CHANGES, EVENTS)), GOAL_MS),
        Figure(f"{one}, per event", "ms", list(planned_ms(CHANGES, EVENTS, Course(folders=1))), GOAL_MS),
        Figure(f"{one}, chains of green trials", "ms", list(planned_ms(CHANGES, EVENTS, chain))),
    ]


def planned_ms(changes: int, events: int, course: Course = Course(), seed: int = 1) -> Iterator[float]:
    """Milliseconds of processor time of the plan after each of `events` events: trials begin and end, green and red
    ones, changes land and new ones arrive, so that there are always `changes` in the train."""
    night = _Night(changes, course, seed)
    for _ in range(events):
        started = time.thread_time()  # planning waits for nothing, and what else the machine does is not its time
        made = plan(night.state, night.settings, night.now)
        yield (time.thread_time() - started) * 1000
        night.go_on(made.actions)


class _Night:
    def __init__(self, changes: int, course: Course, seed: int) -> None:
        self.course = course
        self.random = random.Random(seed)
        self.state, self.seq, self.now, self.made = State(), 0, 10_000.0, 0
        gates = [Gate(name="unit", run=["unit"]), Gate(name="lint", run=["lint"])]
        self.settings = Settings(
            limits=Limits(implementers=8, gate_slots=4), gate=gates, project=Project(publish="none")
        )
        opened = {"commit": "main0", "tree": "tree0", "repository": "r", "branch": "main"}
        self.tell("repository_opened", opened)
        self.tell("engine_started", {"epoch": 1, "version": "0", "pid": 1})
        self.tell("settings_read", {"policy": "p", "settings": "s", "bootstrap": False})
        self.landed = 0
        self.gated()
        for _ in range(60):  # what landed before, in the same places
            self.arrives()
            self.lands(f"c{self.made}")
        self.gated()
        while records := [a for a in plan(self.state, self.settings, self.now).actions if isinstance(a, Record)]:
            self.go_on(tuple(records))
        for _ in range(changes):
            self.arrives()

    def tell(self, kind: str, fields: Mapping[str, object], order: str = "") -> None:
        self.seq += 1
        refused = apply(self.state, Event(self.seq, self.now, kind, order, "", dict(fields)))
        assert refused is None, refused

    def gated(self) -> None:
        """Main's own tree is green."""
        self.report(self.state.main_tree, "gates", "green")

    def report(self, tree: str, kind: str, result: str, change: str = "", trial: str = "") -> None:
        said: dict[str, object] = {"report_kind": kind, "result": result, "report": f"sha256:{self.seq}", "tree": tree}
        said |= {"base": self.state.main_tree, "base_commit": self.state.main, "policy": "p", "change": change}
        self.tell("report_signed", {**said, "reasons": ["red"], "trial": trial})

    def arrives(self) -> None:
        """One more change in the train: of one to six files in a few of the folders."""
        self.made += 1
        self.now += 10
        name, order = f"c{self.made}", f"w{self.made}"
        kind = self.random.choice(["feature", "fix", "refactor", "docs"])
        spec = WorkOrder.model_validate(
            {"id": order, "title": "t", "kind": kind, "priority": self.random.randint(1, 3)}
        )
        self.tell("work_order_added", {"order": spec.model_dump(mode="json"), "because": "bench"}, order)
        self.tell("work_order_ready", {}, order)
        self.tell("run_started", {"attempt": 1, "role": "implementer", "agent": "a", "base": self.state.main}, order)
        paths = [f"src/f{self.random.randrange(self.course.folders)}/m{n}.py" for n in range(self.random.randint(1, 6))]
        base = self.random.choice(self.state.known_main[-30:])
        proposed: dict[str, object] = {"change": name, "base": base, "head": f"h{name}", "tree": f"t{name}"}
        self.tell("change_proposed", {**proposed, "paths": paths, "summary": "", "agent": "a"}, order)
        self.tell("change_verifying", {"change": name}, order)
        self.tell("change_queued", {"change": name, "guards": []}, order)

    def lands(self, name: str, report: str = "") -> None:
        self.landed += 1
        tree, change = f"tree{self.landed}", self.state.changes[name]
        fields: dict[str, object] = {"change": name, "commit": f"main{self.landed}", "tree": tree, "report": report}
        self.tell("change_landed", {**fields, "parent": self.state.main, "effect_id": name}, change.order)

    def go_on(self, actions: tuple[Action, ...]) -> None:
        """One thing happens: a trial begins or speaks, or changes land."""
        self.now += 30
        for action in actions:
            if isinstance(action, Record):
                return self.tell(action.kind, action.fields, action.work_order)
        for action in actions:
            if isinstance(action, Land):
                for name in action.changes:
                    self.lands(name, action.report)
                    self.arrives()
                self.gated()
                return None
        trials = [action for action in actions if isinstance(action, GateTrial)]
        for action in trials:
            if action.key not in self.state.trials:
                begun: dict[str, object] = {"trial": action.key, "test": list(action.test)}
                return self.tell("trial_started", {**begun, "assumed": list(action.assumed), "base": "", "tree": ""})
        others = [action for action in trials if action.assumed] if self.course.held else []
        action = self.random.choice(others or trials)
        bad = any(random.Random(name).random() < self.course.bad for name in (*action.assumed, *action.test))
        return self.report("merged", "land", "red" if bad else "green", action.test[-1], action.key)
