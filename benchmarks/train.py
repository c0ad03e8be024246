"""The project's planner of gate runs, for a referee of merge trains: JSON lines on stdin and stdout.

`{"op": "reset", "slots", "contention", "batch_growth", "max_batch"}` begins a world and has no answer. `{"op": "plan",
"t", "slots", "pending", "running", "green", "red", "landed", "rejected"}` is answered by one line: the wanted runs in
order, each as `{"test", "assume_landed", "assume_rejected"}`. Times are minutes.

What the engine folds from its journal (who was seen green, which groups were red, how often changes conflict), this
adapter remembers from one question to the next.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from engine.conflicts import ConflictRate
from engine.planner.speculation import Candidate, Capacity, Evidence, Names, Trial, choose

BESIDE_MIN = 90.0
"""Two changes whose arrivals lie further apart were surely not written side by side; FADE_MIN before that it begins to
be unsure."""
FADE_MIN = 60.0
FORGOTTEN_MIN = 4 * BESIDE_MIN


class World:
    """One run of the referee's world: its changes as they are now, and what was seen of them."""

    def __init__(self, reset: dict[str, Any]) -> None:
        self.capacity = Capacity(reset["slots"], reset["max_batch"], reset["batch_growth"])
        self.conflicts = ConflictRate()
        self.changes: dict[str, dict[str, Any]] = {}
        self.exposure: dict[str, float] = {}
        self.landed: list[tuple[float, dict[str, Any]]] = []
        self.suspected: set[Names] = set()
        self.proven: set[str] = set()
        self.known_red: set[Trial] = set()
        self.contention: float = reset["contention"]
        self.done: dict[Trial, float] = {}
        self.now = 0.0
        self.arrived: dict[str, float] = {}

    def plan(self, asked: dict[str, Any]) -> list[dict[str, list[int]]]:
        now = asked["t"]
        pending = {str(one["id"]): one for one in asked["pending"]}
        self._decided(pending, {str(one) for one in asked["landed"]}, now)
        running, green, red = ([_trial(one) for one in asked[name]] for name in ("running", "green", "red"))
        self.changes = pending
        self.arrived |= {name: one["arrived"] for name, one in pending.items()}
        self.proven |= {name for trial in green for name in trial.tree}
        self.suspected |= {trial.tree for trial in red if trial not in self.known_red}
        self.known_red = set(red)
        self.exposure = {name: sum(_beside(one, other) for _, other in self.landed) for name, one in pending.items()}
        queue = {
            name: Candidate(
                one["arrived"],
                one["expected_min"],
                one["pass_probability"] * self.conflicts.survives(self.exposure[name]),
            )
            for name, one in pending.items()
        }
        evidence = Evidence(green, red, self.suspected, self.proven)
        wanted = choose(queue, self._shares(running, now), evidence, self.capacity, self._risk)
        return [_line(one.trial) for one in wanted]

    def _decided(self, pending: dict[str, Any], landed: set[str], now: float) -> None:
        """Learn from what left the queue since the last question."""
        gone = self.changes.keys() - pending.keys()
        for name in sorted(gone, key=int):
            change = self.changes[name]
            self.conflicts.decided(self.exposure[name], change["pass_probability"], landed=name in landed)
            if name in landed:
                self.landed.append((now, change))
        self.landed = [one for one in self.landed if now - one[0] < FORGOTTEN_MIN]
        rejected = gone - landed
        rest = (group - gone for group in self.suspected if not group & rejected)
        self.suspected = {group for group in rest if group}
        self.proven -= gone

    def _risk(self, one: str, other: str) -> float:
        return self.conflicts.rate * _beside(self.changes[one], self.changes[other])

    def _shares(self, running: list[Trial], now: float) -> dict[Trial, float]:
        """The share of each run's expected work that is done. An engine sees it by the tests that have ended; here it
        follows from who had how much of the machine since the last question."""
        for trial in running:  # what began after the last question
            self.done.setdefault(self._earlier(trial) or trial, 0.0)
        ranked = sorted(self.done, key=lambda trial: (not trial.certain, _assumed(trial), self._oldest(trial)))
        for place, trial in enumerate(ranked):
            self.done[trial] += (now - self.now) * (self._speed(place + 1) - self._speed(place))
        self.now = now
        self.done = {trial: self.done[self._earlier(trial) or trial] for trial in running}
        return {trial: work / self._minutes(trial.test) for trial, work in self.done.items()}

    def _earlier(self, trial: Trial) -> Trial | None:
        """The name that a run had before some of its assumptions came true."""
        same = (old for old in self.done if old.test == trial.test and trial.landed <= old.landed)
        return max(same, key=lambda old: self.done[old], default=None)

    def _oldest(self, trial: Trial) -> float:
        return min(self.arrived[name] for name in trial.test)

    def _speed(self, runs: int) -> float:
        """Minutes of gates a minute, of so many runs together."""
        return runs / (1 + self.contention * (runs - 1)) if runs else 0.0

    def _minutes(self, test: Names) -> float:
        longest = max(self.changes[name]["expected_min"] for name in test)
        return longest * (1 + self.capacity.growth * (len(test) - 1))


def _beside(one: dict[str, Any], other: dict[str, Any]) -> float:
    """How surely two changes overlap and were written side by side."""
    if not (one["core"] or other["core"] or set(one["touches"]) & set(other["touches"])):
        return 0.0
    return min(1.0, max(0.0, (BESIDE_MIN - abs(one["arrived"] - other["arrived"])) / FADE_MIN))


def _assumed(trial: Trial) -> int:
    return len(trial.landed) + len(trial.rejected)


def _trial(key: dict[str, list[int]]) -> Trial:
    names = (frozenset(map(str, key[part])) for part in ("test", "assume_landed", "assume_rejected"))
    return Trial(*names)


def _line(trial: Trial) -> dict[str, list[int]]:
    parts = {"test": trial.test, "assume_landed": trial.landed, "assume_rejected": trial.rejected}
    return {name: sorted(map(int, part)) for name, part in parts.items()}


def main() -> None:
    """Answer until stdin ends."""
    world: World | None = None
    for line in sys.stdin:
        asked = json.loads(line)
        if asked["op"] == "reset":
            world = World(asked)
        elif world is not None:
            print(json.dumps(world.plan(asked)), flush=True)


if __name__ == "__main__":
    main()
