"""What a person asked of `swarm gates`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Asked:
    """revision: "" means HEAD, and that a dirty working tree is worth a hint. base: "" means the branch that
    changes land on. sabotage: how many broken versions to make (0: none)."""

    repo: Path | None = None
    state: Path | None = None
    revision: str = ""
    base: str = ""
    gates: tuple[str, ...] = ()
    as_json: bool = False
    explain: bool = False
    keep_going: bool = True
    watch: bool = False
    sabotage: int = 0
    seed: int = 0
