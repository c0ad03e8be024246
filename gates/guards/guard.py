"""What a guard is given and what it answers."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.models.report import GuardResult
from engine.ports import GuardRequest
from engine.text.redact import Redactor
from engine.text.sanitise import sanitise_line
from gates.guards.gitleaks import Gitleaks

NO_FILE = "000000"
SYMLINK = "120000"
GITLINK = "160000"
NOTHING_KNOWN = Redactor({})
_SHOWN = 5
_SHOWN_CHARACTERS = 200
_GLOB_SIGNS = frozenset("*?")


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

    @property
    def added(self) -> bool:
        return self.old_mode == NO_FILE


def _fetch_nothing(tree: str, paths: Sequence[str]) -> None:
    pass


@dataclass(frozen=True)
class Judged:
    """A change under judgement.

    `read(tree, path)` gives a file's bytes (None: no such file), `paths()` every path of the new tree, `modes(tree)`
    the mode of each path of a tree. `fetch(tree, paths)` reads many files at once, so that `read` has them at hand.
    `redactor` knows the values that agents are given. `gitleaks`: None where it is not installed.
    """

    request: GuardRequest
    rows: Sequence[Row]
    read: Callable[[str, str], bytes | None]
    paths: Callable[[], Sequence[str]]
    modes: Callable[[str], Mapping[str, str]]
    fetch: Callable[[str, Sequence[str]], None] = _fetch_nothing
    redactor: Redactor = NOTHING_KNOWN
    gitleaks: Gitleaks | None = None

    def old(self, path: str) -> bytes | None:
        """The file as it was on the base."""
        return self.read(self.request.base_tree, path)

    def new(self, path: str) -> bytes | None:
        """The file as the change has it."""
        return self.read(self.request.tree, path)

    def is_accepted(self, path: str) -> bool:
        """Whether a person accepted exactly what the change puts there."""
        digest = self.request.accepted.get(path)
        content = self.new(path) if digest else None
        return content is not None and f"sha256:{hashlib.sha256(content).hexdigest()}" == digest

    def names(self, path: str) -> bool:
        """Whether the work order's `allow` names the path in full, without wildcards: a person wrote that exact
        permission."""
        globs = self.request.allow if self.request.named is None else self.request.named
        return any(glob == path and not _GLOB_SIGNS & set(glob) for glob in globs)


class Guard(Protocol):
    """One rule on a change. `name` is the `rule` of its results and of the event `guardrail_denied`."""

    name: str

    def judge(self, change: Judged) -> GuardResult:
        """Whether the change may pass; when not, one sentence why, and the offending paths."""
        ...


def fold(path: str) -> str:
    """One spelling for all that some file system takes for the same name: without regard to case and Unicode form."""
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def file_name(path: str) -> str:
    """The last part of a path, folded."""
    return fold(path.rpartition("/")[2])


def shown(paths: Sequence[str]) -> str:
    """The first few paths for a sentence, with nothing in them that could act on a terminal."""
    few = ", ".join(printable(path) for path in paths[:_SHOWN])
    return few if len(paths) <= _SHOWN else f"{few} and {len(paths) - _SHOWN} more"


def listed(clauses: Sequence[str]) -> str:
    """The first few clauses as one sentence."""
    few = "; ".join(clauses[:_SHOWN])
    return f"{few}." if len(clauses) <= _SHOWN else f"{few}; and {len(clauses) - _SHOWN} more."


def printable(text: str) -> str:
    """Text of a change for a sentence: short, on one line, with nothing in it that could act on a terminal."""
    if not text.isprintable():
        text = ascii(text)[1:-1]
    return sanitise_line(text, line_cap=_SHOWN_CHARACTERS)


def verdict(rule: str, paths: Sequence[str], reason: str, ask: str = "") -> GuardResult:
    """Red with `reason` (in which `{}` stands for the paths) when there are offending paths, green otherwise.

    ask: under which danger class a person may allow it.
    """
    if not paths:
        return GuardResult(rule=rule, ok=True)
    return GuardResult(rule=rule, ok=False, reason=reason.replace("{}", shown(paths)), paths=list(paths), ask=ask)
