"""Names that come from outside, checked before git sees them, and paths between git's bytes and Python's text."""

from __future__ import annotations

import hashlib
import os
import re
import sys

from engine.errors import SwarmError, UserError
from engine.text.sanitise import sanitise_line

GITLINK = "160000"
SYMLINK = "120000"

_FULL_ID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*")
_BAD_IN_REF = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|$)")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\..*)?", re.IGNORECASE)


def check_id(text: str) -> str:
    """`text` if it is a full lower-case object id. Raises SwarmError: ids are the engine's own words, never typed."""
    if not _FULL_ID.fullmatch(text):
        raise SwarmError(f"not a full object id: {sanitise_line(text)[:80]!r}")
    return text


def is_id(text: str) -> bool:
    """Whether `text` is a full lower-case object id."""
    return _FULL_ID.fullmatch(text) is not None


def check_revision(text: str) -> str:
    """`text` if git may be asked what it means: no option, no control characters, one line. Raises UserError."""
    if not text or text.startswith("-") or len(text) > 500 or not text.isprintable() or text != text.strip():
        raise UserError(f"{sanitise_line(text)[:80]!r} is not a revision: name a branch, a tag or a commit id.")
    return text


def check_branch(text: str) -> str:
    """`text` if it can name a branch (the rules of git check-ref-format). Raises UserError."""
    bad = (
        not text
        or len(text) > 200
        or text == "@"
        or text[0] in "-./"
        or text[-1] in "./"
        or not text.isprintable()
        or _BAD_IN_REF.search(text)
    )
    if bad:
        raise UserError(f"{sanitise_line(text)[:80]!r} cannot be a branch: use letters, digits, '-', '_' and '/'.")
    return text


def safe_name(name: str) -> str:
    """`name` as one part of a ref or one folder, on every system. Names that have to be changed get a hash at the end,
    so that two of them stay two."""
    fine = _PLAIN.fullmatch(name) and len(name) <= 100 and not name.endswith(".lock") and not _RESERVED.fullmatch(name)
    if fine:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{re.sub('[^A-Za-z0-9_-]+', '-', name).strip('-')[:60] or 'x'}-{digest}"


def decode_path(raw: bytes) -> str:
    """A path in git's bytes as text that the file calls of Python take. Bytes that are not UTF-8 become surrogates."""
    return raw.decode("utf-8", "surrogateescape") if sys.platform == "win32" else os.fsdecode(raw)


def encode_path(path: str) -> bytes:
    """The reverse of `decode_path`."""
    return path.encode("utf-8", "surrogateescape") if sys.platform == "win32" else os.fsencode(path)


def is_plain_path(path: str) -> bool:
    """Whether `path` can be one inside a tree: relative, with no empty, `.` or `..` part, and never into a `.git`."""
    return not any(part in ("", ".", "..") or part.casefold() == ".git" for part in path.split("/"))


def split_z(raw: bytes) -> list[str]:
    """The paths in a NUL-terminated list of git."""
    return [decode_path(part) for part in raw.split(b"\0") if part]
