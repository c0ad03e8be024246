"""The journal between processes: killed writers, readers beside a writer, the inbox."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.journal import Command, Journal, JournalReader

OpenJournal = Callable[..., Journal]
ROOT = Path(__file__).parents[3]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def start_writer(path: Path, producers: int, count: int = 0) -> subprocess.Popen[bytes]:
    program = str(Path(__file__).with_name("writer_process.py"))
    return subprocess.Popen(
        [sys.executable, program, str(path), str(producers), str(count)], stdout=subprocess.PIPE, env=ENVIRONMENT
    )


def run_program(program: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, encoding="utf-8", env=ENVIRONMENT, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def kill_a_writer_again_and_again(path: Path, kills: int) -> None:
    chance = random.Random(kills)
    acknowledged: dict[int, tuple[int, int, int]] = {}
    for life in range(kills):
        writer = start_writer(path, producers=chance.choice([1, 8, 64]))
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(chance.randint(1, 300))]
        # SIGKILL on POSIX; TerminateProcess, which is as sudden, on Windows.
        writer.kill()
        lines += writer.stdout.readlines()
        writer.wait()
        writer.stdout.close()
        for line in lines:
            if line.endswith(b"\n"):
                seq, producer, count = map(int, line.split())
                assert seq not in acknowledged
                acknowledged[seq] = (life, producer, count)
        with JournalReader(path) as reader:
            assert reader.verify_chain() is None
            events = {event.seq: event for event in reader.events()}
            for seq, (_, producer, count) in acknowledged.items():
                fields = events[seq].fields
                assert (fields["producer"], fields["count"]) == (producer, count)
            assert sorted(events) == list(range(1, len(events) + 1))


def test_nothing_acknowledged_is_lost_when_the_writer_is_killed(path: Path) -> None:
    kill_a_writer_again_and_again(path, 5)


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_in_many_kills(path: Path) -> None:
    kill_a_writer_again_and_again(path, 25)


def test_another_process_reads_while_the_writer_writes(path: Path) -> None:
    writer = start_writer(path, producers=8, count=60)
    assert writer.stdout is not None
    acknowledged = int(writer.stdout.readline().split()[0])
    seen: list[int] = []
    with JournalReader(path) as reader:
        version = reader.data_version()
        assert reader.last_seq() >= acknowledged
        changes = 0
        while len(seen) < 480:
            assert writer.poll() in (None, 0)
            if (newer := reader.data_version()) != version:
                version, changes = newer, changes + 1
            seen += [event.seq for event in reader.events(after=seen[-1] if seen else 0)]
        assert changes > 0
    assert seen == list(range(1, 481))
    writer.communicate()
    assert writer.returncode == 0


def test_reading_needs_no_writer_and_changes_nothing(path: Path) -> None:
    start_writer(path, producers=1, count=50).communicate()
    before = path.read_bytes()
    with JournalReader(path) as reader:
        assert reader.last_seq() == 50
        snapshot = reader.newest_snapshot()
        assert snapshot is not None
        assert snapshot[1] == b"state" * 1000
        assert reader.data_version() == reader.data_version()
    assert path.read_bytes() == before


SENDER = """
import sys
from pathlib import Path
from engine.journal import JournalReader
with JournalReader(Path(sys.argv[1])) as reader:
    print(reader.send("approve", {"id": "a1"}), reader.send("stop"))
"""
ASKER = """
import json, sys
from pathlib import Path
from engine.journal import JournalReader
with JournalReader(Path(sys.argv[1])) as reader:
    print(json.dumps([reader.command_answer(1), reader.command_answer(2), reader.command_answer(99)]))
"""


async def test_commands_come_from_another_process_and_their_answers_go_back(
    open_journal: OpenJournal, path: Path
) -> None:
    journal = open_journal()
    assert journal.take_commands() == []
    assert run_program(SENDER, str(path)) == "1 2\n"
    commands = journal.take_commands()
    assert [(command.id, command.name, command.args) for command in commands] == [
        (1, "approve", {"id": "a1"}),
        (2, "stop", {}),
    ]
    assert journal.take_commands() == commands, "a command comes again until it is settled"
    await journal.settle_command(1, {"ok": True})
    await journal.settle_command(1, {"ok": False})
    assert journal.take_commands() == commands[1:]
    assert run_program(ASKER, str(path)) == '[{"ok": true}, null, null]\n'


async def test_a_command_sent_without_an_engine_waits_for_the_next_one(open_journal: OpenJournal, path: Path) -> None:
    open_journal().close()
    with JournalReader(path, now=lambda: 5.0) as reader:
        number = reader.send("retry", {"work_order": "a"})
    assert open_journal().take_commands() == [Command(number, 5.0, "retry", {"work_order": "a"})]


async def test_a_command_that_cannot_be_read_can_still_be_settled(open_journal: OpenJournal, path: Path) -> None:
    import sqlite3

    journal = open_journal()
    with sqlite3.connect(path) as database:
        database.execute("INSERT INTO inbox (at, name, args) VALUES (1.0, 'stop', '[1'), (1.0, 'stop', '[1]')")
    database.close()
    assert [command.name for command in journal.take_commands()] == ["unreadable", "unreadable"]
    for command in journal.take_commands():
        await journal.settle_command(command.id, {"error": "unreadable"})
    assert journal.take_commands() == []


async def test_a_command_that_is_too_large_is_refused(open_journal: OpenJournal, path: Path) -> None:
    open_journal()
    with JournalReader(path) as reader, pytest.raises(UserError, match="at most 64000"):
        reader.send("approve", {"why": "x" * 64_000})


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot stop a process")
def test_a_stopped_reader_does_not_hold_up_the_writer(path: Path) -> None:
    if sys.platform == "win32":
        return
    writer = start_writer(path, producers=1, count=1)
    writer.communicate()
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom engine.journal import JournalReader\n"
        "reader = JournalReader(Path(sys.argv[1]))\nprint(next(reader.events()).seq, flush=True)\ntime.sleep(60)"
    )
    reader = subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, env=ENVIRONMENT)
    assert reader.stdout is not None
    try:
        assert reader.stdout.readline() == b"1\n"
        reader.send_signal(signal.SIGSTOP)
        start_writer(path, producers=8, count=20).communicate(timeout=60)
    finally:
        reader.kill()
        reader.wait()
        reader.stdout.close()
    with JournalReader(path) as after:
        assert after.last_seq() == 161
