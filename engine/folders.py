"""Where the state of one repository lies: outside of it, on a local disk."""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from engine.errors import UserError

STATE_VARIABLE = "SWARM_STATE"

# Folders that a program copies to other machines behind our back, file by file: no database survives that.
_SYNC_FOLDERS = re.compile(
    r"(onedrive|dropbox|google ?drive|icloud ?drive|nextcloud|owncloud|pcloud ?drive)([ -].*|\(.*\))?"
    r"|mobile documents|com~apple~clouddocs|cloudstorage",
    re.IGNORECASE,
)
_NETWORK_TYPES = frozenset(
    {"nfs", "nfs3", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "afpfs", "webdav", "davfs", "afs", "ceph", "lustre"}
    | {"gluster", "glusterfs", "drvfs", "prl_fs", "vboxsf", "macfuse", "osxfuse", "fuse.sshfs", "fuse.rclone"}
    | {"fuse.glusterfs", "fuse.davfs2", "fuse.s3fs", "fuse.gvfsd-fuse", "fuse.smbnetfs"}
)
_OCTAL = re.compile(rb"\\([0-7]{3})")


@dataclass(frozen=True)
class StateFolder:
    """The parts of a state folder. Nothing is made by looking; `create` makes the folders."""

    root: Path

    @property
    def journal(self) -> Path:
        """The SQLite file of the journal."""
        return self.root / "journal.db"

    @property
    def hub(self) -> Path:
        """The engine's own bare repository."""
        return self.root / "hub.git"

    @property
    def base(self) -> Path:
        """The bare repository with main's history only, from which workspaces borrow."""
        return self.root / "base.git"

    @property
    def workspaces(self) -> Path:
        """Disposable clones, one a run."""
        return self.root / "workspaces"

    @property
    def slots(self) -> Path:
        """Checkouts in which gates run."""
        return self.root / "slots"

    @property
    def artifacts(self) -> Path:
        """What `ArtifactStore` gets."""
        return self.root / "artifacts"

    @property
    def runs(self) -> Path:
        """One folder a run: log, progress, result."""
        return self.root / "runs"

    @property
    def patches(self) -> Path:
        """The patch queue: what landed, as mails for `git am`, where no remote takes it."""
        return self.root / "patches"

    @property
    def keys(self) -> Path:
        """The signing key and what is needed to check with it."""
        return self.root / "keys"

    @property
    def head(self) -> Path:
        """The copy of the journal's signed head."""
        return self.keys / "journal.head"

    @property
    def broken(self) -> Path:
        """There while nothing may run, because the journal was changed by something else: why, as JSON."""
        return self.root / "read-only.json"

    @property
    def log(self) -> Path:
        """The engine's own log."""
        return self.root / "engine.log"

    @property
    def lock(self) -> Path:
        """The instance lock."""
        return self.root / "engine.lock"

    @property
    def marker(self) -> str:
        """What the markers of this state folder's processes begin with: no other engine's processes are taken
        for ours."""
        return hashlib.sha256(str(self.root).encode("utf-8")).hexdigest()[:10]

    @property
    def ballast(self) -> Path:
        """What is thrown off when the disk is full."""
        return self.root / "ballast"

    def create(self) -> None:
        """Make the root and its folders, for the user alone. Raises UserError when that, or writing there, fails."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            for folder in (self.workspaces, self.slots, self.artifacts, self.runs, self.patches, self.keys):
                folder.mkdir(exist_ok=True, mode=0o700)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise _unwritable(self.root, error.strerror or str(error)) from error


def state_folder_for(
    repo_root: Path, override: Path | None = None, *, environ: Mapping[str, str] | None = None
) -> StateFolder:
    """The state folder of a repository: `override` (--state), else SWARM_STATE, else the platform's user state folder.

    Makes nothing. Raises UserError for a folder inside the repository, on a network drive, in a folder that is synced
    to other machines, or one that cannot be written.
    """
    repo = repo_root.resolve()
    variable = (os.environ if environ is None else environ).get(STATE_VARIABLE, "")
    if override is not None or variable:
        root = (override or Path(variable)).expanduser().resolve()
    else:
        root = platformdirs.user_state_path("swarm", appauthor=False).resolve() / _name_of(repo)
    if root.is_relative_to(repo):
        raise UserError(
            f"The state folder {root} lies inside the repository, where gates would find its files: "
            "name one outside with --state."
        )
    if (found := synced_part(root)) is not None:
        raise UserError(
            f"The state folder {root} is synced to other machines ({found}), which breaks databases: "
            "name one elsewhere with --state."
        )
    if (kind := network_type(root, _mounts())) is not None:
        raise UserError(
            f"The state folder {root} is on a network drive ({kind}), where locks and databases are not safe: "
            "name one on a local disk with --state."
        )
    _refuse_unwritable(root)
    return StateFolder(root)


def synced_part(path: Path) -> str | None:
    """The part of `path` that is named like a sync program's folder, or None."""
    return next((part for part in path.parts if _SYNC_FOLDERS.fullmatch(part)), None)


def network_type(path: Path, mounts: Iterable[tuple[str, str]]) -> str | None:
    """The network filesystem that `path` is on, or None. `mounts`: (mount point, filesystem type) in mount order."""
    if path.drive.startswith(("\\\\", "//")):
        return "UNC path"
    best, kind = -1, ""
    for point, fstype in mounts:
        depth = len(Path(point).parts)
        if depth >= best and path.is_relative_to(point):  # of two mounts on one point the later one counts
            best, kind = depth, fstype.lower()
    return kind if kind in _NETWORK_TYPES else None


def _mounts() -> list[tuple[str, str]]:
    if sys.platform == "win32":
        return _remote_drives()
    if sys.platform == "linux":
        return _linux_mounts()
    import psutil  # only here: on Linux a client does without its weight

    try:
        return [(partition.mountpoint, partition.fstype) for partition in psutil.disk_partitions(all=True)]
    except OSError:  # no mount table, as in some sandboxes: nothing is known, so nothing is refused
        return []


def _linux_mounts() -> list[tuple[str, str]]:
    try:
        rows = Path("/proc/self/mounts").read_bytes().splitlines()
    except OSError:
        return []
    # White space and backslashes in a mount point are octal there: `\\040`.
    found = [row.split(b" ") for row in rows]
    return [(os.fsdecode(_OCTAL.sub(_byte, row[1])), os.fsdecode(row[2])) for row in found if len(row) > 2]


def _byte(octal: re.Match[bytes]) -> bytes:
    return bytes([int(octal[1], 8) & 0xFF])


def _remote_drives() -> list[tuple[str, str]]:
    if sys.platform != "win32":
        return []
    import ctypes

    remote = 4  # DRIVE_REMOTE
    drives = [f"{letter}:\\" for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    return [(drive, "smb") for drive in drives if ctypes.windll.kernel32.GetDriveTypeW(drive) == remote]


def _name_of(repo: Path) -> str:
    """`<repo-name>-<hash8>`: readable, and different for every place a repository can lie at."""
    hashed = hashlib.sha256(os.path.normcase(repo).encode("utf-8", "surrogatepass")).hexdigest()[:8]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", repo.name).strip(".-")[:60] or "repo"
    return f"{name}-{hashed}"


def _refuse_unwritable(root: Path) -> None:
    nearest = root
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise _unwritable(root, f"{nearest} is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise _unwritable(root, "permission denied")


def _unwritable(root: Path, why: str) -> UserError:
    return UserError(
        f"The state folder {root} cannot be written ({why}): make it writable, or name another with --state."
    )
