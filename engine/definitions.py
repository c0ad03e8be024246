"""The settings in force: limits, roles and agents from the working copy; gates, guards and canary from main.

A file that does not read keeps its last valid version in force, with a visible error.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import UserError
from engine.git.hub import Hub
from engine.loading import ROADMAP_FILE, SETTINGS_FILE, load_definitions, load_roadmap, load_settings
from engine.models.event import NewEvent
from engine.models.settings import Settings


def policy_digest(settings: Settings) -> str:
    """What reports are bound to: `sha256:<hex>` of the definitions of gates, guards and canary as canonical JSON."""
    raw = json.dumps(settings.policy(), sort_keys=True, separators=(",", ":")).encode("utf-8")
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def digest_of(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode("utf-8")).hexdigest()[:16]


@dataclass
class Definitions:
    """Both sources and what came of them. `bootstrap`: main has no swarm.toml yet, so the working copy's counts."""

    repo: Path
    hub: Hub
    working: Settings = field(default_factory=Settings)
    committed: Settings | None = None
    bootstrap: bool = False
    _roadmap: str = ""
    _settings: str = ""
    _errors: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def current(self) -> Settings:
        return self.working if self.committed is None else self.working.with_definitions_of(self.committed)

    def read_settings(self, commit: str) -> list[NewEvent]:
        """Look at the working copy and at main's definitions again; events for what changed."""
        events = self._guarded("settings_refused", SETTINGS_FILE, self._read_working)
        events += self._guarded("settings_refused", f"main:{SETTINGS_FILE}", lambda: self._read_committed(commit))
        policy = policy_digest(self.current)
        mark = digest_of([policy, self.current.model_dump(mode="json")])
        if mark != self._settings and not any(event.kind == "settings_refused" for event in events):
            self._settings = mark
            events.append(NewEvent("settings_read", {"policy": policy, "settings": mark, "bootstrap": self.bootstrap}))
        return events

    def read_roadmap(self) -> list[NewEvent]:
        """Look at `roadmap.toml` of the working copy again; events for what changed."""
        found: list[NewEvent] = []

        def read() -> None:
            roadmap = load_roadmap(self.repo / ROADMAP_FILE, self.current)
            orders = [order.model_dump(mode="json", by_alias=True) for order in roadmap.work_order]
            items = [item.model_dump(mode="json") for item in roadmap.item]
            mark = digest_of([orders, items])
            if mark != self._roadmap:
                self._roadmap = mark
                found.append(NewEvent("roadmap_read", {"roadmap": mark, "orders": orders, "items": items}))

        return self._guarded("roadmap_refused", ROADMAP_FILE, read) + found

    def _read_working(self) -> None:
        self.working = load_settings(self.repo / SETTINGS_FILE)

    def _read_committed(self, commit: str) -> None:
        found = load_definitions(
            lambda path: self.hub.read_file(commit, path), lambda folder: self.hub.list_files(commit, folder), "main"
        )
        self.committed, self.bootstrap = found, found is None

    def _guarded(self, kind: str, name: str, read: Any) -> list[NewEvent]:
        try:
            read()
        except UserError as error:
            if self._errors.get(name) == str(error):
                return []
            self._errors[name] = str(error)
            return [NewEvent(kind, {"reason": str(error), "file": name})]
        self._errors.pop(name, None)
        return []
