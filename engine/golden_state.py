"""Goldens that wait for a person, and what became of them. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass
class Golden:
    """What a canary run showed where a golden says something else, or nothing: a person's to accept, as a file at
    `path` with exactly this content.

    id: of path and content. keyed: the same path for this system and renderer alone. digest, was: artifacts, the
    proposed content and what it was held against ("" when there was no golden). difference: artifact, a unified diff
    or a picture. commit: the last one that showed it, landed by `order` ("" for a person's). seen_at: UTC seconds.
    said: the run's own word on it. change: by which it is brought to main, and `landed` the commit. why: of a
    rejection, or why it did not land.
    """

    id: str
    name: str
    flow: str
    path: str
    keyed: str
    digest: str
    was: str
    difference: str
    commit: str
    order: str
    seen_at: float
    status: Literal["pending", "accepted", "landed", "rejected"] = "pending"
    said: str = ""
    by: str = ""
    why: str = ""
    change: str = ""
    landed: str = ""


def golden_id(path: str, digest: str) -> str:
    """The name of exactly this content at this path."""
    return "g-" + hashlib.sha256(f"{path}\0{digest}".encode("utf-8", "backslashreplace")).hexdigest()[:10]


def pending(goldens: Iterable[Golden]) -> list[Golden]:
    """Those that wait for a person, oldest first."""
    return sorted((one for one in goldens if one.status == "pending"), key=lambda one: (one.seen_at, one.id))
