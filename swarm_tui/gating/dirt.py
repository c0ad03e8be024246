"""A word for people who gate HEAD while something else lies in their working tree."""

from __future__ import annotations

from pathlib import Path

from engine.git.door import UserGit


def dirt(root: Path) -> str:
    """A hint when HEAD is not what lies in the working tree; "" when it is. Raises GitError."""
    rows = UserGit(root).run("status", "--porcelain=v1", "-z", "--no-renames").stdout.split(b"\0")
    count = sum(1 for row in rows if row)
    if not count:
        return ""
    files = "1 file of the working tree is" if count == 1 else f"{count} files of the working tree are"
    # Two letters and a blank stand before each path.
    ours = "; the gates are those of the committed swarm.toml" if any(row[3:] == b"swarm.toml" for row in rows) else ""
    return f"note: HEAD is gated, and {files} not committed; swarm gates --watch gates the working tree too{ours}"
