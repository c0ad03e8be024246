"""The build cache of a canary's checkout, and whose builds it may serve.

What a build writes there, later builds of other commits believe. So a commit that was not green leaves nothing to
others: else it could make last good red as well, and blame the machine, or an innocent that comes after it.
"""

from __future__ import annotations

import json
from pathlib import Path

from engine.durable import write_durably
from engine.errors import InfrastructureFault
from engine.git.removal import remove_tree


class Warmth:
    """One checkout's cache. The note of who wrote it lies beside it, out of reach of any build. Calls block."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache
        self._note = cache.with_name("cache-of.json")

    def begin(self, tree: str) -> None:
        """Before a run of this tree: what another one left that was not green, or did not end, is removed. Raises
        InfrastructureFault when that is impossible."""
        whose, green = self._read()
        if not green and whose != tree and not remove_tree(self._cache):
            raise InfrastructureFault(f"the build cache {self._cache} of a commit that failed cannot be removed")
        self._write(tree, green=False)

    def green(self, tree: str) -> None:
        """That run was green: others may build on what it left."""
        self._write(tree, green=True)

    def _read(self) -> tuple[str, bool]:
        try:
            saved = json.loads(self._note.read_text(encoding="utf-8"))
            return str(saved["tree"]), saved["green"] is True
        except FileNotFoundError:
            return "", True  # nobody has built here
        except (OSError, ValueError, KeyError, TypeError):
            return "", False

    def _write(self, tree: str, *, green: bool) -> None:
        try:
            self._note.parent.mkdir(parents=True, exist_ok=True)
            write_durably(self._note, json.dumps({"tree": tree, "green": green}).encode())
        except OSError as error:
            raise InfrastructureFault(f"{self._note} cannot be written: {error.strerror}") from error
