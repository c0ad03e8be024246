"""What a command that deletes would delete, as far as its words say. Pure: the tree is given as paths and sizes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from engine.approvals.binding import folder_of, named_paths
from engine.text.sanitise import sanitise_line
from engine.text.sizes import size_words

MAX_ROWS = 200
_DELETERS = frozenset({"rm", "unlink", "shred", "rmdir", "rd", "del", "erase"})
UNKNOWN = "what it deletes is unknown until it runs"


@dataclass(frozen=True)
class Deletions:
    """`files` and `size` (bytes) of what would go; `rows` one clean line a file, capped; `said` one clause."""

    files: int
    size: int
    rows: tuple[str, ...]
    said: str


def deletions(argv: Sequence[str], cwd: str, sizes: Callable[[Sequence[str]], Mapping[str, int]]) -> Deletions | None:
    """What the kept tree loses when this runs. None for a command that is not known to delete; one that deletes in a
    form that its words do not tell is said to be unknown.

    sizes: given paths of files or folders, the path and size in bytes of every file at or below them.
    """
    words = [re.split(r"[/\\]", part)[-1].removesuffix(".exe").lower() for part in argv[:2]]
    if not words:
        return None
    if words[0] in _DELETERS:
        rest = list(argv[1:])
    elif words == ["git", "rm"]:
        rest = list(argv[2:])
    else:
        return None
    if "--cached" in rest or any(re.search(r"[*?\[\]]", part) for part in rest):
        return Deletions(0, 0, (), UNKNOWN)
    targets = rest[rest.index("--") + 1 :] if "--" in rest else [part for part in rest if not part.startswith("-")]
    if folder_of(cwd) == "." and any(folder_of(part) == "." for part in targets):
        found = sizes([""])
    else:
        paths = named_paths([f"./{part}" for part in targets], cwd)
        found = sizes(paths) if paths else dict[str, int]()
    total = sum(found.values())
    rows = [f"{sanitise_line(path)} · {size_words(size)}" for path, size in sorted(found.items())]
    said = f"{len(found)} file{'s' * (len(found) != 1)}, {size_words(total)}" if found else "nothing of the kept tree"
    return Deletions(len(found), total, tuple(rows[:MAX_ROWS]), said)
