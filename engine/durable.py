"""Making files survive a power loss: contents first, then the name, then the folder that holds the name."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

if sys.platform == "darwin":
    import fcntl


def sync_file(descriptor: int) -> None:
    """Harden an open file's contents. On macOS fsync stops at the drive's cache, so F_FULLFSYNC is asked for."""
    if sys.platform == "darwin":
        try:
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
        except OSError:  # some filesystems do not know it
            pass
    os.fsync(descriptor)


def sync_folder(folder: Path) -> None:
    """Harden the names in a folder. Windows has no such call (NTFS journals names itself), so there it does nothing."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, content: bytes) -> None:
    """Put `content` at `path` so that after a crash there is the old file or the new one, whole. Raises OSError."""
    descriptor, name = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            sync_file(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
