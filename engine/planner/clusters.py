"""Failures with the same signature: the words of one, but for what differs from run to run. Pure."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from engine.state import State

MIN_CLUSTER = 3
"""So many failures with the same words are more than chance."""
_ROWS = 20
_DIFFERS = re.compile(r"\b[0-9a-f]{7,64}\b|\b0x[0-9a-f]+\b|\d+(?:\.\d+)?", re.IGNORECASE)
_CHARS = 300


@dataclass(frozen=True)
class Cluster:
    """Failures with one signature: whose they are, and what was said, one line each."""

    digest: str
    whose: tuple[str, ...]
    lines: tuple[str, ...]


@functools.lru_cache(maxsize=4_096)
def signature(reason: str) -> str:
    """The words of a reason without numbers, commits and addresses, on one line."""
    return " ".join(_DIFFERS.sub("#", reason).lower().split())[:_CHARS]


def clusters(state: State) -> list[Cluster]:
    """Orders whose last change was red, and regressions of the canary, where at least MIN_CLUSTER share a signature;
    the largest cluster first."""
    found: dict[str, dict[str, str]] = {}
    for whose, reason in _failures(state):
        found.setdefault(signature(reason), {})[whose] = reason
    many = [(words, told) for words, told in found.items() if words and len(told) >= MIN_CLUSTER]
    many.sort(key=lambda each: (-len(each[1]), each[0]))
    return [
        Cluster(
            hashlib.sha256(words.encode("utf-8")).hexdigest()[:10],
            tuple(told),
            tuple(f"{whose}: {reason[:_CHARS]}" for whose, reason in list(told.items())[:_ROWS]),
        )
        for words, told in many
    ]


def _failures(state: State) -> Iterable[tuple[str, str]]:
    for order in state.orders.values():
        change = state.changes.get(order.change)
        if order.phase in ("rejected", "parked") and change is not None and change.status == "rejected":
            yield order.spec.id, change.why
    for regression in state.regressions:
        yield f"commit {regression.commit[:12]}", f"canary flow {regression.flow}: {regression.reason}"
