"""Guard "binaries": no content that nobody can review, but pictures and fonts."""

from __future__ import annotations

from collections.abc import Callable

from engine.models.report import GuardResult
from gates.guards.guard import GITLINK, SYMLINK, Judged, Row, file_name, listed, printable

LOOKED_AT = 8192
"""Bytes at the start of a file in which a zero byte makes it binary, as git has it."""

_ICO = (b"\0\0\1\0", b"\0\0\2\0")
_PICTURES: dict[str, Callable[[bytes], bool]] = {
    ".png": lambda head: head.startswith(b"\x89PNG\r\n\x1a\n"),
    ".jpg": lambda head: head.startswith(b"\xff\xd8\xff"),
    ".jpeg": lambda head: head.startswith(b"\xff\xd8\xff"),
    ".gif": lambda head: head.startswith((b"GIF87a", b"GIF89a")),
    ".webp": lambda head: head.startswith(b"RIFF") and head[8:12] == b"WEBP",
    ".avif": lambda head: head[4:12] in (b"ftypavif", b"ftypavis"),
    ".bmp": lambda head: head.startswith(b"BM"),
    ".ico": lambda head: head.startswith(_ICO),
    ".icns": lambda head: head.startswith(b"icns"),
    ".woff": lambda head: head.startswith(b"wOFF"),
    ".woff2": lambda head: head.startswith(b"wOF2"),
    ".ttf": lambda head: head.startswith((b"\0\1\0\0", b"true")),
    ".otf": lambda head: head.startswith(b"OTTO"),
}
_KINDS: tuple[tuple[bytes, str], ...] = (
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\xfe\xed\xfa\xce", "a program"),
    (b"\xfe\xed\xfa\xcf", "a program"),
    (b"\xce\xfa\xed\xfe", "a program"),
    (b"\xcf\xfa\xed\xfe", "a program"),
    (b"\xca\xfe\xba\xbe", "a program or compiled class"),
    (b"\0asm", "compiled WebAssembly"),
    (b"!<arch>\n", "a library of object files"),
    (b"PK\x03\x04", "an archive"),
    (b"\x1f\x8b", "an archive"),
    (b"BZh", "an archive"),
    (b"\xfd7zXZ\0", "an archive"),
    (b"7z\xbc\xaf\x27\x1c", "an archive"),
    (b"(\xb5/\xfd", "an archive"),
    (b"Rar!\x1a\x07", "an archive"),
    (b"SQLite format 3\0", "a database"),
)
_PLAIN_TEXT_MAGIC = (b"MZ", b"BZh")
"""Short enough to start a text; they count only beside a zero byte."""


class BinariesGuard:
    """A file with a zero byte in its first 8 KB, or that starts like a program or an archive, is refused, unless the
    work order's `allow` names it in full. Pictures and fonts that are what their ending says may come in."""

    name = "binaries"

    def judge(self, change: Judged) -> GuardResult:
        if not change.request.guards.binaries:
            return GuardResult(rule=self.name, ok=True)
        found = {row.path: what for row in change.rows if not change.names(row.path) and (what := _fault(change, row))}
        if not found:
            return GuardResult(rule=self.name, ok=True)
        said = listed([f"{printable(path)} is {what}" for path, what in found.items()])
        reason = f"{said} Leave it out, or name it in full in the work order's allow."
        return GuardResult(rule=self.name, ok=False, reason=reason, paths=list(found), ask="large_file")


def _fault(change: Judged, row: Row) -> str:
    if row.gone or row.new_mode in (SYMLINK, GITLINK):
        return ""
    head = (change.new(row.path) or b"")[:LOOKED_AT]
    zero = b"\0" in head
    kind = next(
        (kind for magic, kind in _KINDS if head.startswith(magic) and (zero or magic not in _PLAIN_TEXT_MAGIC)), ""
    )
    if not zero and not kind:
        return ""
    name = file_name(row.path)
    picture = _PICTURES.get("." + name.rpartition(".")[2]) if "." in name else None
    if picture is not None and not kind and picture(head):
        return "a picture or font that may be run as a program" if row.new_mode == "100755" else ""
    return kind or "a binary file"
