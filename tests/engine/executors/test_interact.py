"""Programs that are talked to: the same supervisor, with the engine at both ends of their stdin and stdout."""

from __future__ import annotations

import asyncio
import sys
import textwrap
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from engine.executors import channel as channel_module
from engine.executors.channel import ROOM
from engine.executors.local import LocalExecutor
from engine.models.settings import SandboxSettings
from engine.ports import Channel, ProcessResult, ProcessSpec, Quota, SandboxPolicy
from engine.process import tree
from engine.sandbox.choose import choose_sandbox
from engine.sandbox.none import NoSandbox

ECHO = """
    import sys
    for line in sys.stdin:
        print("heard", line.strip(), flush=True)
        print("noted", line.strip(), file=sys.stderr, flush=True)
    print("bye", flush=True)
"""
Interact = Callable[..., Awaitable[ProcessResult]]


async def all_of(channel: Channel) -> bytes:
    found = b""
    while data := await channel.read():
        found += data
    return found


async def until(channel: Channel, word: bytes) -> bytes:
    found = b""
    while word not in found:
        data = await channel.read()
        assert data, found
        found += data
    return found


@pytest.fixture(params=["none", pytest.param("sandbox", marks=pytest.mark.slow)])
def interact(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Interact:
    monkeypatch.setattr(channel_module, "LEAVE_S", 60.0)
    work = tmp_path / "work"
    work.mkdir()
    sandbox = choose_sandbox(SandboxSettings(), tmp_path) if request.param == "sandbox" else NoSandbox()
    if request.param == "sandbox" and sandbox.name == "none":
        pytest.skip("there is no sandbox on this machine")
    executor = LocalExecutor(sandbox, "talks")
    count = iter(range(100))

    async def interact(code: str, talk: Callable[[Channel], Awaitable[None]], wall_s: float = 60, **more: object):
        name = f"r{next(count)}"
        readable = tuple(Path(each) for each in {sys.base_prefix, sys.base_exec_prefix} if each != "/usr")
        spec = ProcessSpec(
            run_id=name,
            argv=(str(Path(sys.executable).resolve()), "-I", "-S", "-c", textwrap.dedent(code)),
            cwd=work,
            env={"LANG": "C.UTF-8"},
            folder=tmp_path / name,
            wall_s=wall_s,
            policy=SandboxPolicy(writable=(work,), readable=readable),
            **more,  # type: ignore[arg-type]
        )
        return await executor.interact(spec, talk)

    return interact


async def test_what_is_written_is_read_and_what_it_says_is_heard(interact: Interact) -> None:
    said = b""

    async def talk(channel: Channel) -> None:
        nonlocal said
        await channel.write(b"one\n")
        said = await until(channel, b"one\n")
        await channel.write(b"two\n")
        said += await until(channel, b"two\n")

    result = await interact(ECHO, talk)
    assert (result.end, result.exit_code) == ("exited", 0)
    assert said == b"heard one\nheard two\n"
    assert result.log.read_bytes() == b"noted one\nnoted two\n"


async def test_one_that_ends_first_is_read_to_its_end(interact: Interact) -> None:
    said = b""

    async def talk(channel: Channel) -> None:
        nonlocal said
        said = await all_of(channel)

    result = await interact("print('x' * 3_000_000); raise SystemExit(3)", talk)
    assert (result.end, result.exit_code, len(said)) == ("exited", 3, 3_000_001)


async def test_megabytes_go_both_ways(interact: Interact) -> None:
    data, said = b"y" * 5_000_000, b""

    async def talk(channel: Channel) -> None:
        nonlocal said
        writing = asyncio.ensure_future(channel.write(data + b"\n"))
        said = await until(channel, b"\n")
        await writing

    code = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.readline()); sys.stdout.flush()"
    result = await interact(code, talk)
    assert (result.end, said) == ("exited", data + b"\n")


async def test_one_that_does_not_go_is_killed_with_its_children(
    interact: Interact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_module, "LEAVE_S", 0.3)
    code = """
        import signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"], start_new_session=True)
        print("ready", flush=True)
        time.sleep(600)
    """

    async def talk(channel: Channel) -> None:
        await until(channel, b"ready")

    result = await interact(code, talk)
    assert result.end == "cancelled"
    assert tree.kill_marked("talks/r") == 0


async def test_one_that_floods_waits_for_its_reader(interact: Interact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "LEAVE_S", 0.3)
    read = 0

    async def talk(channel: Channel) -> None:
        nonlocal read
        for _ in range(20):
            chunk = await channel.read()
            assert len(chunk) <= ROOM + 65_536
            read += len(chunk)

    result = await interact("while True: print('z' * 1000)", talk)
    assert result.end == "cancelled"
    assert read > 0


async def test_what_it_says_counts_for_its_quota(interact: Interact) -> None:
    async def talk(channel: Channel) -> None:
        await all_of(channel)

    flood = await interact("while True: print('z' * 1000)", talk, quota=Quota(log_rate=100_000))
    assert (flood.end, flood.quota) == ("quota", "log_rate")


@pytest.mark.slow
async def test_one_that_says_something_is_not_idle(interact: Interact) -> None:
    said = b""

    async def talk(channel: Channel) -> None:
        nonlocal said
        said = await all_of(channel)

    code = "import time\nfor _ in range(24): print('busy', flush=True); time.sleep(0.25)\ntime.sleep(600)"
    idle = await interact(code, talk, idle_s=5)
    assert (idle.end, said.count(b"busy")) == ("idle_timeout", 24)


async def test_cancelling_ends_both(interact: Interact) -> None:
    ready = asyncio.Event()

    async def talk(channel: Channel) -> None:
        await until(channel, b"ready")
        ready.set()
        await all_of(channel)

    running = asyncio.ensure_future(interact("print('ready', flush=True)\nimport time; time.sleep(600)", talk))
    await ready.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert tree.kill_marked("talks/r") == 0


async def test_a_program_that_is_not_there_is_said_and_the_talk_ends(interact: Interact, tmp_path: Path) -> None:
    async def talk(channel: Channel) -> None:
        await channel.write(b"hello?\n")
        assert await channel.read() == b""

    executor = LocalExecutor(NoSandbox(), "talks")
    spec = ProcessSpec("none", ("no-such-program",), tmp_path, {}, tmp_path / "none", 60)
    result = await executor.interact(spec, talk)
    assert result.end == "not_started"
    assert "not found" in result.note


async def test_what_the_talk_raises_is_raised_when_the_program_is_gone(
    interact: Interact, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel_module, "LEAVE_S", 0.3)

    async def talk(channel: Channel) -> None:
        await until(channel, b"ready")
        raise ValueError("nonsense")

    with pytest.raises(ValueError, match="nonsense"):
        await interact("print('ready', flush=True)\nimport time; time.sleep(600)", talk)
    assert tree.kill_marked("talks/r") == 0


async def test_the_next_program_hears_nothing_that_was_meant_for_the_last(interact: Interact) -> None:
    async def late(channel: Channel) -> None:
        assert await all_of(channel) == b""
        await channel.write(b"late\n")

    async def talk(channel: Channel) -> None:
        nonlocal said
        await channel.write(b"mine\n")
        said = await until(channel, b"mine\n")

    said = b""
    for _ in range(5):
        await interact("pass", late)
        await interact(ECHO, talk)
        assert said == b"heard mine\n"
