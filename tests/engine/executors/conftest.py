from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from real_processes import Bench

from engine.process import tree


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    epoch = f"test-{tmp_path.name}-{time.monotonic_ns()}"
    yield Bench(tmp_path, epoch)
    tree.kill_marked(epoch)


@pytest.fixture
def stranger() -> Iterator[psutil.Process]:
    """A process that is none of ours."""
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE)
    yield psutil.Process(process.pid)
    process.kill()
    process.wait()
    assert process.stdin is not None
    process.stdin.close()
