"""Trees that no commit has: made in an index of their own, never in a checkout."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from engine.git.hub import Hub
from engine.git.names import check_id, encode_path

Put = tuple[str, str]
"""(mode, blob id), e.g. ("100644", "…")."""


def write_blob(hub: Hub, content: bytes) -> str:
    """Keep these bytes in the hub; the id of the blob."""
    return check_id(hub.git.run("hash-object", "-w", "--stdin", stdin=content).line)


def compose(hub: Hub, tree: str, entries: Mapping[str, Put | None]) -> str:
    """The tree that is `tree` with these paths put in (or, for None, taken out). The same arguments give the same id.

    Raises GitError, for instance when a path would be a file and a folder at once.
    """
    rows = b"".join(
        (b"0 " + b"0" * len(tree) if put is None else f"{put[0]} {check_id(put[1])}".encode("ascii"))
        + b"\t"
        + encode_path(path)
        + b"\0"
        for path, put in entries.items()
    )
    with tempfile.TemporaryDirectory(prefix="swarm-index-") as folder:
        env = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        hub.git.run("read-tree", check_id(tree), env=env)
        hub.git.run("update-index", "-z", "--index-info", stdin=rows, env=env)
        return check_id(hub.git.run("write-tree", env=env).line)
