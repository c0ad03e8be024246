"""Guard "names": every path of a change is a plain file with a name that every platform can hold, and hold once."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence

from engine.models.report import GuardResult
from gates.guards.devices import WINDOWS_DEVICES
from gates.guards.guard import GITLINK, SYMLINK, Judged, Row, fold, shown

_PLAIN = frozenset({"100644", "100755"})
_WINDOWS_FORBIDDEN = frozenset('<>:"|?*\\')
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_SHORT_GIT = re.compile(r"^git~[0-9]+$")
_SHORT = re.compile(r"^(?=[^.]{3,8}(?:\.|$))[^. ]{1,6}~[0-9]{1,6}(?:\.[^. ]{0,3})?$")
_MAX_COMPONENT_BYTES = 255


class NamesGuard:
    """No symlinks, gitlinks, hidden characters, names that Windows forbids or git owns, or that differ only in case."""

    name = "names"

    def judge(self, change: Judged) -> GuardResult:
        added = [row for row in change.rows if not row.gone]
        faults: dict[str, list[str]] = defaultdict(list)
        for row in added:
            if why := _fault(row):
                faults[why].append(row.path)
        if fresh := {row.path for row in added if row.old_mode != row.new_mode}:
            faults["differs from another path only in case or Unicode form"] += _collisions(fresh, change.paths())
        told = [f"{shown(paths)} {why}" for why, paths in faults.items() if paths]
        if not told:
            return GuardResult(rule=self.name, ok=True)
        offending = list(dict.fromkeys(path for paths in faults.values() for path in paths))
        return GuardResult(rule=self.name, ok=False, reason="; ".join(told) + ".", paths=offending)


def _fault(row: Row) -> str:
    if row.new_mode == SYMLINK:
        return "is a symbolic link"
    if row.new_mode == GITLINK:
        return "is a nested repository (gitlink)"
    if row.new_mode not in _PLAIN:
        return f"has the unusual mode {row.new_mode}"
    for part in row.path.split("/"):
        if why := _component_fault(part):
            return why
    return ""


def _component_fault(part: str) -> str:
    plain = part.isascii() and part.isprintable()
    if not plain and any(unicodedata.category(sign) in _HIDDEN for sign in part):
        return "has a control or invisible character in its name"
    folded = unicodedata.normalize("NFKC", part).casefold()
    if folded.rstrip(". ") == ".git" or _SHORT_GIT.match(folded) or part in ("", ".", ".."):
        return "has a name that git keeps for itself"
    if _SHORT.match(part):
        return "could be the short name that Windows gives to another file"
    if _WINDOWS_FORBIDDEN & set(part):
        return "has a character that Windows forbids"
    if part[-1] in ". ":
        return "ends in a dot or a space, which Windows drops"
    if WINDOWS_DEVICES.match(part.casefold().partition(".")[0].rstrip()):
        return "is the name of a Windows device"
    if len(part.encode("utf-8", "surrogatepass")) > _MAX_COMPONENT_BYTES:
        return "has a name longer than 255 bytes"
    return ""


def _collisions(fresh: set[str], every: Sequence[str]) -> list[str]:
    """Fresh paths of which a folder or the file itself has the same key as another spelling anywhere in the tree."""
    spellings = set(every)
    folders = spellings
    while folders := {path.rpartition("/")[0] for path in folders} - {""}:
        spellings = spellings | folders
    # Folded in one go: no form of a sign reaches across a zero byte, and no path has one.
    counts = Counter(fold("\0".join(spellings)).split("\0"))
    return sorted(path for path in fresh if any(counts[fold(prefix)] > 1 for prefix in _prefixes(path)))


def _prefixes(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[: count + 1]) for count in range(len(parts))]
