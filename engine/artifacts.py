"""Artifacts: reports, logs and traces, each under the hash of its content, so that none can be changed unnoticed."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from engine.durable import sync_file, sync_folder, write_durably
from engine.errors import InfrastructureFault, SwarmError

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_CHUNK_BYTES = 1 << 20
_MANIFEST = "manifest.json"
_MANIFEST_VERSION = 1
# O_NONBLOCK: a pipe that somebody planted in place of a log must not hang the engine; O_NOFOLLOW: nor lead it away.
_OPEN_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """One artifact of a run: its digest and its size."""

    digest: str
    size_bytes: int


class ArtifactStore:
    """Content-addressed files below `folder`, at `sha256/<2 hex>/<62 hex>`. A digest reads `sha256:<64 hex>`.

    Every `put` is durable when it returns, leaves no half-written artifact behind a crash, and stores equal content
    once. Calls block for a few milliseconds of fsync and may come from any thread. Raises InfrastructureFault when the
    disk fails or is full.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "sha256"

    def path(self, digest: str) -> Path:
        """Where the artifact lies, if it is there. Raises SwarmError when `digest` is not one."""
        if not _DIGEST.fullmatch(digest):
            raise SwarmError(f"{digest[:80]!r} is not an artifact's digest")
        return self._folder / digest[7:9] / digest[9:]

    def has(self, digest: str) -> bool:
        """Whether such an artifact is there; its content is not looked at."""
        return self.path(digest).is_file()

    def put(self, content: bytes) -> str:
        """Store `content`; its digest."""
        return self._store(iter((content,)))

    def put_json(self, data: Any) -> str:
        """Store JSON-ready data as UTF-8 with sorted keys, so that equal data has one digest."""
        text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
        return self.put(text.encode("utf-8", "backslashreplace"))

    def put_file(self, path: Path, cap_bytes: int | None = None) -> str:
        """Store a copy of a file as long as it is now, read in pieces.

        A file above `cap_bytes` keeps its first and last halves of that, with a line between that says how many bytes
        are missing. Raises SwarmError when it is not a regular file.
        """
        try:
            descriptor = os.open(path, _OPEN_FLAGS)
        except OSError as error:
            raise SwarmError(f"{path} cannot be stored as an artifact: {error.strerror}") from error
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode):
            os.close(descriptor)
            raise SwarmError(f"{path} cannot be stored as an artifact: it is not a regular file")
        with os.fdopen(descriptor, "rb") as file:
            return self._store(_pieces(file, state.st_size, cap_bytes))

    def get(self, digest: str) -> bytes:
        """The content. Raises SwarmError when it is missing, or damaged: its hash is computed again every time."""
        try:
            content = self.path(digest).read_bytes()
        except OSError as error:
            raise SwarmError(f"artifact {digest} is missing: {error.strerror}") from error
        if hashlib.sha256(content).hexdigest() != digest[7:]:
            raise SwarmError(f"artifact {digest} is damaged: its content has another hash")
        return content

    def get_json(self, digest: str) -> Any:
        """The data of a JSON artifact. Raises SwarmError like `get`, and when it is not JSON."""
        try:
            return json.loads(self.get(digest))
        except ValueError as error:
            raise SwarmError(f"artifact {digest} is not JSON") from error

    def write_manifest(self, run_folder: Path, entries: Mapping[str, str]) -> None:
        """Write a run's `manifest.json`: name -> digest and size. Raises SwarmError when an artifact is missing."""
        rows: dict[str, dict[str, Any]] = {}
        for name, digest in sorted(entries.items()):
            if not self.has(digest):
                raise SwarmError(f"artifact {digest} is missing")
            rows[name] = {"digest": digest, "size_bytes": self.path(digest).stat().st_size}
        text = json.dumps({"schema_version": _MANIFEST_VERSION, "artifacts": rows}, indent=1, ensure_ascii=False)
        try:
            write_durably(run_folder / _MANIFEST, text.encode("utf-8", "backslashreplace") + b"\n")
        except OSError as error:
            raise InfrastructureFault(f"the manifest of {run_folder} cannot be written: {error.strerror}") from error

    def read_manifest(self, run_folder: Path) -> dict[str, ManifestEntry]:
        """The manifest of a run by name. Raises SwarmError when there is none that can be read."""
        path = run_folder / _MANIFEST
        try:
            rows = cast("dict[str, dict[str, Any]]", json.loads(path.read_text(encoding="utf-8"))["artifacts"])
            return {name: ManifestEntry(str(row["digest"]), int(row["size_bytes"])) for name, row in rows.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise SwarmError(f"{path} is not a readable manifest: {error}") from error

    def _store(self, pieces: Iterator[bytes]) -> str:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(prefix=".new-", dir=self._folder)
            try:
                return self._fill(descriptor, Path(name), pieces)
            finally:
                Path(name).unlink(missing_ok=True)
        except OSError as error:
            raise InfrastructureFault(f"an artifact cannot be stored in {self._folder}: {error.strerror}") from error

    def _fill(self, descriptor: int, fresh: Path, pieces: Iterator[bytes]) -> str:
        hashed, size_bytes = hashlib.sha256(), 0
        with os.fdopen(descriptor, "wb") as file:
            for piece in pieces:
                hashed.update(piece)
                size_bytes += len(piece)
                file.write(piece)
            digest = f"sha256:{hashed.hexdigest()}"
            path = self.path(digest)
            # The size tells an older file that a power loss or a hand cut short; it is then replaced.
            if path.is_file() and path.stat().st_size == size_bytes:
                return digest
            file.flush()
            sync_file(file.fileno())
        new_folder = not path.parent.exists()
        path.parent.mkdir(exist_ok=True)
        fresh.replace(path)
        sync_folder(path.parent)
        if new_folder:
            sync_folder(self._folder)
        return digest


def _pieces(file: BinaryIO, size_bytes: int, cap_bytes: int | None) -> Iterator[bytes]:
    if cap_bytes is None or size_bytes <= cap_bytes:
        yield from _range(file, 0, size_bytes)
        return
    head = cap_bytes // 2
    tail = cap_bytes - head
    yield from _range(file, 0, head)
    yield f"\n[… {size_bytes - cap_bytes} bytes left out …]\n".encode()
    yield from _range(file, size_bytes - tail, tail)


def _range(file: BinaryIO, start: int, length: int) -> Iterator[bytes]:
    file.seek(start)
    while length > 0 and (piece := file.read(min(length, _CHUNK_BYTES))):
        length -= len(piece)
        yield piece
