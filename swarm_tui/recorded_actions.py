"""What the agents of a night did, attempt by attempt, as steps of the `script` agent: read from the journal, the trees
that were kept of each run, and the handoffs.

| in the journal | in the script |
|---|---|
| what a run left, against what it began with | `edit`, `delete` |
| tokens and cost | `spend` |
| how long it took | `sleep` |
| done | `handin`, or `handoff` with other fields than those |
| asked | `ask`, and after the answer what the next run did |
| gave the order back | `abort` |
| idle, out of time | `hang` |
| failed, over a quota, lost | `fail`, and the reason as `say` |
| interrupted | nothing: the next run does it again |

Only trees are known: in which order the files were changed, and what was tried and taken back, is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from engine.fold import apply
from engine.git.hub import Change
from engine.models.event import Event
from engine.models.roadmap import Item, WorkOrder
from engine.models.settings import Limits
from engine.state import State
from engine.text.sanitise import sanitise_line
from roles.agents.script_writer import Step, edits_of

PIECE_S = 60.0
"""Longest sleep without a word: who is silent for too long is stopped."""
SHORTEST_S = 0.05
ASKED_CODE = 75
REGULAR = ("100644", "100755")
_CLAIMED = ("tokens", "cost")
_OVER = frozenset({"landed", "healthy", "cancelled", "done"})
"""Phases of orders that are of no concern to a later night."""


class Trees(Protocol):
    """What is read of the hub."""

    def changed(self, tree_a: str, tree_b: str) -> list[Change]: ...
    def blob(self, sha: str) -> bytes: ...
    def tree_of(self, rev: str) -> str: ...


class Handoffs(Protocol):
    """What is read of the artifacts."""

    def get_json(self, digest: str) -> Any: ...


@dataclass
class Actions:
    """The actions of one night. start: main when its first run began. scripts: work order -> its attempts in order.
    orders, items: of the roadmap; the orders that were not over when it began. left_out: what could not be kept, a
    sentence each."""

    start: str = ""
    scripts: dict[str, list[list[Step]]] = field(default_factory=dict[str, "list[list[Step]]"])
    orders: list[WorkOrder] = field(default_factory=list[WorkOrder])
    items: dict[str, Item] = field(default_factory=dict[str, Item])
    left_out: list[str] = field(default_factory=list[str])


@dataclass
class _Run:
    """A run under way, or over. base: the commit that it began with."""

    attempt: int
    base: str
    result: str = ""
    steps: list[Step] = field(default_factory=list[Step])
    tokens: int = 0
    cost: float = 0.0


@dataclass
class Recorder:
    """Takes all events of a journal in order; those of one night are kept.

    speed: how many times as fast as they were the agents are to be. limits: of the night, for what hung. idle_s: how
    long the player may be silent.
    """

    trees: Trees
    artifacts: Handoffs
    speed: float = 1.0
    limits: Limits = field(default_factory=Limits)
    idle_s: float = PIECE_S
    actions: Actions = field(default_factory=Actions)
    _state: State = field(default_factory=State)
    _runs: dict[str, _Run] = field(default_factory=dict[str, _Run])
    _attempts: dict[str, dict[int, list[Step]]] = field(default_factory=dict[str, "dict[int, list[Step]]"])
    _over: set[str] = field(default_factory=set[str])

    def take(self, event: Event, *, kept: bool) -> None:
        """The next event. kept: it is one of the night's."""
        if kept:
            self._look(event)
        if event.kind == "roadmap_read":
            read = (Item.model_validate(each) for each in event.fields["items"])
            self.actions.items |= {item.id: item for item in read}
        apply(self._state, event)

    def finish(self) -> Actions:
        """What was found, once all events of the night were taken."""
        actions = self.actions
        actions.scripts = {
            order: [steps or [{"say": "nothing is known of this attempt"}] for _, steps in sorted(attempts.items())]
            for order, attempts in self._attempts.items()
        }
        actions.orders = [
            order.spec
            for order in self._state.orders.values()
            if order.source == "roadmap" and order.spec.id not in self._over
        ]
        return actions

    def _look(self, event: Event) -> None:
        f = event.fields
        if event.kind == "run_started":
            if not self.actions.start:
                self.actions.start = self._state.main
                self._over = {name for name, each in self._state.orders.items() if each.phase in _OVER}
            self._runs[event.run] = _Run(int(f["attempt"]), str(f["base"]))
        elif event.kind == "budget_spent" and (run := self._runs.get(event.run)) is not None:
            run.tokens, run.cost = run.tokens + int(f["tokens"]), run.cost + float(f["cost"])
        elif event.kind == "run_finished" and (run := self._runs.get(event.run)) is not None:
            self._finished(event, run)
        elif event.kind == "handoff_received" and (run := self._runs.get(event.run)) is not None:
            run.steps += [self._handoff(str(f["digest"]), str(f["summary"]))]
        elif event.kind in ("approval_asked", "approval_joined") and (run := self._runs.get(event.run)) is not None:
            operation = f.get("operation") or self._operation(str(f["approval"]))
            if operation and run.result == "asked":
                run.steps.append({"ask": _asked(operation)})

    def _finished(self, event: Event, run: _Run) -> None:
        f, order = event.fields, event.work_order
        run.result = result = str(f["result"])
        kept = str(f["kept"])
        if result == "interrupted":
            return
        resume = self._state.orders[order].resume if order in self._state.orders else None
        earlier = self._steps(order, run.attempt) if resume is not None else None
        if resume is not None and earlier is not None:
            question = next((step["ask"] for step in reversed(earlier) if "ask" in step), None)
            if question is not None and resume.answer == "denied":
                question["anyway"] = True
            steps, base = earlier, resume.tree
        else:
            steps, base = list[Step](), self.trees.tree_of(run.base)
        self._attempts.setdefault(order, {})[run.attempt] = steps
        steps += self._slept(float(f["duration_s"]), result)
        if kept:
            steps += self._changes(event.run, base, self.trees.tree_of(kept))
        if run.tokens or run.cost:
            steps.append(_spent(run))
        run.steps = steps
        steps += _ended(result, f.get("exit_code"), str(f["reason"]))

    def _steps(self, order: str, attempt: int) -> list[Step] | None:
        return self._attempts.get(order, {}).get(attempt)

    def _operation(self, approval: str) -> Mapping[str, Any]:
        known = self._state.approvals.get(approval)
        return known.operation if known is not None else {}

    def _slept(self, duration_s: float, result: str) -> list[Step]:
        """As long as it took; what it hung at the end the replay waits for by itself."""
        if result in ("idle", "timeout"):
            duration_s -= min(self.limits.run_idle, self.limits.run_wall)
        left, steps = duration_s / self.speed, list[Step]()
        piece = min(PIECE_S, self.idle_s / 2)
        while left >= SHORTEST_S:
            now = min(left, piece)
            left -= now
            steps.append({"sleep": f"{now:.2f}s"})
            if left >= SHORTEST_S:
                steps.append({"say": "…"})
        return steps

    def _changes(self, run: str, before: str, after: str) -> list[Step]:
        steps: list[Step] = []
        for change in self.trees.changed(before, after):
            path = change.path
            if change.status == "D":
                steps.append({"delete": path})
            elif change.new_mode not in REGULAR or not _playable(path):
                what = sanitise_line(path)
                self.actions.left_out.append(f"{run}: {what} is no plain file with a plain name, and was left out")
            else:
                old = self.trees.blob(change.old_sha) if change.old_mode in REGULAR else None
                was = change.old_mode if old is not None else REGULAR[0]
                mode = change.new_mode == REGULAR[1] if was != change.new_mode else None
                steps += edits_of(path, old, self.trees.blob(change.new_sha), mode)
        return steps

    def _handoff(self, digest: str, summary: str) -> Step:
        said: Any = self.artifacts.get_json(digest)
        fields = {name: value for name, value in said.items() if value not in ("", [], {}, None)}
        fields = {name: value for name, value in fields.items() if name not in _CLAIMED}
        if set(fields) <= {"summary", "risk", "rollback"}:
            return {"handin": {"summary": summary or "no summary", **fields}}
        return {"handoff": _without_none(fields)}


