"""Secrets never reach the log: not while a run goes on, not in pieces, not under another name, not when it is full."""

from __future__ import annotations

import asyncio
import base64

from real_processes import Bench, until

from engine.executors.local import LocalExecutor
from engine.sandbox.none import NoSandbox

KEY = "k3y-of-one-agent+alone"
OTHER = "an0ther-agents-key/x"


async def test_a_log_that_still_grows_holds_no_secret(bench: Bench) -> None:
    spec = bench.spec(
        f"""
        import sys, time
        print("the key is", {KEY!r}, flush=True)
        time.sleep(600)
        """,
        secrets={"KEY": KEY},
    )
    running = asyncio.create_task(bench.executor.run(spec))
    log = spec.folder / "log"
    await asyncio.to_thread(until, lambda: log.exists() and b"\n" in log.read_bytes(), "it has said it")
    assert log.read_bytes() == b"the key is [redacted:KEY]\n"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_value_that_is_written_a_byte_at_a_time_is_found(bench: Bench) -> None:
    code = f"""
        import os, time
        for sign in {("before " + KEY + " after")!r}:
            os.write(1, sign.encode())
            time.sleep(0.001)
    """
    shown = (await bench.executor.run(bench.spec(code))).log.read_bytes()
    assert shown == f"before {KEY} after".encode()  # the control: nobody said that it is a secret
    hidden = (await bench.executor.run(bench.spec(code, secrets={"KEY": KEY}))).log.read_bytes()
    assert hidden == b"before [redacted:KEY] after"


async def test_what_the_executor_knows_is_hidden_in_every_run_also_under_a_name_that_a_run_uses(bench: Bench) -> None:
    executor = LocalExecutor(NoSandbox(), bench.epoch, {"KEY": OTHER})
    encoded = base64.b64encode(OTHER.encode()).decode().rstrip("=")[:-1]
    spec = bench.spec(f"print({KEY!r}, {OTHER!r}, {encoded!r})", secrets={"KEY": KEY})
    text = (await executor.run(spec)).log.read_text(encoding="utf-8")
    assert KEY not in text
    assert OTHER not in text
    assert encoded not in text
    assert text.count("[redacted:KEY]") == 3


async def test_what_looks_like_a_token_goes_though_nobody_named_it(bench: Bench) -> None:
    token = "ghp_" + "a1B2" * 9
    result = await bench.executor.run(bench.spec(f"print('one', {token!r}, 'two')"))
    assert result.log.read_bytes() == b"one [redacted:github-token] two\n"


async def test_a_value_across_the_end_of_a_full_log_is_cut_not_shown(bench: Bench) -> None:
    for room in range(3, 40, 4):
        spec = bench.spec(f"print('x' * 20 + {KEY!r} + 'y' * 60)", secrets={"KEY": KEY}, log_cap=room)
        result = await bench.executor.run(spec)
        assert "bytes of output were dropped" in result.note
        assert KEY[:4].encode() not in result.log.read_bytes()


async def test_bytes_that_are_no_text_come_through_whole(bench: Bench) -> None:
    code = """
        import os
        os.write(1, bytes(range(256)) * 1000)
    """
    assert (await bench.executor.run(bench.spec(code, secrets={"K": KEY}))).log.read_bytes() == bytes(range(256)) * 1000
