"""The journal: the append-only, hash-chained record of everything that happened, in one SQLite file."""

from engine.journal.journal import Journal
from engine.journal.reader import Command, JournalReader

__all__ = ["Command", "Journal", "JournalReader"]
