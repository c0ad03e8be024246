"""A full disk: by SQLite's own limit, by a limit of the process, and on a real, tiny file system."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.errors import InfrastructureFault
from engine.journal import Journal
from engine.models.event import Event, NewEvent

OpenJournal = Callable[..., Journal]
ROOT = Path(__file__).parents[3]

FILLER = """
import asyncio, sys, time
from pathlib import Path
from engine.errors import InfrastructureFault
from engine.journal import Journal

class SystemClock:
    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)

async def main(path, give_room, ballast_bytes):
    journal = Journal(path, clock=SystemClock(), ballast_bytes=ballast_bytes)
    journal.open()
    announced = []
    journal.start(asyncio.get_running_loop(), lambda events: announced.extend(e.seq for e in events))
    ballast = path.with_name("ballast")
    assert ballast.stat().st_size == ballast_bytes
    acknowledged, without_ballast = 0, 0
    try:
        while True:
            acknowledged = (await journal.append("filled", {"pad": "x" * 20_000})).seq
            without_ballast += not ballast.exists()
    except InfrastructureFault as fault:
        assert "journal" in str(fault), fault
    assert announced == list(range(1, acknowledged + 1)), "a failed batch was announced"
    assert journal.last_seq() == acknowledged
    give_room()
    assert (await journal.append("went_on")).seq == acknowledged + 1
    assert journal.verify_chain() is None
    journal.close()
    again = Journal(path, clock=SystemClock(), ballast_bytes=0)
    again.open()
    assert again.last_seq() == acknowledged + 1 and again.verify_chain() is None
    again.close()
    print(acknowledged, without_ballast)
"""

LIMITED = (
    FILLER
    + """
import resource
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, hard))
def give_room():
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
asyncio.run(main(Path(sys.argv[1]), give_room, 1_000_000))
"""
)

TINY = (
    FILLER
    + """
filler = Path(sys.argv[1]).with_name("somebody-elses")
filler.parent.mkdir(parents=True)
filler.write_bytes(bytes(1_500_000))
from engine.journal.journal import BALLAST_BYTES
asyncio.run(main(Path(sys.argv[1]), filler.unlink, BALLAST_BYTES))
"""
)


def run_python(program: str, *arguments: str, prefix: tuple[str, ...] = ()) -> list[int]:
    done = subprocess.run(
        [*prefix, sys.executable, "-c", program, *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return [int(word) for word in done.stdout.split()]


async def test_a_batch_that_does_not_fit_fails_whole_and_the_journal_goes_on(
    open_journal: OpenJournal, path: Path, batches: list[list[Event]]
) -> None:
    journal = open_journal()
    kept = await journal.append("tick")
    connection = journal._connection
    assert connection is not None
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count={pages + 3}")
    assert path.with_name("ballast").exists()
    with pytest.raises(InfrastructureFault, match="free some disk space"):
        await journal.append_all([NewEvent("filled", {"pad": "x" * 1000}) for _ in range(100)])
    assert not path.with_name("ballast").exists(), "the ballast was not thrown off"
    assert list(journal.events()) == [kept]
    small = await journal.append("tick", {"fits": True})
    with pytest.raises(InfrastructureFault):
        await journal.save_snapshot(1, b"x" * 100_000)
    connection.execute("PRAGMA max_page_count=1000000")
    large = await journal.append("filled", {"pad": "x" * 100_000})
    assert [kept.seq, small.seq, large.seq] == [1, 2, 3]
    assert [event.seq for batch in batches for event in batch] == [1, 2, 3]
    assert journal.verify_chain() is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file size limit for a process")
def test_a_write_that_the_system_refuses_is_a_fault_and_not_the_end(path: Path) -> None:
    acknowledged, _ = run_python(LIMITED, str(path))
    assert acknowledged > 10


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file system of its own")
def test_the_ballast_carries_on_for_a_while_on_a_really_full_disk(tmp_path: Path) -> None:
    mount = f'mount -t tmpfs -o size=16m none {tmp_path} && exec "$@"'
    prefix = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh")
    if shutil.which("unshare") is None or subprocess.run([*prefix, "true"], capture_output=True).returncode:
        pytest.skip("this machine does not let us mount a file system")
    _, without_ballast = run_python(TINY, str(tmp_path / "state" / "journal.db"), prefix=prefix)
    assert without_ballast > 5
