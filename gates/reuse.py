"""Results that need no second run: the same gate on the same input with the same tools.

An entry is only a pointer into a signed report, so whoever can write these files still cannot make a gate green.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from engine.errors import SwarmError
from engine.models.report import GateResult, VerificationReport
from engine.models.settings import Gate
from gates.definitions import gate_digest
from gates.pointers import Pointers
from gates.report import Reports
from gates.strict_json import digest

KEYS = "cache_keys"
"""Field of a report's `extra`: gate name -> the key under which its result may be reused."""
REUSED_FROM = "reused_from"
"""Field of a report's `extra`: gate name -> the other tree that a reused result was seen on (gates with `inputs`)."""
_VERSION = 2
_RETRY_POLICY = "tests with a record of flaking, once, on a fresh checkout"
_LAST = "last.json"
_POINTERS = "pointers"
_REMEMBERED = 16
_SHOWN = 60


@dataclass(frozen=True)
class Key:
    """What a result depends on, by name. `of_tree`: the input is the whole tree, else the declared part of it."""

    parts: Mapping[str, Any]
    digest: str
    of_tree: bool = True

    def shown(self) -> dict[str, str]:
        """Each part for a person: itself where it is short, else a short digest of it."""
        return {name: _shown(name, value) for name, value in self.parts.items()}


@dataclass(frozen=True)
class Found:
    """A result that stands. `tree` is the one that it was seen on."""

    result: GateResult
    tree: str


def make_key(
    gate: Gate,
    *,
    argv: Sequence[str],
    env: Mapping[str, str],
    machine: str,
    tools: Sequence[str],
    sandbox: str,
    adapter: str,
    needs: Mapping[str, str],
    tree: str,
    inputs: str = "",
    flow: object = None,
) -> Key:
    """The key of one gate. tools: identities of what runs it. needs: gate name -> digest of its key. inputs: digest of
    the declared part of the tree, "" = the tree itself is the input."""
    parts: dict[str, Any] = {
        "argv": list(argv),
        "environment": dict(env),
        "timeout": gate.timeout,
        "retry policy": _RETRY_POLICY,
        "definition": f"v{_VERSION} {gate_digest(gate)}",
        "machine": machine,
        "sandbox": sandbox,
        "tools": list(tools),
        "results": adapter,
        "needs": dict(needs),
        "input": inputs or tree,
    }
    if flow is not None:
        parts["flow"] = flow
    return Key(parts, digest(parts), of_tree=not inputs)


class Reuse:
    """Pointers to reports, and what people are told of the last run, lie in `folder`. Losing them costs time, never
    truth."""

    def __init__(self, folder: Path, reports: Reports) -> None:
        self._last_file = folder / _LAST
        self._pointers = Pointers(folder / _POINTERS)
        self._reports = reports
        self._loaded: dict[str, VerificationReport] = {}

    def find(
        self, key: Key, gate: Gate, tree: str, flaky: Collection[str] = (), quarantined: Collection[str] = ()
    ) -> Found | None:
        """The green result that was signed under this key, or None.

        A pass by retry holds for its exact tree, and only while the tests are still known as flaky; one beside failures
        in quarantine only while they are there.
        """
        report = self.report(key.digest)
        if report is None or (key.of_tree and report.tree != tree):
            return None
        keys = report.extra.get(KEYS)
        if not isinstance(keys, dict) or cast("dict[str, Any]", keys).get(gate.name) != key.digest:
            return None
        result = next((result for result in report.gates if result.name == gate.name), None)
        if result is None or result.result != "green" or result.definition != gate_digest(gate):
            return None
        if result.retried and (report.tree != tree or not set(result.retried) <= set(flaky)):
            return None
        if not set(result.quarantined) <= set(quarantined):
            return None
        return Found(result, report.tree)

    def remember(
        self, keys: Mapping[str, Key], results: Sequence[GateResult], report: str, trials: Iterable[str] = ()
    ) -> None:
        """Note the fresh results of a signed report, and that it holds these trials. A disk that cannot take the note
        is no reason to fail."""
        fresh = [result for result in results if result.name in keys and not result.cached]
        green = [keys[result.name].digest for result in fresh if result.result == "green"]
        self._pointers.add([*green, *trials], report)
        if fresh:
            last = self._last() | {result.name: keys[result.name].shown() for result in fresh}
            with contextlib.suppress(OSError):
                self._last_file.parent.mkdir(parents=True, exist_ok=True)
                self._last_file.write_text(json.dumps(last), encoding="ascii")

    def tidy(self) -> None:
        """Drop what is oldest, if there is too much. Blocking."""
        self._pointers.shorten()

    def last(self, gate: str) -> dict[str, str] | None:
        """The shown parts of the key of the newest run of a gate of this name. For people, no evidence."""
        parts = self._last().get(gate)
        if not isinstance(parts, dict):
            return None
        return {name: str(value) for name, value in cast("dict[str, Any]", parts).items()}

    def _last(self) -> dict[str, Any]:
        try:
            found: Any = json.loads(self._last_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return cast("dict[str, Any]", found) if isinstance(found, dict) else {}

    def report(self, key: str) -> VerificationReport | None:
        """The signed report that a key points to. What it says has still to be compared with the key."""
        if (noted := self._pointers.find(key)) is None:
            return None
        try:
            if noted not in self._loaded:
                report = self._reports.load(noted)
                while len(self._loaded) >= _REMEMBERED:
                    self._loaded.pop(next(iter(self._loaded)), None)
                self._loaded[noted] = report
            return self._loaded[noted]
        except (KeyError, SwarmError):
            return None


def _shown(name: str, value: object) -> str:
    if name == "environment":  # values may be secret
        return digest(value)[7:19]
    text = " ".join(map(str, cast("list[object]", value))) if isinstance(value, list) else str(value)
    if name == "argv" and text.isprintable():
        return text
    if name == "timeout":
        return f"{value:g} s"
    return text if len(text) <= _SHOWN and text.isprintable() and text != "{}" else digest(value)[7:19] if value else ""