def _spent(run: _Run) -> Step:
    return {"spend": {"tokens": run.tokens, "cost": run.cost}}


def _asked(operation: Mapping[str, Any]) -> Step:
    return {name: value for name, value in operation.items() if value not in ("", {}, None)}


def _ended(result: str, exit_code: object, reason: str) -> list[Step]:
    """The last step of a run that did not hand in."""
    said: Step = {"say": sanitise_line(reason)[:500] or result}
    if result in ("done", "asked"):
        return []
    if result in ("idle", "timeout"):
        return [said, {"hang": True}]
    if result == "aborted":
        return [{"abort": reason or "it was given back"}]
    if reason == "nothing was changed":
        return [{"handin": {"summary": reason}}]
    plain = isinstance(exit_code, int) and 1 <= exit_code <= 255 and exit_code != ASKED_CODE
    return [said, {"fail": exit_code if plain else 1}]


def _playable(path: str) -> bool:
    """As the player wants it: a way down from the workspace, the same on every system."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\\" not in path and ":" not in path


def _without_none(value: Any) -> Any:
    """TOML has no word for it."""
    if isinstance(value, Mapping):
        pairs: Mapping[Any, Any] = value
        return {name: _without_none(each) for name, each in pairs.items() if each is not None}
    if isinstance(value, Sequence) and not isinstance(value, str):
        items: Sequence[Any] = value
        return [_without_none(each) for each in items if each is not None]
    return value


def actions_of(recorder: Recorder, events: Iterable[Event], first: int, last: int) -> Actions:
    """The actions of the night whose events are those from seq `first` to `last`."""
    for event in events:
        if event.seq > last:
            break
        recorder.take(event, kept=event.seq >= first)
    return recorder.finish()
