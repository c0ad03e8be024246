"""What a guard is given and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.models.report import GuardResult
from engine.ports import GuardRequest

NO_FILE = "000000"
SYMLINK = "120000"
GITLINK = "160000"
_SHOWN = 5


@dataclass(frozen=True)
class Row:
    """One changed path. Modes are git's six octal digits, 000000 where there is no file.

    `size`: of the new file, in bytes.
    """

    path: str
    old_mode: str
    new_mode: str
    size: int = 0

    @property
    def gone(self) -> bool:
        return self.new_mode == NO_FILE


@dataclass(frozen=True)
class Judged:
    """A change under judgement.

    `read(tree, path)` gives a file's bytes (None: no such file), `paths()` every path of the new tree.
    """

    request: GuardRequest
    rows: Sequence[Row]
    read: Callable[[str, str], bytes | None]
    paths: Callable[[], Sequence[str]]


class Guard(Protocol):
    """One rule on a change. `name` is the `rule` of its results and of the event `guardrail_denied`."""

    name: str

    def judge(self, change: Judged) -> GuardResult:
        """Whether the change may pass; when not, one sentence why, and the offending paths."""
        ...


def shown(paths: Sequence[str]) -> str:
    """The first few paths for a sentence, with nothing in them that could act on a terminal."""
    few = ", ".join(path if path.isprintable() else ascii(path)[1:-1] for path in paths[:_SHOWN])
    return few if len(paths) <= _SHOWN else f"{few} and {len(paths) - _SHOWN} more"


def verdict(rule: str, paths: Sequence[str], reason: str) -> GuardResult:
    """Red with `reason` (in which `{}` stands for the paths) when there are offending paths, green otherwise."""
    if not paths:
        return GuardResult(rule=rule, ok=True)
    return GuardResult(rule=rule, ok=False, reason=reason.replace("{}", shown(paths)), paths=list(paths))
