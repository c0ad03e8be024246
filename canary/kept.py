"""Artifacts of earlier runs, found again by what they were built from: so last good is not built a second time."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from canary.places import real_place
from engine.artifacts import ArtifactStore
from engine.durable import write_durably
from engine.errors import SwarmError
from engine.models.flow import Flow


class KeptArtifacts:
    """`folder` has one small file an artifact, which names its digest in `store`. Calls block."""

    def __init__(self, folder: Path, store: ArtifactStore) -> None:
        self._folder = folder
        self._store = store

    def keep(self, flow: Flow, tree: str, digest: str) -> None:
        """Remember the flow's artifact of this tree. A full disk forgets it, and fails nothing."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_durably(self._note(flow, tree), json.dumps({"digest": digest}).encode())
        except OSError:
            pass

    def lay(self, flow: Flow, tree: str, root: Path, into: Path) -> bool:
        """Put the artifact at `into`, below `root`; False when there is none, or not a sound one.

        It is none either when the flow builds another way by now. Raises OSError when it cannot be written.
        """
        try:
            digest = json.loads(self._note(flow, tree).read_bytes())["digest"]
            content = self._store.get(digest)
        except (OSError, ValueError, KeyError, TypeError, SwarmError):
            return False
        if (folder := real_place(into.parent, root)) is None:
            return False  # a link in the tree leads out of it
        folder.mkdir(parents=True, exist_ok=True)
        into.unlink(missing_ok=True)
        into.write_bytes(content)
        into.chmod(0o755)
        return True

    def _note(self, flow: Flow, tree: str) -> Path:
        built = json.dumps([tree, flow.name, flow.package, flow.artifact])
        return self._folder / f"{hashlib.sha256(built.encode()).hexdigest()}.json"
