"""The settings in force: limits, roles and agents from the working copy; gates, guards and canary from main.

A file that does not read keeps its last valid version in force, with a visible error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.git.hub import Hub
from engine.loading import (
    FLOWS_FOLDER,
    ROADMAP_FILE,
    SETTINGS_FILE,
    load_definitions,
    load_roadmap,
    load_settings,
)
from engine.models.event import NewEvent
from engine.models.roadmap import WorkOrder
from engine.models.settings import QUOTAS, Budgets, Settings
from engine.providers import candidates, provider_of

ORDERS_PER_EVENT = 200


def policy_digest(settings: Settings) -> str:
    """What reports are bound to: `sha256:<hex>` of the definitions of gates, guards and canary as canonical JSON."""
    raw = json.dumps(settings.policy(), sort_keys=True, separators=(",", ":")).encode("utf-8")
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def _told(settings: Settings) -> dict[str, Any]:
    """What a status tells of them, see `state.InForce`."""
    return {
        "implementer": settings.roles.get("implementer", ""),
        "flows": len(settings.canary.flow) + sum("canary" in gate.when for gate in settings.gate),
        "cost_per_night": settings.limits.cost_per_night,
        "tokens_per_work_order": settings.limits.tokens_per_work_order,
        "quota": {name: getattr(settings.limits, name) for name in QUOTAS},
        "budgets": _limited(settings.budgets),
        "providers": {
            role: [
                provider_of(name, settings.agents[name])
                for name in candidates(settings, role)
                if name in settings.agents
            ]
            for role in settings.roles
        },
    }


def _limited(budgets: Budgets) -> dict[str, float]:
    """Each budget that has a limit, by its key below `[budgets]`."""
    each = {"night": budgets.night, "work_order": budgets.work_order, "run": budgets.run}
    each |= {f"role.{role}": budget for role, budget in budgets.role.items()}
    amounts = {
        f"{key}.{name}": float(most) for key, budget in each.items() for name, most in budget.model_dump().items()
    }
    return {key: most for key, most in amounts.items() if most}


def digest_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("utf-8")).hexdigest()[:16]


def _roadmap_events(
    count: int, changed: list[WorkOrder], gone: list[str], items: list[dict[str, Any]], limitations: list[str]
) -> list[NewEvent]:
    """In pieces: an event has a size limit, and a roadmap may have thousands of orders."""
    pieces = [changed[at : at + ORDERS_PER_EVENT] for at in range(0, len(changed), ORDERS_PER_EVENT)] or [[]]
    return [
        NewEvent(
            "roadmap_read",
            {
                "count": count,
                "orders": [order.model_dump(mode="json", by_alias=True, exclude_defaults=True) for order in piece],
                "gone": gone if nth == 0 else [],
                "items": items if nth == 0 else [],
                **({"more": True} if nth else {}),
                "limitations": limitations if nth == 0 else None,
            },
        )
        for nth, piece in enumerate(pieces)
    ]


@dataclass
class Definitions:
    """Both sources and what came of them. `bootstrap`: main has no swarm.toml yet, so the working copy's counts."""

    repo: Path
    hub: Hub
    working: Settings = field(default_factory=Settings)
    committed: Settings | None = None
    bootstrap: bool = False
    _roadmap: str = ""
    _agreed: tuple[str, str] | None = None
    """The roadmap that the journal was found to agree with."""
    _settings: str = ""
    _committed_ids: dict[str, str] | None = None
    _errors: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def current(self) -> Settings:
        return self.working if self.committed is None else self.working.with_definitions_of(self.committed)

    def read_settings(self, commit: str) -> list[NewEvent]:
        """Look at the working copy and at main's definitions again; events for what changed."""
        names = (SETTINGS_FILE, f"main:{SETTINGS_FILE}")
        before = [name for name in names if name in self._errors]
        refused = self._guarded("settings_refused", names[0], self._read_working)
        refused += self._guarded("settings_refused", names[1], lambda: self._read_committed(commit))
        policy = policy_digest(self.current)
        mark = digest_of([policy, self.bootstrap, self.current.model_dump(mode="json")])
        if mark == self._settings and all(name in self._errors for name in before):
            return refused
        # What is in force is always said, or reports would be bound to another policy. What is still wrong comes after
        # it, so that it stays visible.
        self._settings = mark
        bound = {"policy": policy, "settings": mark, "bootstrap": self.bootstrap}
        read = NewEvent("settings_read", bound | _told(self.current))
        return [read, *(self._refusal("settings_refused", name) for name in names if name in self._errors)]

    def read_roadmap(self, known: Mapping[str, WorkOrder]) -> list[NewEvent]:
        """Look at `roadmap.toml` of the working copy again; events for what differs from `known` (the
        roadmap's orders by id)."""
        found: list[NewEvent] = []
        seen = self._seen_roadmap()
        if seen is not None and seen == self._agreed:
            return []  # a long roadmap takes seconds to read, and this is asked again and again
        self._agreed = None

        def read() -> None:
            roadmap = load_roadmap(self.repo / ROADMAP_FILE, self.current)
            items = [item.model_dump(mode="json") for item in roadmap.item]
            changed = [order for order in roadmap.work_order if known.get(order.id) != order]
            gone = sorted(known.keys() - {order.id for order in roadmap.work_order})
            limitations = [each.id for each in roadmap.limitation]
            mark = digest_of([items, [order.id for order in roadmap.work_order], limitations])
            # What is gone changes the mark; orders that had begun stay known, and are gone at every look.
            if changed or mark != self._roadmap or ROADMAP_FILE in self._errors:
                self._roadmap = mark
                found.extend(_roadmap_events(len(roadmap.work_order), changed, gone, items, limitations))
            else:
                self._agreed = seen

        return self._guarded("roadmap_refused", ROADMAP_FILE, read) + found

    def _seen_roadmap(self) -> tuple[str, str] | None:
        """What `read_roadmap` goes by: the file's bytes and the settings that it is checked with."""
        try:
            raw = (self.repo / ROADMAP_FILE).read_bytes()
        except OSError:
            return None
        return hashlib.sha256(raw).hexdigest(), self._settings

    def _read_working(self) -> None:
        self.working = load_settings(self.repo / SETTINGS_FILE)

    def _read_committed(self, commit: str) -> None:
        ids = self.hub.ids_at(commit, (SETTINGS_FILE, FLOWS_FOLDER))
        if ids == self._committed_ids:
            return  # nearly every landing leaves them alone
        found = load_definitions(
            lambda path: self.hub.read_file(commit, path), lambda folder: self.hub.list_files(commit, folder), "main"
        )
        self.committed, self.bootstrap = found, found is None
        self._committed_ids = ids

    def _guarded(self, kind: str, name: str, read: Any) -> list[NewEvent]:
        try:
            read()
        except UserError as error:
            if self._errors.get(name) == str(error):
                return []
            self._errors[name] = str(error)
            return [self._refusal(kind, name)]
        self._errors.pop(name, None)
        return []

    def _refusal(self, kind: str, name: str) -> NewEvent:
        return NewEvent(kind, {"reason": self._errors[name], "file": name})
