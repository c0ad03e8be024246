"""What a child of a launcher that watches from outside cannot do, and what it cannot keep going."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gates.results.launched import LAUNCHERS
from tests.gates.results.launcher_source import source

MEMORY = """
import subprocess, sys
sys.path.insert(0, {launchers!r})
import watcher
if {protect}: watcher.protect()
look = "import os; open(f'/proc/{{os.getppid()}}/mem', 'rb').close()"
sys.exit(subprocess.run([sys.executable, "-I", "-c", look], stderr=subprocess.DEVNULL).returncode)
"""


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("bwrap"), reason="needs Linux and bubblewrap")
@pytest.mark.parametrize(("protect", "status"), [(True, 1), (False, 0)])
def test_the_launchers_memory_is_out_of_reach_of_its_children(protect: bool, status: int) -> None:
    script = MEMORY.format(launchers=str(LAUNCHERS), protect=protect)
    # Without capabilities, as in the sandbox: root could read everything otherwise.
    flags = "--unshare-user --unshare-pid --cap-drop ALL --ro-bind / / --dev /dev --proc /proc"
    sandbox = ["bwrap", *flags.split(" ")]
    done = subprocess.run([*sandbox, sys.executable, "-B", "-I", "-c", script], capture_output=True, check=False)
    if b"bwrap:" in done.stderr:
        pytest.skip("bubblewrap does not work on this machine")
    assert done.returncode == status, done.stderr


def test_of_a_large_output_both_ends_are_kept() -> None:
    watcher = source("watcher")
    kept = watcher.Capped()
    kept.feed(b"first\n")
    for _ in range(100):
        kept.feed(b"x" * 100_000)
    kept.feed(b"\xfflast\n")
    text = kept.text()
    assert text.startswith("first\n")
    assert text.endswith("\\xfflast\n")
    assert "bytes left out" in text
    assert len(text) < 2_000_000


def test_lines_are_put_together_and_the_longest_are_cut() -> None:
    watcher = source("watcher")
    taken: list[bytes] = []
    lines = watcher.Lines(taken.append)
    for chunk in (b"a", b"b\nc\n", b"", b"\n", b"y" * 20_000_000, b"\nend"):
        lines.feed(chunk)
    lines.end()
    assert [line[:4] for line in taken] == [b"ab", b"c", b"", b"yyyy", b"end"]
    assert len(taken[3]) == 1 << 24


@pytest.mark.skipif(sys.platform == "win32", reason="needs a POSIX session")
def test_what_a_child_leaves_running_is_killed_or_not_waited_for(tmp_path: Path) -> None:
    watcher = source("watcher")
    sleep = (
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']{}); print(7)"
    )
    assert watcher.captured([sys.executable, "-c", sleep.format("")], tmp_path, None) == (0, "7\n")
    escaped = sleep.format(", start_new_session=True").replace("600", "5")
    assert watcher.captured([sys.executable, "-c", escaped], tmp_path, None) == (0, "7\n")
