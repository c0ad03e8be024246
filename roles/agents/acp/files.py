"""Text files of the workspace, read and written by the engine for an agent that asks it to.

The engine may do more than the agent's sandbox, so it must not be led anywhere: the real path has to be in the
workspace, and is then walked folder by folder without following a link, which somebody could put there meanwhile.
Where the system cannot do that (Windows), nothing is served, and the agent is told so at the handshake.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from engine.scope import in_scope

SERVED = sys.platform != "win32" and os.open in os.supports_dir_fd
READ_MAX = 10_000_000
"""Bytes of a file that is read."""


class FileRefused(Exception):
    """Why a file is not read or written, for the agent to read."""


class WorkspaceFiles:
    """allow, deny: globs of the work order's scope, for writing. hidden: files that look empty to agents."""

    def __init__(self, workspace: Path, allow: Sequence[str], deny: Sequence[str], hidden: Sequence[Path]) -> None:
        self._root = Path(os.path.realpath(workspace))
        self._allow, self._deny = allow, deny
        self._hidden = {Path(os.path.realpath(each)) for each in hidden}
        # A folder with a hidden file in it can be renamed by the agent: the file is the same one.
        self._hidden_files = {_identity(os.stat(each)) for each in hidden if os.path.isfile(each)}  # noqa: PTH113, PTH116

    def read(self, path: str, line: int | None = None, limit: int | None = None) -> str:
        """The text, or `limit` lines from `line` on (the first is 1). Raises FileRefused."""
        with self._opened(self._below(path), os.O_RDONLY) as file:
            if os.fstat(file).st_size > READ_MAX:
                raise FileRefused(f"it has more than {READ_MAX} bytes")
            with os.fdopen(os.dup(file), "rb") as source:
                text = source.read(READ_MAX).decode("utf-8", "replace")
        if line is None and limit is None:
            return text
        lines = text.splitlines(keepends=True)
        first = max((line or 1) - 1, 0)
        return "".join(lines[first : None if limit is None else first + max(limit, 0)])

    def write(self, path: str, content: str) -> None:
        """Replace the file's content, or make it and its folders. Raises FileRefused."""
        real = self._below(path)
        name = real.relative_to(self._root).as_posix()
        if any(part.casefold() == ".git" for part in real.relative_to(self._root).parts):
            raise FileRefused("it is git's own")
        if not in_scope(name, self._allow, self._deny):
            raise FileRefused("it is outside of the work order's scope")
        with self._opened(real, os.O_WRONLY | os.O_CREAT) as file:
            os.ftruncate(file, 0)
            with os.fdopen(os.dup(file), "wb") as sink:
                sink.write(content.encode("utf-8", "replace"))

    def _below(self, path: str) -> Path:
        """The real path. Raises FileRefused when it is not in the workspace."""
        if not path or "\0" in path:
            raise FileRefused("it is no path")
        try:
            real = Path(os.path.realpath(self._root / path))
        except (OSError, ValueError) as error:
            raise FileRefused("its real path cannot be told") from error
        if real == self._root or not real.is_relative_to(self._root):
            raise FileRefused("it is outside of the workspace")
        if real in self._hidden:
            raise FileRefused("it is hidden from agents")
        return real

    @contextmanager
    def _opened(self, real: Path, flags: int) -> Generator[int]:
        """The file's descriptor, reached without following a link. Raises FileRefused."""
        if sys.platform == "win32":
            raise FileRefused("files are not served on this system: use your own tools")
        *folders, name = real.relative_to(self._root).parts
        held: list[int] = []
        try:
            held.append(os.open(self._root, os.O_RDONLY | os.O_DIRECTORY))
            for folder in folders:
                if flags & os.O_CREAT:
                    _make(folder, held[-1])
                held.append(os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=held[-1]))
            held.append(os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644, dir_fd=held[-1]))
            if not stat.S_ISREG(os.fstat(held[-1]).st_mode):
                raise FileRefused("it is no plain file")
            if _identity(os.fstat(held[-1])) in self._hidden_files:
                raise FileRefused("it is hidden from agents")
            yield held[-1]
        except OSError as error:
            raise FileRefused(error.strerror or "it cannot be opened") from error
        finally:
            for descriptor in reversed(held):
                os.close(descriptor)


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _make(folder: str, at: int) -> None:
    try:
        os.mkdir(folder, 0o755, dir_fd=at)
    except FileExistsError:
        pass
