"""What tries to outlive its run: daemons without a marker, processes that ignore signals, that come back when they are
killed, that flee into other sessions. With and without a sandbox, and beside a plain kill of the group, which misses
them."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from real_processes import Bench, until

from engine.executors.local import LocalExecutor
from engine.ports import ProcessSpec, Quota, Sandbox, SandboxPolicy
from engine.sandbox.bubblewrap import BubblewrapSandbox
from engine.sandbox.none import NoSandbox

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs a subreaper")

PYTHON = str(Path(sys.executable).resolve())
ROOTS = (Path(sys.base_prefix), Path(PYTHON).parent.parent)
HEAD = """
import os, signal, sys, time
TOKEN = sys.argv[1]
def fork(): return os.fork()
def shut():
    for fd in range(3):
        try: os.close(fd)
        except OSError: pass
def become(*argv): os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", *argv, TOKEN], {})
SLEEP = "import time; time.sleep(600)"
"""
FLEEING = {
    "a daemon without marker, parent, session or descriptors": """
if not fork():
    os.setsid()
    if not fork():
        shut(); become(SLEEP)
    os._exit(0)
os.wait()
""",
    "one that ignores what may be ignored": """
if not fork():
    os.setsid()
    become("import signal, time\\nfor n in set(signal.valid_signals()) - {9, 19, 32, 33}: signal.signal(n, "
           "signal.SIG_IGN)\\ntime.sleep(600)")
""",
    "one that starts its children again when they die": """
if not fork():
    os.setsid()
    become("import os, time\\nwhile True:\\n"
           "    while not (pid := os.fork()):\\n        os.setsid(); time.sleep(600)\\n    os.waitpid(pid, 0)")
""",
    "one that is somebody else each moment": """
if not fork():
    become("import os, time\\nos.write(1, b'hopping')\\nend = time.monotonic() + 60\\nwhile time.monotonic() < end:\\n"
           "    os.setsid() if os.getpgrp() != os.getpid() else None\\n    if os.fork(): os._exit(0)")
""",
    "one that leaves something in thirty sessions": """
if not fork():
    become("import os, time\\nfor _ in range(30):\\n    if os.fork(): break\\n    os.setsid()\\ntime.sleep(600)")
""",
    "one whose first thread has ended, so that it looks like a zombie": """
if not fork():
    os.setsid()
    become("import ctypes, os, threading, time\\nnumber = {'x86_64': 60, 'aarch64': 93}[os.uname().machine]\\n"
           "threading.Thread(target=time.sleep, args=(600,)).start()\\nctypes.CDLL(None).syscall(number, 0)")
