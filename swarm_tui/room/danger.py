"""How dangerous a question is: a table of classes, and rules that look at the command. Pure.

An agent's word for its own operation is only a claim. The rules may raise the class, never lower it, and what cannot
be placed counts as the highest.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

MAX_JUDGED = 20_000
"""Characters of a command that the rules look at: a longer one cannot be placed."""


class Danger(NamedTuple):
    """`highest`: approving it wants a name typed."""

    word: str
    highest: bool


DANGERS: dict[str, Danger] = {
    "land": Danger("landing", False),
    "external": Danger("acts outside of the repository", False),
    "network": Danger("network to a new host", False),
    "dependency": Danger("new dependency", False),
    "protected_files": Danger("touches protected files", False),
    "budget": Danger("spending over the budget", False),
    "large_deletion": Danger("large deletion", True),
    "history_rewrite": Danger("rewrites history", True),
    "force_push": Danger("force push", True),
    "leave_sandbox": Danger("leaves the sandbox", True),
    "restore": Danger("moves main back", True),
}
UNPLACED = "cannot be placed"
ENGINES_OWN = ("land", "restore")
"""Questions of the engine: an agent that uses its words is not believed."""

ALIASES = {
    "new_host": "network", "new_dependency": "dependency", "deletion": "large_deletion", "delete": "large_deletion",
    "rebase": "history_rewrite", "rebase_main": "history_rewrite", "rewrite_history": "history_rewrite",
    "history": "history_rewrite", "sandbox": "leave_sandbox", "sandbox_escape": "leave_sandbox",
    "protected": "protected_files", "protected_file": "protected_files",
}  # fmt: skip


class Rule(NamedTuple):
    """A command with any of `words`, and with any of `flags` where there are some, is of this class."""

    danger: str
    words: frozenset[str]
    flags: tuple[str, ...] = ()


RULES = (
    Rule("force_push", frozenset({"push"}), ("--force", "-f", "--mirror", "--delete", "-d", "--prune", "+", ":")),
    Rule("history_rewrite", frozenset({"rebase", "filter-branch", "filter-repo", "update-ref", "reflog"})),
    Rule("history_rewrite", frozenset({"reset"}), ("--hard",)),
    Rule("leave_sandbox", frozenset({"sudo", "doas", "runas", "nsenter", "chroot", "docker", "podman"})),
    Rule("large_deletion", frozenset({"rm", "rd", "rmdir", "del", "remove-item", "rmtree", "shred"})),
    Rule("large_deletion", frozenset({"clean"}), ("-f", "-d", "-x", "--force")),
    Rule("large_deletion", frozenset({"find"}), ("-delete",)),
)
_BETWEEN = re.compile(r"[\s;|&()'\"`=,]+")


@dataclass(frozen=True)
class Judged:
    """`word` is ours. `claimed`: the word of whoever asks, as it came; "" when the engine asks. `seen`: what the
    command looks like where that is more than was claimed."""

    word: str
    highest: bool
    claimed: str = ""
    seen: str = ""


def judge(danger: str, argv: Sequence[str], *, claimed: bool) -> Judged:
    """The class of a question. `claimed`: an agent has chosen the word, so its command is looked at too."""
    key = re.sub(r"[\s-]+", "_", danger[:100].strip().lower())
    known = None if claimed and key in ENGINES_OWN else DANGERS.get(ALIASES.get(key, key))
    word, highest = known or Danger(UNPLACED, True)
    if not claimed:
        return Judged(word, highest)
    seen = seen_in(argv)
    if seen is None:
        return Judged(word, True, danger, "too long to be looked through")
    looks = DANGERS[seen] if seen else None
    more = looks is not None and looks.word != word
    return Judged(word, highest or more, danger, looks.word if looks is not None and more else "")


def seen_in(argv: Sequence[str]) -> str | None:
    """The class that a rule finds in a command, "" if none does, None if it is too long to be looked through."""
    if sum(map(len, argv)) + len(argv) > MAX_JUDGED:
        return None
    words = [word for argument in argv for word in _BETWEEN.split(argument.lower()) if word]
    names = {re.split(r"[/\\]", word)[-1].removesuffix(".exe") for word in words}
    for rule in RULES:
        flagged = not rule.flags or any(_has(word, rule.flags) for word in words)
        if flagged and names & rule.words:
            return rule.danger
    return ""


def _has(word: str, flags: tuple[str, ...]) -> bool:
    """Whether a word begins with a flag, or holds a short one among others, as `-uf` does."""
    short = word[1:] if word.startswith("-") and not word.startswith("--") else ""
    return word.startswith(flags) or any(len(flag) == 2 and flag[0] == "-" and flag[1] in short for flag in flags)
