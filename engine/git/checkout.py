"""One tree at one fixed place, exactly: what is not in the tree is deleted, what differs is written again, and what is
right keeps its mtime, so that build caches stay warm.
"""

# Plain strings throughout: a Path per entry doubles the time of a sweep, and Path knows no DirEntry.
# ruff: noqa: PTH115, PTH118

from __future__ import annotations

import hashlib
import os
import stat
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from engine.errors import GitError, SwarmError
from engine.git.door import Git
from engine.git.hub import Entry, Hub
from engine.git.names import GITLINK, SYMLINK, decode_path, encode_path, is_plain_path, split_z
from engine.git.removal import is_real_folder, is_unlocked_folder, remove_file, remove_tree, unlock_folder

_LONG_S = 600.0
_RACY_NS = 100_000_000
"""A file that changed this shortly before it was looked at may change again within the same tick of the clock."""

# POSIX only: nobody can set a ctime. On Windows it is the time of creation, and every look compares contents.
_CTIME_TELLS = sys.platform != "win32"

Signature = tuple[int, int, int, int, int]
"""inode, size, mtime, ctime (ns), mode: equal means that nobody wrote to the file in between."""


class Checkout:
    """The files of a tree at `folder`, with an index of the engine's beside it. One user at a time."""

    def __init__(self, hub: Hub, folder: Path, index: Path) -> None:
        self._hub, self._folder, self._index = hub, folder, index
        self._git = Git(hub.path, index=index, work_tree=folder, durable=False)
        self._seen: dict[str, Signature] = {}
        self._seen_tree = ""
        self._listed: tuple[str, dict[str, Entry]] = "", {}
        self._seen_at_ns = 0

    def make(self, tree: str) -> None:
        """Make the folder hold exactly `tree`. Raises GitError, or SwarmError when something cannot be deleted.

        Where it holds that tree already, and every file is as this left it, no git is asked.
        """
        entries = self._entries(tree)
        self._folder.mkdir(parents=True, exist_ok=True)
        kept = self._sweep(entries, known=tree == self._seen_tree)
        if kept == len(entries):
            return
        self._seen = {}
        self._index.with_name(f"{self._index.name}.lock").unlink(missing_ok=True)
        try:
            self._write(tree)
        except GitError:
            # A damaged index, or one whose objects are gone. Without it everything is written again.
            self._index.unlink(missing_ok=True)
            self._write(tree)
        self._repair(tree, entries)
        self._seen_tree, self._seen_at_ns = tree, time.time_ns()
        self._seen = {
            entry.path: _signature(self._at(entry.path)) for entry in entries.values() if entry.mode != GITLINK
        }

    def holds(self, tree: str) -> bool:
        """Whether the folder holds exactly `tree`, and each file is as `make` left it: then `make` has nothing to do.
        Only looks, and rather says no."""
        if tree != self._seen_tree:
            return False
        entries, kept, open_ = self._entries(tree), 0, [""]
        folders = _folders(entries)
        while open_:
            prefix = open_.pop()
            place = self._at(prefix) if prefix else str(self._folder)
            if not is_unlocked_folder(place):
                return False
            with os.scandir(place) as listing:
                for entry in listing:
                    path = f"{prefix}/{entry.name}" if prefix else entry.name
                    if path in self._seen and self._is_untouched(path, _signature_of(entry)):
                        kept += 1
                    elif path in folders and is_real_folder(entry):
                        open_.append(path)
                    else:
                        return False
        return kept == len(entries)

    def unchanged(self, tree: str) -> list[str]:
        """The paths of `tree` that are not there as git would write them now: changed, missing, of another type or
        mode, or below a folder that became a link. Only looks, and reads no file that is not in the tree.
        """
        entries = self._entries(tree)
        links = {folder for folder in _folders(entries) if not _is_folder(self._at(folder))}
        suspects: list[Entry] = []
        changed: list[str] = []
        for path, entry in entries.items():
            if entry.mode == GITLINK:
                continue
            if not links.isdisjoint(_parents(path)) or not _right_kind(self._at(path), entry.mode):
                changed.append(path)
            elif tree != self._seen_tree or not self._untouched(path):
                suspects.append(entry)
        return sorted(changed + self._differing(tree, entries, suspects))

    def freshen(self, tree: str) -> None:
        """Set the mtime of every regular file of the tree that is not as it was left here to now.

        A process may have set it back, and a builder would take what it built of an older file for up to date.
        """
        now = time.time_ns()
        for path, entry in self._entries(tree).items():
            if entry.mode in (GITLINK, SYMLINK) or (tree == self._seen_tree and self._kept(path)):
                continue
            # Through no link, in its place or in that of a folder above it.
            if not any(not _is_folder(self._at(parent)) for parent in _parents(path)) and _is_file(self._at(path)):
                os.utime(self._at(path), ns=(now, now))
                if path in self._seen and tree == self._seen_tree:
                    self._seen[path] = _signature(self._at(path))

    def _write(self, tree: str) -> None:
        self._git.run("read-tree", "--reset", "-u", tree, timeout_s=_LONG_S)

    def _entries(self, tree: str) -> dict[str, Entry]:
        if tree == self._listed[0]:
            return self._listed[1]
        entries = {entry.path: entry for entry in self._hub.entries(tree)}
        for path in entries:
            if not is_plain_path(path):
                raise GitError(["ls-tree", tree], 0, "the tree holds a path that no checkout may have")
        self._listed = tree, entries
        return entries

    def _sweep(self, entries: dict[str, Entry], *, known: bool) -> int:
        """Delete what is not in the tree (ignored files too), and what has the wrong type; mend modes.

        known: the tree is the one that was made last. How many of its files nobody has touched since.
        """
        folders, kept = _folders(entries), 0
        unlock_folder(str(self._folder))
        open_ = [""]
        while open_:
            prefix = open_.pop()
            with os.scandir(self._at(prefix) if prefix else str(self._folder)) as listing:
                found = list(listing)
            for entry in found:
                path = f"{prefix}/{entry.name}" if prefix else entry.name
                wanted = entries.get(path)
                if known and path in self._seen and self._is_untouched(path, _signature_of(entry)):
                    kept += 1
                elif is_real_folder(entry):
                    if path in folders:
                        unlock_folder(entry.path)
                        open_.append(path)
                    elif not remove_tree(Path(entry.path)):
                        raise SwarmError(f"{entry.path} is in use by another program and cannot be deleted")
                elif wanted is None or wanted.mode == GITLINK or not _right_kind(entry.path, wanted.mode, mend=True):
                    remove_file(entry.path)
        return kept

    def _repair(self, tree: str, entries: dict[str, Entry]) -> None:
        """Whatever still differs is written again, until git's answer and the bytes agree."""
        self._git.run("update-index", "-q", "--really-refresh", ok=(0, 1), timeout_s=_LONG_S)
        listed = self._git.run("diff-files", "-z", "--name-only", "--ignore-submodules=all", timeout_s=_LONG_S)
        suspects = [entries[path] for path in split_z(listed.stdout) if path in entries]
        if not _CTIME_TELLS:
            suspects = [entry for entry in entries.values() if entry.mode != GITLINK]
        # A file that line-ending rules would normalise is a difference to git and none to us: compare what is there
        # with what git writes.
        again = self._differing(tree, entries, suspects)
        if not again:
            return
        for path in again:
            if not remove_tree(Path(self._at(path))):
                raise SwarmError(f"{self._at(path)} is in use by another program and cannot be replaced")
        names = _names(entries[path] for path in again)
        self._git.run("checkout-index", "-f", "-u", "-z", "--stdin", stdin=names, timeout_s=_LONG_S)
        if still := self._differing(tree, entries, [entries[path] for path in again]):
            raise GitError(["checkout-index"], 0, f"{still[0]} is not what git says that it wrote")

    def _differing(self, tree: str, entries: dict[str, Entry], suspects: list[Entry]) -> list[str]:
        """Those whose bytes on disk are not what git would write for this tree."""
        odd = [entry for entry in suspects if not self._is_blob(entry)]
        ruled = any(path.rsplit("/", 1)[-1] == ".gitattributes" for path in entries)
        if not odd and not (ruled and suspects):
            return []
        # What git would write: into an empty folder, through an index of the tree, so that attributes come from the
        # tree as well. A planted `.gitattributes` has no say, and a FIFO of that name cannot hang us.
        scratch = self._index.with_name(f"{self._index.name}-as-written")
        index = self._index.with_name(f"{self._index.name}-asked")
        door = Git(self._hub.path, index=index, work_tree=scratch, durable=False)
        try:
            remove_tree(scratch)
            index.unlink(missing_ok=True)
            scratch.mkdir()
            door.run("read-tree", tree)
            if ruled:
                crlf = _written_with_crlf(door, suspects)
                odd = [entry for entry in suspects if entry.path in crlf or not self._is_blob(entry)]
            door.run("checkout-index", "-f", "-z", "--stdin", stdin=_names(odd), timeout_s=_LONG_S)
            return [entry.path for entry in odd if not self._is_as_written(scratch, entry)]
        finally:
            remove_tree(scratch)
            index.unlink(missing_ok=True)

    def _is_as_written(self, scratch: Path, entry: Entry) -> bool:
        """For files with converted line endings. A link always holds its blob's bytes: one that does not differs."""
        if not _right_kind(self._at(entry.path), entry.mode) or (entry.mode == SYMLINK and sys.platform != "win32"):
            return False
        try:
            return _read(self._at(entry.path)) == _read(os.path.join(scratch, *entry.path.split("/")))
        except OSError:
            return False

    def _is_blob(self, entry: Entry) -> bool:
        """Whether the bytes on disk are the blob itself: true for nearly every file, and needs no process."""
        path = self._at(entry.path)
        if not _right_kind(path, entry.mode):
            return False
        try:
            is_link = entry.mode == SYMLINK and stat.S_ISLNK(os.lstat(path).st_mode)
            content = os.fsencode(os.readlink(path)) if is_link else _read(path)
        except OSError:
            return False
        algorithm = hashlib.sha1 if len(entry.sha) == 40 else hashlib.sha256
        return algorithm(b"blob %d\0" % len(content) + content).hexdigest() == entry.sha

    def _untouched(self, path: str) -> bool:
        return path in self._seen and self._is_untouched(path, _signature(self._at(path)))

    def _is_untouched(self, path: str, now: Signature) -> bool:
        seen = self._seen[path]
        return _CTIME_TELLS and seen[3] <= self._seen_at_ns - _RACY_NS and now == seen

    def _kept(self, path: str) -> bool:
        return self._seen.get(path) == _signature(self._at(path))

    def _at(self, path: str) -> str:
        return os.path.join(self._folder, *path.split("/"))


