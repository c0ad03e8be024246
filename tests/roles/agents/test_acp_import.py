"""The protocol's SDK takes half a second to load: in a thread, and whole before anybody goes on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PACKAGE = """
import builtins
from acp import connection

builtins.half.set()
builtins.go_on.wait()
"""
PROGRAM = """
import builtins, sys, threading
sys.path.insert(0, sys.argv[1])
builtins.half, builtins.go_on = threading.Event(), threading.Event()
from roles.agents.acp.session import _connection_class

found = []
threads = [threading.Thread(target=lambda: found.append(_connection_class())) for _ in range(2)]
threads[0].start()
builtins.half.wait()
threads[1].start()
threads[1].join(0.5)
early = len(found)
builtins.go_on.set()
for thread in threads:
    thread.join()
print(early, len(found))
"""


def test_a_second_session_waits_for_the_whole_library_in_its_thread(tmp_path: Path) -> None:
    """Its part `connection` is there early. Whoever went on with that alone would import the rest in the engine's loop,
    which then stands still until the first one's thread has loaded it."""
    package = tmp_path / "acp"
    package.mkdir()
    (package / "__init__.py").write_text(PACKAGE, encoding="utf-8")
    (package / "connection.py").write_text("class Connection: ...\n", encoding="utf-8")
    argv = [sys.executable, "-c", PROGRAM, str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.split() == ["0", "2"]
