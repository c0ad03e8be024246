"""Green results that need no second run: the same gate on the same tree with the same tools.

An entry is only a pointer into a signed report, so whoever can write these files still cannot make a gate green.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from engine.errors import SwarmError
from engine.models.report import GateResult
from engine.models.settings import Gate
from gates.definitions import gate_digest
from gates.report import Reports
from gates.strict_json import digest

KEYS = "cache_keys"
"""Field of a report's `extra`: gate name -> the key under which its result may be reused."""
_VERSION = 1


class Reuse:
    """Entries lie in `folder`, one small file a key. Losing them costs time, never truth."""

    def __init__(self, folder: Path, reports: Reports) -> None:
        self._folder = folder
        self._reports = reports

    def find(self, key: str, gate: Gate, tree: str) -> GateResult | None:
        """The green result that was signed under this key, or None."""
        try:
            entry = json.loads(self._path(key).read_text(encoding="utf-8"))
            report = self._reports.load(str(entry["report"]))
        except (OSError, ValueError, KeyError, TypeError, SwarmError):
            return None
        keys = report.extra.get(KEYS)
        if report.tree != tree or not isinstance(keys, dict) or keys.get(gate.name) != key:
            return None
        result = next((result for result in report.gates if result.name == gate.name), None)
        fits = result is not None and result.result == "green" and result.definition == gate_digest(gate)
        return result if fits else None

    def remember(self, keys: Mapping[str, str], results: Sequence[GateResult], report: str) -> None:
        """Note the fresh green results of a signed report. A disk that cannot take the note is no reason to fail."""
        for result in results:
            if result.result == "green" and not result.cached and result.name in keys:
                path = self._path(keys[result.name])
                try:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
                    fresh.write_text(json.dumps({"report": report}), encoding="ascii")  # lost in a crash: runs again
                    fresh.replace(path)
                except OSError:
                    continue

    def _path(self, key: str) -> Path:
        text = key.removeprefix("sha256:")
        return self._folder / text[:2] / text[2:]


def reuse_key(
    tree: str,
    gate: Gate,
    *,
    argv: Sequence[str],
    env: Mapping[str, str],
    tools: Sequence[str],
    adapter: str,
    needs: Sequence[str],
) -> str:
    """The digest of what a result depends on. tools: whatever else identifies the machine's part in it."""
    return digest(
        {
            "version": _VERSION,
            "tree": tree,
            "definition": gate_digest(gate),
            "argv": list(argv),
            "env": dict(env),
            "tools": list(tools),
            "adapter": adapter,
            "needs": sorted(needs),
        }
    )
