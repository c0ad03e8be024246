from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import EngineBusyError, UserError
from engine.lock import InstanceLock

ROOT = Path(__file__).parents[2]
HOLDER = """
import sys
from pathlib import Path
from engine.lock import InstanceLock
InstanceLock(Path(sys.argv[1])).acquire()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "engine.lock"


@pytest.fixture
def other(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that holds the lock until it is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert process.stdin is not None
    assert process.stdout.readline().strip() == b"held"
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_a_second_engine_is_told_who_runs_and_what_to_do(path: Path, other: subprocess.Popen[bytes]) -> None:
    with pytest.raises(EngineBusyError, match=rf"pid {other.pid}.*swarm status.*swarm stop") as caught:
        InstanceLock(path).acquire()
    assert caught.value.exit_code == 3


def test_the_lock_dies_with_its_process(path: Path, other: subprocess.Popen[bytes]) -> None:
    assert InstanceLock(path).holder() == other.pid
    other.kill()
    other.wait()
    assert InstanceLock(path).holder() is None
    with InstanceLock(path) as lock:
        assert lock.holder() == os.getpid()


def test_looking_does_not_take_the_lock(path: Path) -> None:
    looking, lock = InstanceLock(path), InstanceLock(path)
    assert looking.holder() is None
    assert not path.exists()
    lock.acquire()
    assert looking.holder() == os.getpid()
    lock.release()
    assert looking.holder() is None
    lock.acquire()
    lock.release()
    lock.release()


def test_two_locks_in_one_process_exclude_each_other(path: Path) -> None:
    with InstanceLock(path):
        with pytest.raises(EngineBusyError):
            InstanceLock(path).acquire()
    with InstanceLock(path) as lock, pytest.raises(RuntimeError):
        lock.acquire()


def test_a_shorter_pid_leaves_nothing_of_a_longer_one(path: Path) -> None:
    path.write_text("99999999999\n", encoding="ascii")
    with InstanceLock(path):
        assert path.read_text(encoding="ascii") == f"{os.getpid()}\n"


def test_a_lock_that_cannot_be_made_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--state"):
        InstanceLock(tmp_path / "missing" / "engine.lock").acquire()
