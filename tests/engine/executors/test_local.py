"""The executor with real processes: how they end, what is captured, and that nothing of them is left."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import psutil
import pytest
from real_processes import Bench, dead, until

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and sessions")


async def test_a_command_that_ends_gives_its_exit_code_and_its_output(bench: Bench) -> None:
    spec = bench.spec("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)")
    result = await bench.executor.run(spec)
    assert (result.end, result.exit_code, result.run_id, result.note) == ("exited", 3, spec.run_id, "")
    assert sorted(result.log.read_bytes().split()) == [b"err", b"out"]
    assert result.duration_s > 0


async def test_the_environment_is_exactly_the_given_one_and_the_marker(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SHELL", "canary")
    spec = bench.command(("env",), env={"PATH": "/usr/bin:/bin", "GIVEN": "ä=1"})
    lines = (await bench.executor.run(spec)).log.read_text(encoding="utf-8").splitlines()
    assert sorted(lines) == ["GIVEN=ä=1", "PATH=/usr/bin:/bin", f"SWARM_RUN={bench.epoch}/{spec.run_id}"]


async def test_values_of_the_environment_are_not_written_to_the_folder(bench: Bench) -> None:
    spec = bench.spec("pass", env={"PATH": "/usr/bin:/bin", "TOKEN": "s3cret-value"})
    await bench.executor.run(spec)
    assert json.loads((spec.folder / "spec.json").read_text(encoding="utf-8"))["env"] == ["PATH", "TOKEN"]
    assert all(b"s3cret-value" not in file.read_bytes() for file in spec.folder.iterdir())


async def test_the_command_reads_nothing_from_stdin_and_has_no_terminal(bench: Bench) -> None:
    spec = bench.spec(
        """
        import os, sys
        print(repr(sys.stdin.read()))
        try:
            os.open("/dev/tty", os.O_RDWR)
            print("terminal")
        except OSError:
            print("no terminal")
        """
    )
    assert (await bench.executor.run(spec)).log.read_text(encoding="utf-8").split("\n")[:2] == ["''", "no terminal"]


async def test_a_missing_program_is_not_started_and_says_so_in_one_sentence(bench: Bench) -> None:
    result = await bench.executor.run(bench.command(("no-such-program", "x")))
    assert (result.end, result.exit_code) == ("not_started", None)
    assert result.note == "the program 'no-such-program' was not found: install it or correct the command"


async def test_a_missing_folder_is_not_started(bench: Bench) -> None:
    result = await bench.executor.run(bench.spec("pass", cwd=bench.folder / "gone"))
    assert result.end == "not_started"
    assert "cannot be entered" in result.note


@posix_only
async def test_a_program_of_that_name_in_the_work_tree_is_not_run(bench: Bench) -> None:
    planted = bench.folder / "tool"
    planted.write_text("#!/bin/sh\necho planted\n", encoding="utf-8")
    planted.chmod(0o755)
    shadowed = await bench.executor.run(bench.command(("tool",), env={"PATH": f":.:{'/usr/bin'}"}))
    assert shadowed.end == "not_started"
    asked_for = await bench.executor.run(bench.command(("./tool",)))
    assert asked_for.log.read_bytes() == b"planted\n"


@posix_only
async def test_death_by_a_signal_counts_as_shells_count_it(bench: Bench) -> None:
    result = await bench.executor.run(bench.spec("import os; os.kill(os.getpid(), 11)"))
    assert (result.end, result.exit_code) == ("exited", 139)


@posix_only
async def test_a_closed_pipe_ends_a_writer_as_in_a_shell(bench: Bench) -> None:
    spec = bench.command(("sh", "-c", "yes | head -n 1; echo done"))
    assert (await bench.executor.run(spec)).log.read_bytes() == b"y\ndone\n"


async def test_output_that_is_not_utf8_is_kept_byte_by_byte(bench: Bench) -> None:
    raw = bytes(range(256))
    spec = bench.spec("import sys; sys.stdout.buffer.write(bytes(range(256)))")
    assert (await bench.executor.run(spec)).log.read_bytes() == raw


async def test_output_beyond_the_cap_is_cut_with_a_mark_and_counted(bench: Bench) -> None:
    spec = bench.spec("import sys; sys.stdout.write('x' * 300_000); sys.stdout.flush(); print('END')", log_cap=1000)
    result = await bench.executor.run(spec)
    log = result.log.read_bytes()
    assert log == b"x" * 1000 + b"\n[output cut here: the limit of 1000 bytes is reached]\n"
    assert (result.end, result.exit_code, result.note) == ("exited", 0, "299004 bytes of output were dropped")


async def test_the_wall_deadline_ends_a_command_that_goes_on(bench: Bench) -> None:
    spec = bench.spec("import time\nwhile True: print('x', flush=True); time.sleep(0.01)", wall_s=0.3)
    result = await bench.executor.run(spec)
    assert (result.end, result.exit_code) == ("wall_timeout", None)


async def test_the_idle_deadline_ends_a_command_that_says_nothing(bench: Bench) -> None:
    spec = bench.spec("import time; print('x', flush=True); time.sleep(600)", idle_s=0.3)
    assert (await bench.executor.run(spec)).end == "idle_timeout"


async def test_output_keeps_the_idle_deadline_away(bench: Bench) -> None:
    spec = bench.spec(
        "import time\nfor _ in range(20): print('x', flush=True); time.sleep(0.05)", idle_s=0.9, wall_s=30.0
    )
    assert (await bench.executor.run(spec)).end == "exited"


@posix_only
async def test_a_command_that_ignores_polite_signals_is_ended_all_the_same(bench: Bench) -> None:
    spec = bench.spec(
        "import signal, time\nfor s in (1, 2, 15): signal.signal(s, signal.SIG_IGN)\ntime.sleep(600)", wall_s=0.3
    )
    assert (await bench.executor.run(spec)).end == "wall_timeout"


@posix_only
async def test_a_double_forked_daemon_does_not_outlive_its_command(bench: Bench) -> None:
    spec, find = bench.daemon()
    result = await bench.executor.run(spec)
    assert (result.end, result.exit_code) == ("exited", 0)
    with pytest.raises(psutil.NoSuchProcess):
        find()


@posix_only
async def test_cancelling_kills_the_whole_tree_before_it_returns(bench: Bench) -> None:
    spec, find = bench.daemon(then="time.sleep(600)")
    running = asyncio.create_task(bench.executor.run(spec))
    daemon = await asyncio.to_thread(find)
    shim = bench.shim(spec)
    command = shim.children()[0]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert dead(daemon)
    assert dead(command)
    assert dead(shim)
    assert (await bench.executor.run(spec)).end == "cancelled"


@posix_only
async def test_cancelling_again_and_again_does_not_leave_the_kill_half_done(bench: Bench) -> None:
    spec, find = bench.daemon(then="time.sleep(600)")
    running = asyncio.create_task(bench.executor.run(spec))
    daemon = await asyncio.to_thread(find)
    while not running.done():
        running.cancel()
        await asyncio.sleep(0)
    assert running.cancelled()
    assert dead(daemon)


async def test_cancelling_at_any_moment_of_the_start_leaves_nothing(bench: Bench) -> None:
    for steps in range(12):
        running = asyncio.create_task(bench.executor.run(bench.spec("import time; time.sleep(600)")))
        for _ in range(steps):
            await asyncio.sleep(0)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert await bench.executor.sweep("no-such-prefix") == 0
    await bench.executor.close()
    until(lambda: not _ours(bench), "every process of this epoch is gone")


@posix_only
async def test_a_shim_that_is_killed_means_lost_and_its_command_is_found_by_the_marker(bench: Bench) -> None:
    spec = bench.spec("import time; print('up', flush=True); time.sleep(600)")
    running = asyncio.create_task(bench.executor.run(spec))
    shim = await asyncio.to_thread(bench.shim, spec)
    await asyncio.to_thread(until, lambda: (spec.folder / "log").read_bytes() == b"up\n", "the command runs")
    command = shim.children()[0]
    shim.kill()
    result = await running
    assert (result.end, result.exit_code) == ("lost", None)
    assert dead(command)
    assert (await bench.executor.run(spec)).end == "lost"


async def test_a_folder_with_a_result_is_not_run_again(bench: Bench) -> None:
    spec = bench.spec(f"open({str(bench.folder / 'ran')!r}, 'a').write('x')")
    first = await bench.executor.run(spec)
    assert await bench.executor.run(spec) == first
    assert (bench.folder / "ran").read_text(encoding="utf-8") == "x"


async def test_two_runs_of_one_folder_start_one_command(bench: Bench) -> None:
    spec = bench.spec(f"open({str(bench.folder / 'ran')!r}, 'a').write('x'); import time; time.sleep(0.3)")
    results = await asyncio.gather(*(bench.executor.run(spec) for _ in range(3)))
    assert [result.end for result in results] == ["exited"] * 3
    assert (bench.folder / "ran").read_text(encoding="utf-8") == "x"


async def test_many_run_at_once(bench: Bench) -> None:
    specs = [bench.spec(f"print({number})") for number in range(20)]
    results = await asyncio.gather(*map(bench.executor.run, specs))
    assert [int(result.log.read_bytes()) for result in results] == list(range(20))


@posix_only
async def test_speculative_work_is_nice(bench: Bench) -> None:
    spec = bench.spec("import os; print(os.nice(0))", nice=10)
    base = psutil.Process().nice()
    assert int((await bench.executor.run(spec)).log.read_bytes()) == min(19, int(base) + 10)


@posix_only
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
async def test_a_log_that_cannot_be_written_does_not_hang_the_command(bench: Bench) -> None:
    spec = bench.spec("print('x' * 500_000)")
    spec.folder.mkdir(parents=True)
    (spec.folder / "log").symlink_to("/dev/full")
    result = await bench.executor.run(spec)
    assert (result.end, result.exit_code) == ("exited", 0)
    assert "the log could not be written" in result.note


def _ours(bench: Bench) -> list[psutil.Process]:
    from engine.process import tree

    return tree.find_marked(bench.epoch)
