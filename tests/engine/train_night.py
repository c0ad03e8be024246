"""A simulated night with all that a train can meet: trees that are merged before a trial says that it begins, crashes
in the middle of a landing and of a push, orders that are cancelled, policies that change, and a remote.

What must hold is looked at whenever it could break; `violations` says what did not hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations

from simulated_night import SimulatedNight

from engine.actions import Action, GateTrial, Land, PublishRemote
from engine.lifecycle import PHASES
from engine.models.event import NewEvent
from engine.planner.odds import BATCH

ON_THE_WAY = ("ready", "running", "proposed", "verifying", "queued", "rejected")
TROUBLES = ("it refuses", "it gave no answer within 60 s", "it wants a login", "it cannot be reached")


@dataclass(frozen=True)
class Tried:
    """What a trial was begun on, when its trees were merged."""

    main: str
    policy: str
    base: frozenset[str]
    tree: frozenset[str]


@dataclass
class Weather:
    """How often what happens, 0 to 1: each step, or each time that it could."""

    cancelled: float = 0.0
    retried: float = 0.0
    policy_changes: float = 0.0
    dies_in_landing: float = 0.0
    dies_in_push: float = 0.0
    trouble: float = 0.0
    pushes: float = 0.0
    """Somebody else pushes to the remote."""


@dataclass
class TrainNight(SimulatedNight):
    weather: Weather = field(default_factory=Weather)
    tried: dict[str, Tried] = field(default_factory=dict[str, Tried])
    unsaid: set[str] = field(default_factory=set[str])
    """Trials whose trees are merged, and whose beginning is not in the journal yet."""
    moved: dict[str, list[NewEvent]] = field(default_factory=dict[str, list[NewEvent]])
    """By effect id: the outcomes of landings whose ref has moved and which are not in the journal."""
    proof_of: dict[str, Tried] = field(default_factory=dict[str, Tried])
    """By report: what it was made on."""
    remote: str = "c0"
    """Where the remote's main is."""
    round: str = ""
    """Hub's main when the present round with the remote began."""
    landings: list[int] = field(default_factory=list[int])
    """How many changes each landing brought."""

    # -- what happens by itself ------------------------------------------------------------------------------------

    def step(self) -> bool:
        luck, weather = self.random.random, self.weather
        if luck() < weather.cancelled:
            self._somebody_cancels()
        if luck() < weather.retried:
            self._somebody_retries()
        if luck() < weather.policy_changes:
            self.policy = f"p{int(self.policy[1:]) + 1}"
            self.emit(NewEvent("settings_read", {"policy": self.policy, "settings": "s", "bootstrap": False}))
        if len(self.people) < 4 and luck() < weather.pushes:
            self.somebody_pushes()
        for key in sorted(self.unsaid):
            if luck() < 0.5:
                self._says_that_it_begins(key)
        return super().step()

    def _somebody_cancels(self) -> None:
        going = [name for name, order in self.state.orders.items() if order.phase in ON_THE_WAY]
        if going:
            name = self.random.choice(going)
            self.emit(NewEvent("work_order_cancelled", {"by": "a person"}, name))

    def _somebody_retries(self) -> None:
        waiting = [name for name, order in self.state.orders.items() if order.phase == "parked"]
        if waiting:
            fields = {"fresh": True, "by": "a person"}
            self.emit(NewEvent("work_order_ready", fields, self.random.choice(waiting)))

    def start_engine(self) -> None:
        self.unsaid.clear()
        super().start_engine()

    # -- trials ----------------------------------------------------------------------------------------------------

    def begin(self, action: Action) -> None:
        if isinstance(action, GateTrial):
            self._check_trial(action)
            main = self.commits[self.state.main]
            base = self._merged(main, action.assumed)
            tree = self._merged(base, action.test)
            self.tried[action.key] = Tried(self.state.main, self.state.policy, base, tree)
            self.unsaid.add(action.key)
        elif isinstance(action, Land):
            self._check_landing(action)
        elif isinstance(action, PublishRemote):
            self.round = self.state.main
        if not isinstance(action, GateTrial):
            super().begin(action)

    def _says_that_it_begins(self, key: str) -> None:
        action = self.pending.get(key)
        self.unsaid.discard(key)
        if isinstance(action, GateTrial):
            fields = {"trial": key, "test": list(action.test), "assumed": list(action.assumed), "base": "", "tree": ""}
            self.emit(NewEvent("trial_started", {**fields, "main": self.tried[key].main}))

    def cancelled(self, action: Action) -> None:
        if isinstance(action, GateTrial) and action.key in self.unsaid and self.random.random() < 0.5:
            self.unsaid.discard(action.key)
            return  # it was still merging: nothing was said, and nothing is
        if isinstance(action, GateTrial) and action.key in self.unsaid:  # its word was on its way
            self.pending[action.key] = action
            self._says_that_it_begins(action.key)
            del self.pending[action.key]
        super().cancelled(action)

    def _GateTrial(self, a: GateTrial) -> None:  # noqa: N802 - named after the action
        if a.key in self.unsaid:
            self.pending[a.key] = a
            self._says_that_it_begins(a.key)
            del self.pending[a.key]
        tried, last = self.tried[a.key], self.state.changes[a.test[-1]]
        before = set(self.report_of)
        self._report("land", tried.tree, tried.base, last.id, last.order, a.key, tried.policy)
        (digest,) = self.report_of.keys() - before
        self.proof_of[digest] = tried

    def _check_trial(self, action: GateTrial) -> None:
        everyone = [*action.assumed, *action.test]
        queued = {change.id for change in self.state.queue()}
        if len(everyone) != len(set(everyone)) or not queued.issuperset(everyone) or not action.test:
            self.violations.append(f"{action.key} tries what does not wait")
        if len(action.test) > BATCH:
            self.violations.append(f"{action.key} tries {len(action.test)} changes at once")
        if action.assumed and action.nice == 0:
            self.violations.append(f"{action.key} has the priority of one that assumes nothing")
        running = [other for other in self.pending.values() if isinstance(other, GateTrial)]
        if len(running) > self.settings.limits.gate_slots:
            self.violations.append(f"{len(running)} trials in {self.settings.limits.gate_slots} slots")

    # -- landings --------------------------------------------------------------------------------------------------

    def _check_landing(self, action: Land) -> None:
        """Already asking to land what is not proved is wrong, even if the effect would refuse it."""
        tried = self.proof_of[action.report]
        tree = self._merged(self.commits[self.state.main], action.changes)
        if (tried.tree, tried.policy) != (tree, self.state.policy) or self.report_of[action.report][1] != "green":
            self.violations.append(f"{action.key} would land what is not proved")
        if tried.tree - tree or self.tree_id(tried.base) != self.tree_id(tried.base & tree):
            self.violations.append(f"{action.key} would land on another base than was tested")

    def _Land(self, a: Land) -> None:  # noqa: N802
        main, changes = self.state.main, [self.state.changes[name] for name in a.changes]
        if any(change.status != "queued" for change in changes):
            fields = {"effect": a.effect, "error": "it does not wait for landing any more", "traceback": ""}
            self.emit(NewEvent("effect_failed", fields))
            return
        outcomes: list[NewEvent] = []
        tip, step = main, self.commits[main]
        for change in changes:
            step = step | self.brings(change.head)
            parent, tip = tip, self.new_commit(step)
            fields = {"change": change.id, "tree": self.tree_id(step), "report": a.report, "parent": parent}
            outcomes.append(NewEvent("change_landed", {**fields, "commit": tip, "effect_id": a.key}, change.order))
        if self._dies(self.weather.dies_in_landing):  # before the intent
            return
        intent = {"effect": "land", "effect_id": a.key, "old": main, "new": tip, "outcome": {}}
        self.emit(NewEvent("intent", intent, changes[0].order))
        if self._dies(self.weather.dies_in_landing):  # between the intent and the ref
            return
        self.moved[a.key] = outcomes
        if self._dies(self.weather.dies_in_landing):  # between the ref and the journal
            return
        self._outcome(a.key)

    def _dies(self, odds: float) -> bool:
        if self.random.random() >= odds:
            return False
        self.pending.clear()
        self.start_engine()
        return True

    def settle(self, intent: dict[str, str]) -> None:
        if intent["effect_id"] in self.moved:
            self._outcome(intent["effect_id"])
        else:
            super().settle(intent)

    def _outcome(self, effect_id: str) -> None:
        outcomes = self.moved.pop(effect_id)
        self.emit(*outcomes)
        self.landings.append(len(outcomes))
        tree, report = self.commits[self.state.main], outcomes[-1].fields["report"]
        if self.report_of[report] != (self.tree_id(tree), "green") or self.tree_is_red(tree):
            self.violations.append(f"main holds {sorted(tree)} without a green report for it")

    # -- the remote ------------------------------------------------------------------------------------------------

    def somebody_pushes(self) -> None:
        """A commit on the remote's main, on top of what is there."""
        commit = f"r{len(self.people)}"
        self.commits[commit] = self.commits[self.remote] | {commit}
        self.people[commit] = self.remote
        self.remote = commit

    def _PublishRemote(self, _: PublishRemote) -> None:  # noqa: N802
        if self.random.random() < self.weather.trouble:
            reason = self.random.choice(TROUBLES)
            self._waits(reason, wait_s=self.random.choice([0.0, 0.0, 300.0]))
            return
        theirs = self.remote
        if theirs not in self.ancestors(self.round):
            if theirs != self.state.remote.seen:
                self.emit(NewEvent("remote_main_seen", {"commit": theirs, "adopt": theirs}))
            else:
                self._waits("it has commits that cannot join what landed")
            return
        if self.random.random() < self.weather.pushes:
            self.somebody_pushes()
            self._waits("it moved while the swarm was pushing")
            return
        self.remote = self.round
        if not self._dies(self.weather.dies_in_push):
            self.emit(NewEvent("published", {"commit": self.round, "to": "remote"}))

    def _waits(self, reason: str, wait_s: float = 0.0) -> None:
        fields = {"commit": self.state.main, "reason": reason, "to": "remote", "wait_s": wait_s}
        self.emit(NewEvent("publish_pending", fields))

    def ancestors(self, commit: str) -> set[str]:
        """The commit and all that it was made on."""
        parents: dict[str, tuple[str, ...]] = {own: (on,) for own, on in self.people.items()}
        for event in self.events:
            if event.kind == "change_landed":
                change = self.state.changes[event.fields["change"]]
                parents[event.fields["commit"]] = (event.fields["parent"], *([change.head] if change.person else []))
            elif event.kind == "main_restored":
                parents[event.fields["commit"]] = (event.fields["from"],)
        found, left = set[str](), [commit]
        while left:
            if (one := left.pop()) not in found:
                found.add(one)
                left += parents.get(one, ())
        return found

    # -- the morning -----------------------------------------------------------------------------------------------

    def left_over(self) -> Iterator[str]:
        """What is neither decided nor waits for a person: it was lost."""
        asked = {approval.subject for approval in self.state.approvals.values() if approval.status == "pending"}
        for change in self.state.changes.values():
            if change.status in ("proposed", "verifying"):
                yield f"{change.id} is {change.status}"
            if change.status == "queued" and change.id not in asked and not self.state.frozen:
                order = self.state.orders.get(change.order)
                if order is None or order.phase != "parked":
                    yield f"{change.id} waits for nobody"
        for name, order in self.state.orders.items():
            if order.phase not in PHASES or order.phase in ("running", "proposed", "verifying"):
                yield f"{name} is {order.phase}"
        if self.unsaid & self.pending.keys() or self.moved:
            yield "something is half-done"

    def never_together(self) -> Iterator[str]:
        """Pairs of the swarm's changes on main that are green alone and red together. What people push is there, and
        nobody was asked."""
        own = sorted(name for name in self.commits[self.state.main] if name not in self.people)
        for one, other in combinations(own, 2):
            if self.tree_is_red(frozenset({one, other})):
                yield f"{one} and {other} are both on main"
