"""Why a gate runs, or why its earlier result stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Explained:
    """One gate. `parts`: each part of its result's key by name, as a short digest or the value itself. `differs`: the
    parts that are not as in the newest result that is known of this gate. `why` is one sentence."""

    gate: str
    reused: bool
    key: str
    why: str
    parts: Mapping[str, str] = field(default_factory=dict[str, str])
    differs: tuple[str, ...] = ()
