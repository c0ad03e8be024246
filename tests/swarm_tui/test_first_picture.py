"""The room's first picture waits for nothing that it does not need."""

from __future__ import annotations

import json
import subprocess
import sys

LATER = ("pydantic", "pydantic_core", "sqlite3", "engine.state", "engine.models.settings", "engine.client", "psutil")
PROGRAM = "import json, sys, swarm_tui.opening, swarm_tui.screens.main; print(json.dumps(sorted(sys.modules)))"


def test_what_reads_journals_is_loaded_behind_it() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, encoding="utf-8", check=True)
    loaded = set(json.loads(done.stdout))
    assert "textual.app" in loaded
    assert [name for name in LATER if name in loaded] == []