def _names(entries: Iterable[Entry]) -> bytes:
    return b"".join(encode_path(entry.path) + b"\0" for entry in entries)


def _written_with_crlf(door: Git, entries: list[Entry]) -> set[str]:
    """Paths that git does not write as they are stored. With our settings (no autocrlf, eol lf, no filters) only
    `eol=crlf` does that."""
    told = door.run("check-attr", "--cached", "-z", "--stdin", "eol", stdin=_names(entries), timeout_s=_LONG_S)
    fields = told.stdout.split(b"\0")
    return {decode_path(fields[at]) for at in range(0, len(fields) - 2, 3) if fields[at + 2] == b"crlf"}


def _folders(entries: dict[str, Entry]) -> set[str]:
    """Every folder of the tree; a gitlink is an empty one."""
    folders = {path for path, entry in entries.items() if entry.mode == GITLINK}
    for path in entries:
        for parent in _parents(path):
            if parent in folders:
                break
            folders.add(parent)
    return folders


def _parents(path: str) -> Iterable[str]:
    """The folders above a path, nearest first."""
    at = path.rfind("/")
    while at > 0:
        yield path[:at]
        at = path.rfind("/", 0, at)


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except OSError:
        return False


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _right_kind(path: str, mode: str, *, mend: bool = False) -> bool:
    """Whether a file of the tree's type and execute bit is there. mend: give it the right mode.

    A second hard link counts as wrong when mending: through it, somebody could write to the file from elsewhere.
    """
    try:
        found = os.lstat(path)
    except OSError:
        return False
    if sys.platform == "win32":
        return stat.S_ISREG(found.st_mode)  # links are checked out as files there, and there is no execute bit
    if mode == SYMLINK:
        return stat.S_ISLNK(found.st_mode)
    if not stat.S_ISREG(found.st_mode):
        return False
    bits = stat.S_IMODE(found.st_mode)
    wanted = 0o700 if mode == "100755" else 0o600
    if mend and found.st_nlink > 1:
        return False
    if bits & 0o700 == wanted and not bits & 0o7000:
        return True
    if mend:
        Path(path).chmod(0o755 if mode == "100755" else 0o644)
    return mend


def _signature(path: str) -> Signature:
    try:
        return _signed(os.lstat(path))
    except OSError:
        return (0, 0, 0, 0, 0)


def _signature_of(entry: os.DirEntry[str]) -> Signature:
    try:
        return _signed(entry.stat(follow_symlinks=False))
    except OSError:
        return (0, 0, 0, 0, 0)


def _signed(found: os.stat_result) -> Signature:
    return (found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode)


def _read(path: str) -> bytes:
    """A file's content, never through a link in its place."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(path, flags), "rb") as file:
        return file.read()