""",
}
"""What each of them does, as the program of a process."""


@pytest.fixture
def token() -> Iterator[str]:
    found = f"fleeing-{secrets.token_hex(8)}"
    yield found
    for _ in range(200):
        if not (left := lives(found)):
            return
        for process in left:
            process.kill()
    raise AssertionError("the test could not tidy up")


def lives(token: str) -> list[psutil.Process]:
    """Every process with this word in its argv, wherever it hangs. Zombies have no argv."""
    found: list[psutil.Process] = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and token.encode() in _argv(folder).split(b"\0"):
                found.append(psutil.Process(int(folder.name)))
        except (OSError, psutil.Error):
            continue
    return found


def _argv(folder: Path) -> bytes:
    """Of a process whose first thread has ended, by way of another."""
    return (folder / "cmdline").read_bytes() or b"".join(
        (task / "cmdline").read_bytes() for task in (folder / "task").iterdir()
    )


def sandboxes(folder: Path) -> dict[str, Sandbox]:
    found: dict[str, Sandbox] = {"free": NoSandbox()}
    if bwrap := shutil.which("bwrap"):
        caged = BubblewrapSandbox(Path(bwrap), {}, home=folder / "home")
        if not subprocess.run(caged.wrap(("true",), folder, {"PATH": "/usr/bin:/bin"}, SandboxPolicy())).returncode:
            found["caged"] = caged
    return found


@pytest.fixture(params=["free", "caged"])
def start(bench: Bench, request: pytest.FixtureRequest) -> Callable[..., tuple[LocalExecutor, ProcessSpec]]:
    """Makes a run of a program, with its token as argument, in or out of a sandbox."""
    sandbox = sandboxes(bench.folder).get(request.param)
    if sandbox is None:
        pytest.skip("bubblewrap does not work here")
    executor = LocalExecutor(sandbox, bench.epoch)

    def make(code: str, token: str, **changes: Any) -> tuple[LocalExecutor, ProcessSpec]:
        argv = (PYTHON, "-I", "-S", "-c", code, token)
        policy = SandboxPolicy(writable=(bench.folder,), readable=ROOTS)
        return executor, bench.command(argv, policy=policy, **changes)

    return make


@pytest.mark.parametrize("how", FLEEING)
async def test_nothing_outlives_a_command_that_ends(start: Any, token: str, how: str) -> None:
    executor, spec = start(HEAD + FLEEING[how] + "time.sleep(0.3)", token)
    result = await executor.run(spec)
    assert (result.end, result.exit_code, result.note) == ("exited", 0, "")
    assert lives(token) == []


@pytest.mark.parametrize("how", FLEEING)
async def test_nothing_outlives_a_cancellation(start: Any, token: str, how: str) -> None:
    executor, spec = start(HEAD + FLEEING[how] + "time.sleep(600)", token)
    running = asyncio.create_task(executor.run(spec))
    log = spec.folder / "log"

    def on_the_run() -> bool:  # one that is somebody else each moment is mostly missed by a look at all processes
        return len(lives(token)) > 1 or (log.exists() and b"hopping" in log.read_bytes())

    await asyncio.to_thread(until, on_the_run, "it is on the run")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert lives(token) == []


@pytest.mark.parametrize("how", FLEEING)
async def test_nothing_outlives_a_quota(start: Any, token: str, how: str) -> None:
    greedy = "\nif not fork(): become('import time; x = bytearray(200_000_000); time.sleep(600)')\ntime.sleep(600)"
    executor, spec = start(HEAD + FLEEING[how] + greedy, token, quota=Quota(memory=150_000_000))
    result = await executor.run(spec)
    assert (result.end, result.quota) == ("quota", "memory")
    assert lives(token) == []


def test_a_kill_of_its_group_leaves_such_a_daemon(token: str) -> None:
    """The control: what these tests look for would be there."""
    how = "a daemon without marker, parent, session or descriptors"
    argv = [PYTHON, "-I", "-S", "-c", HEAD + FLEEING[how] + "time.sleep(600)", token]
    command = subprocess.Popen(argv, start_new_session=True)
    until(lambda: any(each.cmdline()[4].startswith("import") for each in lives(token)), "the daemon is there")
    assert sys.platform != "win32"
    os.killpg(command.pid, signal.SIGKILL)
    command.wait()
    assert len(lives(token)) == 1


async def test_a_daemon_counts_for_the_quota_of_its_run(start: Any, token: str) -> None:
    """However far it went: its memory is that of the run, also when it is no child of anybody's any more."""
    code = """
if not fork():
    os.setsid()
    if not fork():
        shut(); become("import time; x = bytearray(200_000_000); time.sleep(600)")
    os._exit(0)
os.wait()
time.sleep(THEN)
"""
    executor, spec = start(HEAD + code.replace("THEN", "600"), token, quota=Quota(memory=150_000_000))
    assert (await executor.run(spec)).quota == "memory"
    executor, spec = start(HEAD + code.replace("THEN", "1"), token, quota=Quota(memory=900_000_000))
    assert (await executor.run(spec)).end == "exited"


async def test_memory_behind_a_first_thread_that_has_ended_counts(start: Any, token: str) -> None:
    code = """
import ctypes, threading
def hold():
    x = bytearray(200_000_000)
    time.sleep(THEN)
    os._exit(0)
threading.Thread(target=hold).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[os.uname().machine], 0)
"""
    executor, spec = start(HEAD + code.replace("THEN", "600"), token, quota=Quota(memory=150_000_000))
    assert (await executor.run(spec)).quota == "memory"
    executor, spec = start(HEAD + code.replace("THEN", "0.5"), token, quota=Quota(memory=900_000_000))
    assert (await executor.run(spec)).exit_code == 0


@pytest.mark.slow
async def test_a_bomb_of_two_thousand_ends_and_the_machine_with_it_goes_on(start: Any, token: str) -> None:
    code = HEAD + "for _ in range(11):\n    try: os.fork()\n    except OSError: break\ntime.sleep(600)"
    executor, spec = start(code, token, quota=Quota(processes=2_000), wall_s=60.0)
    result = await executor.run(spec)
    assert (result.end, result.quota) == ("quota", "processes")
    assert lives(token) == []
