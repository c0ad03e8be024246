"""Gates that misbehave: a clear result, a capped log, nobody left behind, and nothing lost."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from engine.errors import InfrastructureFault
from tests.gates.bench import Bench, gate, only

CAP_BYTES = 8_000_000


def python(source: str, *arguments: object, **fields: object):
    return gate("bad", ("python", "-c", source, *map(str, arguments)), "none", **fields)


async def test_output_that_is_no_utf8_is_kept_byte_by_byte(bench: Bench) -> None:
    source = "import sys; sys.stdout.buffer.write(bytes(range(256))); open('README.md')"
    result = only((await bench.gates(bench.base_tree, python(source))).report)
    assert result.result == "green"
    assert bytes(range(256)) in bench.store.get(result.log)


@pytest.mark.slow
async def test_a_flood_of_output_is_cut_with_a_line_that_says_so(bench: Bench) -> None:
    flood = "import sys\nfor _ in range(1100): sys.stdout.write('x' * 1023 + '\\n')\n"
    small = only((await bench.gates(bench.base_tree, python(flood))).report)
    source = flood.replace("1100", "100_000") + "print('the end')\nraise SystemExit(3)"
    big = only((await bench.gates(bench.base_tree, python(source))).report)
    assert (small.result, big.result, big.exit_code) == ("green", "red", 3)
    assert len(bench.store.get(small.log)) == 1100 * 1024
    log = bench.store.get(big.log)
    assert CAP_BYTES // 2 < len(log) < CAP_BYTES + 10_000
    assert b"bytes" in b"\n".join(line for line in log.splitlines() if line.strip(b"x"))


@pytest.mark.slow
async def test_a_gigabyte_of_output_fills_neither_disk_nor_memory(bench: Bench) -> None:
    before = psutil.Process().memory_info().rss
    source = "import sys\nfor _ in range(1000): sys.stdout.buffer.write(b'x' * 1_000_000)\n"
    result = only((await bench.gates(bench.base_tree, python(source))).report)
    assert result.result == "green"
    assert len(bench.store.get(result.log)) < CAP_BYTES + 10_000
    assert psutil.Process().memory_info().rss - before < 200_000_000


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
@pytest.mark.parametrize("ends", ["0", "1"])
async def test_a_daemon_does_not_outlive_its_gate(bench: Bench, tmp_path: Path, ends: str) -> None:
    noted = tmp_path / "pid"
    source = (
        "import os, sys, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        open(sys.argv[1] + '.new', 'w').write(str(os.getpid()))\n"
        "        os.rename(sys.argv[1] + '.new', sys.argv[1])\n"
        "        time.sleep(600)\n"
        "    os._exit(0)\n"
        "while not os.path.exists(sys.argv[1]): time.sleep(0.01)\n"
        "sys.exit(int(sys.argv[2]))\n"
    )
    result = only((await bench.gates(bench.base_tree, python(source, noted, ends))).report)
    assert result.result == ("green" if ends == "0" else "red")
    assert not _lives(int(noted.read_text(encoding="utf-8")))


async def test_a_file_that_no_system_can_run_is_an_error_with_advice(bench: Bench) -> None:
    tree = bench.change({"tool": "no program\n"})
    result = only((await bench.gates(tree, gate(run=("./tool",), results="none"))).report)
    assert result.result in ("error", "red")
    assert result.reason


async def test_a_program_that_is_gone_is_an_error_and_the_others_run(bench: Bench) -> None:
    gone = gate("gone", ("no-such-tool",), "none")
    report = (await bench.gates(bench.base_tree, gone, gate())).report
    assert [result.result for result in report.gates] == ["error", "green"]
    assert report.reasons == ["gone: the program 'no-such-tool' is not on PATH: install it or correct the command."]


FULL = """
import asyncio, os, sys
from pathlib import Path
from engine.errors import InfrastructureFault
from tests.gates.bench import Bench, gate
bench = Bench(Path(sys.argv[1]))
fill = Path(sys.argv[1]) / "fill"
talk = gate("talk", ("python", "-c", "print('x' * 300_000); open('README.md')"), "none")
print(asyncio.run(bench.gates(bench.base_tree, gate())).report.result)
file = os.open(fill, os.O_WRONLY | os.O_CREAT)
try:
    while os.write(file, b"x" * 4096):
        pass
except OSError:
    os.close(file)
try:
    print(asyncio.run(bench.gates(bench.base_tree, talk)).report.result)
except InfrastructureFault as error:
    print("fault:", error)
fill.unlink()
print(asyncio.run(bench.gates(bench.base_tree, talk)).report.result)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small file system of its own")
def test_a_full_disk_is_no_verdict_on_the_tree_and_passes_when_there_is_room_again(tmp_path: Path) -> None:
    place = tmp_path / "small"
    place.mkdir()
    mount = 'mount -t tmpfs -o size=6m none "$1" && exec "$2" -c "$3" "$1"'
    wrapped = ["unshare", "-Urm", "sh", "-c", mount, "sh", str(place), sys.executable, FULL]
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run(wrapped, cwd=Path(__file__).parents[2], env=env, capture_output=True, text=True, check=False)
    if "mount" in done.stderr or "unshare" in done.stderr:
        pytest.skip("no file system can be mounted here")
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert (lines[0], lines[-1]) == ("green", "green")
    assert lines[1].startswith("fault:"), lines


async def test_a_broken_disk_is_an_infrastructure_fault(bench: Bench) -> None:
    (bench.state / "artifacts").mkdir(exist_ok=True)
    (bench.state / "artifacts").rename(bench.state / "elsewhere")
    (bench.state / "artifacts").write_text("a file where a folder should be", encoding="utf-8")
    with pytest.raises(InfrastructureFault, match="cannot be stored"):
        await bench.gates(bench.base_tree, gate())
    (bench.state / "artifacts").unlink()
    (bench.state / "elsewhere").rename(bench.state / "artifacts")
    assert (await bench.gates(bench.base_tree, gate())).report.result == "green"


def _lives(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() in (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD):
                return False
        except psutil.NoSuchProcess:
            return False
        time.sleep(0.02)
    return True
