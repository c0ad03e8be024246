"""Guard "hidden_text": no added line holds signs that nobody sees, or that show it in another order than it is read."""

from __future__ import annotations

import re
import unicodedata

from engine.models.report import GuardResult
from gates.guards.binaries import LOOKED_AT
from gates.guards.guard import GITLINK, SYMLINK, Judged, Row, listed, printable

_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")
"""The flag of a part of a country: the one honest use of tag characters."""
_ALWAYS = (
    (re.compile("[\U000e0000-\U000e007f]"), "an invisible tag character"),
    (re.compile("[\u202a-\u202e\u2066-\u2069\u206a-\u206f]"), "a sign that turns the direction of text around"),
    (re.compile("[\u115f\u1160\u3164\uffa0\u180e\u2061-\u2064\ufff9-\ufffb]"), "an invisible sign"),
    (re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]{2}"), "a row of invisible variation selectors"),
    (re.compile("(?:^|[\x00-\x7f])[\U000e0100-\U000e01ef]"), "an invisible variation selector"),
)
# Joiners are letters of some scripts, and hold emoji together; between ASCII they only hide.
_AMONG_ASCII = re.compile("(?:^|[\x00-\x7f])[\u00ad\u200b-\u200d\u2060\ufeff]+(?=[\x00-\x7f]|$)")
_SUSPECT = re.compile(
    "[\u00ad\u115f\u1160\u180e\u200b-\u200d\u202a-\u202e\u2060-\u2064\u2066-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0"
    "\ufff9-\ufffb\U000e0000-\U000e01ef]"
)
"""Everything that the patterns above look for; a file without any of it is not looked at line by line."""
_BEGINNINGS = {
    b"\xc2": (b"\xc2\xad",),
    b"\xe1": (b"\xe1\x85", b"\xe1\xa0"),
    b"\xe2": (b"\xe2\x80", b"\xe2\x81"),
    b"\xe3": (b"\xe3\x85",),
    b"\xef": (b"\xef\xb8", b"\xef\xbb", b"\xef\xbe", b"\xef\xbf"),
    b"\xf3": (b"\xf3\xa0",),
}
"""How these begin in UTF-8, by their first byte: searching for one byte is ten times as fast as for two, which is
faster than an expression; and most files have none of them."""
_MOST_BYTES = 32_000_000


class HiddenTextGuard:
    """Only lines that the base does not have, in this file or in one that the change deletes. A file that needs such
    signs is named in full in the work order's `allow`; as escapes (`\\u202e`) they may stand anywhere."""

    name = "hidden_text"

    def judge(self, change: Judged) -> GuardResult:
        suspects = [row for row in change.rows if _may_hide(change, row)]
        if not suspects:
            return GuardResult(rule=self.name, ok=True)
        moved = {line for row in change.rows if row.gone for line in _lines(change.old(row.path))}
        found = {row.path: clauses for row in suspects if (clauses := _findings(change, row, moved))}
        if not found:
            return GuardResult(rule=self.name, ok=True)
        said = listed([clause for clauses in found.values() for clause in clauses])
        reason = f"{said} Take it out or write it as an escape, or name the file in full in the work order's allow."
        return GuardResult(rule=self.name, ok=False, reason=reason, paths=list(found))


def _may_hide(change: Judged, row: Row) -> bool:
    if row.gone or row.new_mode in (SYMLINK, GITLINK) or row.size > _MOST_BYTES or change.names(row.path):
        return False
    content = change.new(row.path)
    if content is None or content.isascii() or b"\0" in content[:LOOKED_AT]:
        return False
    if not any(lead in content and any(two in content for two in both) for lead, both in _BEGINNINGS.items()):
        return False
    return _SUSPECT.search(content.decode("utf-8", "replace")) is not None


def _findings(change: Judged, row: Row, moved: set[str]) -> list[str]:
    old = set(_lines(change.old(row.path))) | moved
    return [
        f"{printable(row.path)}:{number} holds {what}"
        for number, line in enumerate(_lines(change.new(row.path)), 1)
        if not line.isascii() and line not in old and (what := _hidden(line))
    ]


def _hidden(line: str) -> str:
    """What such a line holds, with the sign's code; "" for an honest one."""
    plain = _FLAG.sub("\U0001f3f4", line)
    for pattern, what in (*_ALWAYS, (_AMONG_ASCII, "an invisible sign among plain letters")):
        if match := pattern.search(plain):
            sign = next(sign for sign in reversed(match[0]) if not sign.isascii())
            return f"{what} (U+{ord(sign):04X} {unicodedata.name(sign, 'without a name').lower()})"
    return ""


def _lines(content: bytes | None) -> list[str]:
    """A byte order mark at the very start is a sign of the encoding, not of the text."""
    return content.decode("utf-8", "replace").removeprefix("\ufeff").split("\n") if content else []
