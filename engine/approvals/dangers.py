"""How dangerous a question is: a table of classes. Pure.

An agent's word for its own operation is only a claim. The rules that look at the command may raise the class, never
lower it, and what cannot be placed counts as the highest. Nothing of this table is ever allowed without a person.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from engine.approvals.rules import seen_in
from engine.text.suspicious import suspicious

_KEPT = "what the operation was given is kept under refs/swarm/keep/; its work starts there again"


class Danger(NamedTuple):
    """`word`: for people. `highest`: approving it wants a name typed. `shown`: what the person is given to judge by.
    `rollback`: how to take it back when it was wrong."""

    word: str
    highest: bool
    shown: str
    rollback: str = _KEPT


DANGERS: dict[str, Danger] = {
    "land": Danger("landing", False, "the change and its report", "swarm lands a commit that reverts it"),
    "restore": Danger("moves main back", True, "what main loses", "what is taken off stays in main's history"),
    "proposal": Danger(
        "takes on proposed work", False, "the work order", "swarm cancel takes it off again, what it landed is reverted"
    ),
    "external": Danger(
        "acts outside of the repository", False, "the command", "none: what happens outside cannot be undone from here"
    ),
    "network": Danger("network to a new host", False, "the host", "what was sent cannot be called back"),
    "dependency": Danger(
        "new dependency", False, "name, version, source and hash", "revert the change; nothing was installed outside"
    ),
    "protected_file": Danger("touches protected files", False, "the paths and the change", "revert the change"),
    "golden": Danger("changes recorded truth", False, "the goldens and the change", "revert the change"),
    "boundary": Danger("crosses a boundary", False, "the edge and the change", "revert the change"),
    "large_file": Danger(
        "adds a large or binary file", False, "the paths and sizes", "revert the change; the history keeps the bytes"
    ),
    "over_budget": Danger("spending over the budget", False, "what was spent", "what is spent is spent"),
    "inline_code": Danger("runs code written in the command", False, "the code"),
    "shell": Danger("runs a shell script written in the command", True, "the script"),
    "hidden_code": Danger("hides what it runs", True, "the command, escaped"),
    "large_deletion": Danger("large deletion", True, "what would be deleted, with sizes"),
    "rewrite_history": Danger("rewrites history", True, "the command and the branch"),
    "rebase_main": Danger("rebases main", True, "the command and the branch"),
    "force_push": Danger(
        "force push", True, "the remote and the branch", "push the old commit again, where somebody still has it"
    ),
    "ref_operation": Danger("moves or deletes refs", True, "the refs"),
    "leave_sandbox": Danger(
        "leaves the sandbox", True, "the command", "none: what happens outside cannot be undone from here"
    ),
}
UNKNOWN = Danger("cannot be placed", True, "the command")
ENGINES_OWN = frozenset({"land", "restore", "over_budget", "proposal"})
"""Questions of the engine: an agent that uses its words is not believed."""

ALIASES = {
    "new_host": "network", "new_dependency": "dependency", "deletion": "large_deletion", "delete": "large_deletion",
    "rebase": "rewrite_history", "history_rewrite": "rewrite_history", "history": "rewrite_history",
    "sandbox": "leave_sandbox", "sandbox_escape": "leave_sandbox", "protected": "protected_file",
    "protected_files": "protected_file", "goldens": "golden", "budget": "over_budget", "size": "large_file",
    "binary": "large_file", "boundaries": "boundary", "ref": "ref_operation", "refs": "ref_operation",
    "dependencies": "dependency", "host": "network", "script": "shell",
}  # fmt: skip
_STEERING = re.compile(
    r"(?:PATH|IFS|ENV|BASH_ENV|SHELLOPTS|LD_.*|DYLD_.*|GIT_.*|PYTHON.*|PERL5?(?:OPT|LIB|DB)|RUBYOPT|RUBYLIB|NODE_.*"
    r"|JAVA_TOOL_OPTIONS|_JAVA_OPTIONS|RUSTC.*|RUSTFLAGS|CARGO_.*|EDITOR|VISUAL|PAGER|SHELL|HOME|SWARM_.*)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Judged:
    """`word` is ours. `claimed`: the word of whoever asks, as it came; "" when the engine asks. `seen`: what the
    command looks like where that is more than was claimed. `warnings`: why it should be read twice, clean."""

    word: str
    highest: bool
    claimed: str = ""
    seen: str = ""
    warnings: tuple[str, ...] = ()


def key_of(danger: str) -> str:
    """The key of a class in the table, from any spelling of it; "" when it is none."""
    key = re.sub(r"[\s-]+", "_", danger[:100].strip().lower())
    key = ALIASES.get(key, key)
    return key if key in DANGERS else ""


def danger_of(danger: str) -> Danger:
    """The class of a question of the engine."""
    return DANGERS.get(key_of(danger), UNKNOWN)


def judge(
    danger: str, argv: Sequence[str], *, claimed: bool, cwd: str = ".", env: Mapping[str, str] | None = None
) -> Judged:
    """The class of a question. `claimed`: an agent has chosen the word, so its command is looked at too: the worse of
    the two counts."""
    warnings = warnings_of(argv, cwd, env or {})
    key = key_of(danger)
    word, highest = DANGERS[key][:2] if key and not (claimed and key in ENGINES_OWN) else UNKNOWN[:2]
    if not claimed:
        return Judged(word, highest or bool(warnings), warnings=warnings)
    seen = seen_in(argv)
    if seen is None:
        return Judged(word, True, danger, "too long to be looked through", warnings)
    worse = next((DANGERS[found] for found in seen if DANGERS[found].word != word), None)
    worst = highest or bool(warnings) or any(DANGERS[found].highest for found in seen)
    more = worse is not None and (worse.highest or not highest)
    return Judged(word, worst, danger, worse.word if worse is not None and more else "", warnings)


def warnings_of(argv: Sequence[str], cwd: str, env: Mapping[str, str]) -> tuple[str, ...]:
    """What is odd about a command's words, folder and environment."""
    parts = [("argument", part) for part in argv] + [("folder", cwd)]
    parts += [("environment", f"{name}={value}") for name, value in env.items()]
    found = [f"{where}: {clause}" for where, part in parts for clause in suspicious(part)]
    found += [f"environment: {name} changes what is run" for name in env if _STEERING.fullmatch(name)]
    return tuple(dict.fromkeys(found))
