"""A change taken from the hub's objects, and every guard's word on it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from engine.errors import GitError
from engine.git.hub import Change, Hub
from engine.git.names import check_id, decode_path
from engine.models.report import GuardResult
from engine.ports import GuardRequest
from engine.text.redact import Redactor
from gates.guards.gitleaks import Gitleaks
from gates.guards.guard import GITLINK, NO_FILE, NOTHING_KNOWN, Judged, Row
from gates.guards.table import GUARDS

FETCHED_AT_ONCE = 64_000_000
"""Bytes of files that are read ahead in one go; what does not fit is read when it is asked for."""


SPARES_ACCEPTED = frozenset({"paths", "protected", "binaries", "size"})
"""Guards that say nothing about a golden that a person accepted to the byte. What could be hidden in it is looked for
all the same."""


def guard_change(
    hub: Hub, request: GuardRequest, redactor: Redactor = NOTHING_KNOWN, gitleaks: Gitleaks | None = None
) -> tuple[GuardResult, ...]:
    """Every guard's word on the change, from tree objects alone. `redactor` knows the values that agents are given;
    gitleaks: None where it is not installed. Raises GitError."""
    change = replace(judged(hub, request, redactor), gitleaks=gitleaks)
    if not request.accepted:
        return tuple(guard.judge(change) for guard in GUARDS)
    own = replace(change, rows=[row for row in change.rows if not change.is_accepted(row.path)])
    return tuple(guard.judge(own if guard.name in SPARES_ACCEPTED else change) for guard in GUARDS)


def judged(hub: Hub, request: GuardRequest, redactor: Redactor = NOTHING_KNOWN) -> Judged:
    """The change of a request, with its files read ahead."""
    objects = _Objects(hub)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(objects.entries, request.tree)  # several guards want it; what it raises comes when they ask
        rows = objects.rows(request, hub.changed(request.base_tree, request.tree))
    return Judged(
        request=request,
        rows=rows,
        read=objects.read,
        paths=lambda: list(objects.entries(request.tree)),
        modes=objects.modes,
        fetch=objects.fetch,
        redactor=redactor,
    )


class _Objects:
    """Files of trees: a tree is listed once, a blob is read once, many blobs by one call of git."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._trees: dict[str, dict[str, str]] = {}
        self._modes: dict[str, dict[str, str]] = {}
        self._known: dict[tuple[str, str], str | None] = {}
        self._blobs: dict[str, bytes] = {}

    def rows(self, request: GuardRequest, changes: Sequence[Change]) -> list[Row]:
        sides: set[str] = set()
        for row in changes:
            old = None if row.old_mode in (NO_FILE, GITLINK) else row.old_sha
            new = None if row.new_mode in (NO_FILE, GITLINK) else row.new_sha
            self._known[request.base_tree, row.path], self._known[request.tree, row.path] = old, new
            sides.update(sha for sha in (old, new) if sha)
        sizes = self._read_all(sides)
        if sizes is None:
            sizes = self._hub.blob_sizes(sides)
            self._read_ahead(sides, sizes)
        return [Row(row.path, row.old_mode, row.new_mode, sizes.get(row.new_sha, 0)) for row in changes]

    def entries(self, tree: str) -> Mapping[str, str]:
        """What `ls-tree` says of each path, `MODE KIND ID`. Decoded in one go: there are thousands."""
        if tree not in self._trees:
            listed = self._hub.git.run("ls-tree", "-r", "-z", "--full-tree", check_id(tree), timeout_s=600.0)
            rows = decode_path(listed.stdout).split("\0")[:-1]
            self._trees[tree] = {path: said for said, _, path in (row.partition("\t") for row in rows)}
        return self._trees[tree]

    def modes(self, tree: str) -> Mapping[str, str]:
        if tree not in self._modes:
            self._modes[tree] = {path: said[:6] for path, said in self.entries(tree).items()}
        return self._modes[tree]

    def read(self, tree: str, path: str) -> bytes | None:
        sha = self._sha(tree, path)
        if sha is None:
            return None
        if sha not in self._blobs:
            self._blobs[sha] = self._hub.blob(sha)
        return self._blobs[sha]

    def fetch(self, tree: str, paths: Sequence[str]) -> None:
        wanted = {sha for path in paths if (sha := self._sha(tree, path)) is not None and sha not in self._blobs}
        if wanted:
            self._read_ahead(wanted, self._hub.blob_sizes(wanted))

    def _sha(self, tree: str, path: str) -> str | None:
        if (tree, path) in self._known:
            return self._known[tree, path]
        _, kind, sha = self.entries(tree).get(path, "  ").split(" ")
        return sha if kind == "blob" else None

    def _read_all(self, wanted: Iterable[str]) -> dict[str, int] | None:
        """Read them and give their sizes; None when they are too much to be read in one go."""
        chosen = [check_id(sha) for sha in wanted]
        if not chosen:
            return {}
        asked = "".join(f"{sha}\n" for sha in chosen).encode("ascii")
        raw, whole = self._hub.git.head("cat-file", "--batch", stdin=asked, cap_bytes=FETCHED_AT_ONCE, timeout_s=600.0)
        if not whole:
            return None
        self._keep(chosen, raw)
        return {sha: len(self._blobs[sha]) for sha in chosen}

    def _read_ahead(self, wanted: Iterable[str], sizes: Mapping[str, int]) -> None:
        chosen: list[str] = []
        room = FETCHED_AT_ONCE
        for sha in sorted(wanted, key=sizes.__getitem__):
            room -= sizes[sha]
            if room < 0:
                break
            chosen.append(sha)
        if not chosen:
            return
        asked = "".join(f"{sha}\n" for sha in chosen).encode("ascii")
        self._keep(chosen, self._hub.git.run("cat-file", "--batch", stdin=asked, timeout_s=600.0).stdout)

    def _keep(self, chosen: Sequence[str], raw: bytes) -> None:
        """What `cat-file --batch` says of these blobs."""
        at = 0
        for sha in chosen:
            end = raw.index(b"\n", at)
            said = raw[at:end].split()
            if len(said) != 3 or said[0] != sha.encode("ascii") or said[1] != b"blob":
                raise GitError(["cat-file", "--batch"], 0, f"{sha} is not a blob of the hub")
            start = end + 1
            at = start + int(said[2]) + 1
            self._blobs[sha] = raw[start : at - 1]
