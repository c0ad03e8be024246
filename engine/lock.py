"""One engine a repository: a lock of the operating system, which dies with the process that holds it."""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from engine.errors import EngineBusyError, UserError

if sys.platform == "win32":
    import msvcrt

    # Windows' locks are mandatory: a byte far behind the text is locked, so that the pid stays readable.
    _LOCKED_BYTE = 1 << 30

    def _try_lock(descriptor: int, *, shared: bool) -> bool:
        del shared  # msvcrt knows exclusive locks only
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        with suppress(OSError):
            msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _try_lock(descriptor: int, *, shared: bool) -> bool:
        # flock, not POSIX record locks: those vanish when any descriptor of the file is closed in the process.
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


_PATIENCE_S = 0.3
_PAUSE_S = 0.02


class InstanceLock:
    """The lock file of a state folder. The file stays; only the lock on it means anything."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock and write down our pid. Raises EngineBusyError when another engine has it, UserError when the
        file cannot be written. Waits for up to 0.3 s, since a look by `holder` takes it for a moment."""
        if self._descriptor is not None:
            raise RuntimeError("this lock is already held")
        descriptor = self._open(os.O_RDWR | os.O_CREAT)
        try:
            patience_ends = time.monotonic() + _PATIENCE_S
            while not _try_lock(descriptor, shared=False):
                if time.monotonic() > patience_ends:
                    pid = _pid_in(descriptor)
                    who = f"pid {pid}" if pid else "its pid is unknown"
                    raise EngineBusyError(
                        f"another engine ({who}) runs this repository: look at it with `swarm status`, "
                        "or stop it with `swarm stop`"
                    )
                time.sleep(_PAUSE_S)
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, f"{os.getpid()}\n".encode("ascii"))
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; nothing happens when it is not held."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            _unlock(descriptor)
            os.close(descriptor)

    def holder(self) -> int | None:
        """The pid of the engine that has the lock now (this process included), or None. 0: held, pid not yet written.

        It does not keep the lock from anyone. Raises UserError when the file cannot be read.
        """
        if self._descriptor is not None:
            return os.getpid()
        if not self._path.exists():
            return None
        descriptor = self._open(os.O_RDWR)
        try:
            if not _try_lock(descriptor, shared=True):
                return _pid_in(descriptor)
            _unlock(descriptor)
            return None
        finally:
            os.close(descriptor)

    def _open(self, flags: int) -> int:
        try:
            return os.open(self._path, flags | getattr(os, "O_BINARY", 0), 0o600)
        except OSError as error:
            raise UserError(
                f"The lock {self._path} cannot be opened ({error.strerror}): make its folder writable, "
                "or name another one with --state."
            ) from error

    def __enter__(self) -> InstanceLock:
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def _pid_in(descriptor: int) -> int:
    os.lseek(descriptor, 0, os.SEEK_SET)
    text = os.read(descriptor, 32).decode("ascii", errors="replace").strip()
    return int(text) if text.isdecimal() else 0
