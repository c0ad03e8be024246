"""The engine's two stores on disk: `base.git` with main's history only, and `hub.git`, which borrows from it.

Workspaces borrow from base, so that no agent can read another agent's work. Both are made whole under another name and
renamed, so that a crash leaves either a store or litter.
"""

from __future__ import annotations

import re
import uuid
from pathlib import Path

from engine.durable import sync_folder
from engine.errors import GitError, UserError
from engine.git.door import Git, UserGit, git_version
from engine.git.names import check_branch, is_id
from engine.git.removal import remove_tree
from engine.text.sanitise import sanitise_line

_FSCK = re.compile(r"error: (object [0-9a-f]+: .*)")

HUB, BASE = "hub.git", "base.git"
MAIN = "refs/heads/main"

NO_FILTERS = "* -filter -ident -working-tree-encoding\n"
"""Line for `info/attributes`, which outranks every `.gitattributes`: nothing but line endings is ever converted."""

_FETCH = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules")
_FETCH_TIMEOUT_S = 3_600.0

# Slips of old tools in the heads of commits, which say nothing of their files.
_SLIPS = (
    *("badDate", "badDateOverflow", "badEmail", "badName", "badTimezone", "missingEmail", "missingNameBeforeEmail"),
    *("missingSpaceBeforeDate", "missingSpaceBeforeEmail", "multipleAuthors", "zeroPaddedDate", "zeroPaddedFilemode"),
)
_CHECKED = {"fetch.fsckObjects": "true", **{f"fetch.fsck.{slip}": "ignore" for slip in _SLIPS}}


def init_store(git_dir: Path, object_format: str) -> Git:
    """An empty bare repository with the engine's settings and no template (so no hooks)."""
    git = Git(git_dir)
    init(git, "--bare", object_format=object_format, branch="main")
    git.run("config", "gc.auto", "0")
    info = git_dir / "info"
    info.mkdir(exist_ok=True)
    (info / "attributes").write_text(NO_FILTERS, encoding="utf-8", newline="\n")
    return git


def init(git: Git, *options: str, object_format: str, branch: str) -> None:
    """`git init` at the door's GIT_DIR, with the object format named and refs as files (each is written whole)."""
    refs = ("--ref-format=files",) if git_version() >= (2, 45) else ()
    formats = (f"--object-format={object_format}", *refs, f"--initial-branch={branch}")
    git.run("init", "--quiet", "--template=", *formats, *options)


def create_stores(state: Path, user_repo: Path, main_branch: str) -> None:
    """Make the stores that are missing, from the branch of the user's repository. Raises UserError if it has none.

    Another process may do the same at the same time: the first to finish wins, the other's litter is removed.
    """
    object_format = object_format_of(user_repo)
    if not (state / BASE).exists():
        fresh = state / f"new-{uuid.uuid4().hex}.git"
        try:
            base = init_store(fresh, object_format)
            fetch(base, user_repo, f"refs/heads/{check_branch(main_branch)}:{MAIN}", timeout_s=_FETCH_TIMEOUT_S)
            _take_place(fresh, state / BASE)
        finally:
            remove_tree(fresh)
    fresh = state / f"new-{uuid.uuid4().hex}.git"
    try:
        hub = init_store(fresh, object_format)
        # Relative, so that the state folder can be moved.
        alternates = fresh / "objects" / "info" / "alternates"
        alternates.parent.mkdir(exist_ok=True)
        alternates.write_text(f"../../{BASE}/objects\n", encoding="utf-8", newline="\n")
        fetch(hub, user_repo, f"refs/heads/{check_branch(main_branch)}:{MAIN}", timeout_s=_FETCH_TIMEOUT_S)
        _take_place(fresh, state / HUB)
    finally:
        remove_tree(fresh)


def fetch(into: Git, source: Path, refspec: str, timeout_s: float = 600.0, *, checked: bool = False) -> None:
    """Bring objects from a repository on this machine, and the ref if the refspec has a target.

    checked: git looks at each object before any of them is put into the store; with one that is malformed, or that
    holds a name no tree may hold, none is. Raises UserError then, and when the source has no such branch; GitError for
    everything else.
    """
    words = ("--refmap=", "--", str(source.resolve()), refspec)
    try:
        into.run(*_FETCH, *words, timeout_s=timeout_s, local_fetch=True, settings=_CHECKED if checked else None)
    except GitError as error:
        if checked and (fault := _FSCK.search(error.stderr)):
            raise UserError(
                f"{source} has an object that git refuses ({sanitise_line(fault[1])[:200]}), so nothing was taken from "
                "it: make that commit again without it."
            ) from error
        if "couldn't find remote ref" not in error.stderr:
            raise
        name = refspec.lstrip("+").split(":", 1)[0].removeprefix("refs/heads/")
        raise UserError(
            f'{source} has no branch "{name}": name the right one as project.main in swarm.toml.'
        ) from error


def object_format_of(user_repo: Path) -> str:
    """`sha1` or `sha256`."""
    return UserGit(user_repo).run("rev-parse", "--show-object-format").line


def remove_litter(state: Path) -> None:
    """At the engine's start, under its instance lock: half-made stores, and the lock files that a killed git left."""
    for entry in state.glob("new-*.git"):
        remove_tree(entry)
    for store in (state / HUB, state / BASE):
        _remove_locks(store)


def sync_objects(git: Git, new: str, old: str | None) -> None:
    """Harden the folders of all objects that `new` brings beyond `old`: git hardens files, but no folder.

    Raises GitError when an object is missing, so that no ref comes to point at a hole.
    """
    known = ["--not", old] if old else []
    listed = git.run("rev-list", "--objects", "--no-object-names", new, *known, timeout_s=600.0)
    objects = git.git_dir / "objects"
    fans = {name[:2] for name in listed.stdout.decode("ascii").split() if is_id(name)}
    for folder in [objects / fan for fan in sorted(fans)] + [objects / "pack", objects]:
        if folder.is_dir():
            sync_folder(folder)


def sync_ref(git: Git, ref: str) -> None:
    """Harden the folders that hold the ref's file, up to the repository."""
    folder = (git.git_dir / ref).parent
    while folder != git.git_dir.parent:
        if folder.is_dir():
            sync_folder(folder)
        folder = folder.parent


def _take_place(fresh: Path, place: Path) -> None:
    try:
        Path(fresh).rename(place)
    except OSError:
        if not place.is_dir():
            raise
        return  # another process was faster
    sync_folder(place.parent)


def _remove_locks(store: Path) -> None:
    if not store.is_dir():
        return
    for pattern in ("*.lock", "refs/**/*.lock", "logs/**/*.lock", "info/*.lock", "objects/info/*.lock"):
        for lock in store.glob(pattern):
            lock.unlink(missing_ok=True)
