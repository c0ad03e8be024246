"""A look at a workspace's files before git sees them: what would hang git, hide files from it, or fill the disk."""

# Plain strings throughout: a Path per entry doubles the time of a sweep, and Path knows no DirEntry.
# ruff: noqa: PTH118, PTH120, PTH208

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from engine.errors import SwarmError
from engine.git.door import Git
from engine.git.names import encode_path, split_z
from engine.git.removal import is_real_folder, remove_file, unlock_folder
from engine.text.sanitise import sanitise_line

_KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@dataclass(frozen=True)
class Caps:
    """How much a run may leave. entries: of anything, ignored files too; new_*: of changed and new unignored files."""

    entries: int = 3_000_000
    new_files: int = 10_000
    new_bytes: int = 500_000_000


def tidy(workspace: Path, aside: Path, caps: Caps) -> list[str]:
    """Make a workspace safe to run git over, and say what was taken out of it (one line each, for people).

    FIFOs, sockets and devices are removed (a FIFO called `.gitignore` hangs git for ever); a `.git` below the top is
    moved into `aside` (with commits it would become a gitlink, and its files would be lost); what its owner could not
    read is made readable. Raises SwarmError for more entries than `caps.entries`, or for paths that no call can reach.
    """
    skipped: list[str] = []
    open_, seen = [str(workspace)], 0
    try:
        unlock_folder(str(workspace))
        while open_:
            folder = open_.pop()
            with os.scandir(folder) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
            seen += len(entries)
            if seen > caps.entries:
                raise SwarmError(f"the run left more than {caps.entries} files and folders in its workspace")
            at_top = folder == str(workspace)
            for entry in entries:
                if at_top and (entry.name == ".git" or (entry.name.casefold() == ".git" and _same(entry))):
                    _disarm(entry)
                elif _is_git(entry.name):
                    _move(entry, aside)
                    skipped.append(f"{_shown(workspace, entry)} (a nested repository's .git, moved aside)")
                elif is_real_folder(entry):
                    unlock_folder(entry.path)
                    open_.append(entry.path)
                elif what := _special(entry):
                    remove_file(entry.path)
                    skipped.append(f"{_shown(workspace, entry)} ({what}, removed)")
    except OSError as error:
        raise SwarmError(f"the workspace cannot be read: {sanitise_line(str(error))[:300]}") from error
    return skipped


def check_amount(git: Git, workspace: Path, caps: Caps) -> None:
    """Raises SwarmError when the new and changed unignored files are more, or larger, than `caps` allow."""
    listed = git.run("ls-files", "-z", "--others", "--modified", "--exclude-standard", timeout_s=300.0)
    paths = set(split_z(listed.stdout))
    if len(paths) > caps.new_files:
        raise SwarmError(
            f"the run left {len(paths)} new or changed files and at most {caps.new_files} are taken: "
            "add what is built or downloaded to .gitignore"
        )
    size = 0
    for path in paths:
        try:
            size += os.lstat(os.path.join(workspace, path)).st_size
        except OSError:  # a deleted file
            continue
        if size > caps.new_bytes:
            raise SwarmError(
                f"the run left more than {caps.new_bytes} bytes of new or changed files: "
                "add what is built or downloaded to .gitignore"
            )


def index_rows(rows: list[tuple[str, str, str]]) -> bytes:
    """Input for `update-index -z --index-info` from (mode, sha, path); mode `0` removes. Removals come first, since a
    folder may stand where a file stood."""
    ordered = sorted(rows, key=lambda row: row[0] != "0")
    return b"".join(f"{mode} {sha}\t".encode("ascii") + encode_path(path) + b"\0" for mode, sha, path in ordered)


def _is_git(name: str) -> bool:
    """`.git` on any system: other case, and what Windows takes for the same name."""
    return name.casefold().split(":", 1)[0].rstrip(". ") in (".git", "git~1")


def _same(entry: os.DirEntry[str]) -> bool:
    """Whether an entry spelled otherwise is the top's own `.git` (a filesystem that ignores case)."""
    try:
        return Path(entry.path).samefile(os.path.join(os.path.dirname(entry.path), ".git"))
    except OSError:
        return False


def _disarm(entry: os.DirEntry[str]) -> None:
    """The workspace's own `.git` is never read. As anything but a folder it has no use."""
    if not is_real_folder(entry):
        remove_file(entry.path)


def _move(entry: os.DirEntry[str], aside: Path) -> None:
    aside.mkdir(parents=True, exist_ok=True)
    if is_real_folder(entry):
        unlock_folder(entry.path)
    number = len(os.listdir(aside))
    Path(entry.path).rename(aside / f"{number:06d}")


def _special(entry: os.DirEntry[str]) -> str | None:
    mode = entry.stat(follow_symlinks=False).st_mode
    if stat.S_ISREG(mode) and not mode & stat.S_IRUSR:
        Path(entry.path).chmod(stat.S_IMODE(mode) | stat.S_IRUSR)
    return _KINDS.get(stat.S_IFMT(mode))


def _shown(workspace: Path, entry: os.DirEntry[str]) -> str:
    return sanitise_line(os.path.relpath(entry.path, workspace), line_cap=300)
