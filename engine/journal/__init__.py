"""The journal: the append-only, hash-chained record of everything that happened, in one SQLite file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from engine.journal.reader import Command, JournalReader

if TYPE_CHECKING:
    from engine.journal.journal import Journal

__all__ = ["Command", "Journal", "JournalReader"]


def __getattr__(name: str) -> type[Journal]:
    """The writing side, loaded when it is asked for: whoever only reads does without it."""
    if name == "Journal":
        from engine.journal.journal import Journal

        return Journal
    raise AttributeError(name)
