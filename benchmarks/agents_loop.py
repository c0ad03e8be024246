"""How late the engine's loop is while agents talk: a real engine in a process of its own, with its journal, its runs'
files and its folding, and eight agents that speak ACP with 200 updates a second each, in processes of their own.

`python -m benchmarks.agents_loop REPO STATE` is that process. It prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks import agents_talker
from benchmarks.engine_process import PYTHON, Bench, environment, git
from benchmarks.figure import Beside, Figure, Scale
from engine.models.event import Event
from swarm_tui.compose import make_host
from swarm_tui.place import find_place

AGENTS, RATE = 8, 200
GOAL_MS = 20.0
TICK_S = 0.01
TALKER = Path(agents_talker.__file__)
SETTINGS = """
[limits]
implementers = {agents}
gate_slots = 2
repeats = 0

[agents.talker]
kind = "acp"
run = {argv}

[roles]
implementer = "talker"

[[gate]]
name = "one"
run = ["python", "check.py"]
"""
ORDER = """
[[work_order]]
id = "talk-{nth}"
title = "Talk {nth}"
kind = "docs"
allow = ["docs/**"]
touches = ["talk-{nth}"]
"""


@dataclass(frozen=True)
class Lags:
    """How late the loop was, in ms, each TICK_S. talking: while all agents talked. whole: from the first run's start to
    the last one's end. busy_s: processor time of the engine's process while they talked, of `seconds`."""

    talking: list[float]
    whole: list[float]
    busy_s: float
    seconds: float


def measure(scale: Scale) -> list[Figure]:
    length = scale.idle_s
    bench = _bench(scale.folder / "engine", length)
    lags = _engine(bench)
    beside = _beside(scale.folder, length)
    name = f"lag of the engine's loop, {AGENTS} ACP agents, {RATE} updates/s each"
    rest = [Beside("idle loop, the same agents writing into files", [_at(beside, 0.99)])]
    talking, whole = sorted(lags.talking), sorted(lags.whole)
    return [
        Figure(f"{name}, 50th percentile", "ms", [_at(talking, 0.5)], beside=[Beside("idle loop", [_at(beside, 0.5)])]),
        Figure("  99th percentile, while all talk", "ms", [_at(talking, 0.99)], GOAL_MS, beside=rest),
        Figure("  99th percentile, from first start to last end", "ms", [_at(whole, 0.99)], GOAL_MS, beside=rest),
        Figure("  most, while all talk", "ms", [talking[-1]], beside=[Beside("idle loop", [beside[-1]])]),
        Figure("  most, from first start to last end", "ms", [whole[-1]]),
        Figure("  processor time of the engine, while all talk", "%", [lags.busy_s / lags.seconds * 100]),
    ]


def _bench(folder: Path, seconds: float) -> Bench:
    """A repository whose orders are done by talkers, and whose gate is no work."""
    repo = folder / "repo"
    repo.mkdir(parents=True)
    argv = [str(Path(sys.executable).resolve()), "-I", "-S", "{workspace}/talker.py", "acp", str(seconds), str(RATE)]
    texts = {
        "swarm.toml": SETTINGS.format(agents=AGENTS, argv=json.dumps(argv)),
        "roadmap.toml": 'schema = "roadmap/1"\n' + "".join(ORDER.format(nth=nth) for nth in range(AGENTS)),
        "a.txt": "one\n",
        "check.py": "from pathlib import Path\nassert Path('a.txt').read_text() == 'one\\n'\n",
        "talker.py": TALKER.read_text(encoding="utf-8"),
    }
    for name, text in texts.items():
        (repo / name).write_text(text, encoding="utf-8", newline="\n")
    git(repo, "init", "-q", "-b", "main", "--template=")
    git(repo, "add", "-A")
    git(repo, "commit", "-q", "-m", "A benchmark")
    return Bench(repo, folder / "state")


def _engine(bench: Bench) -> Lags:
    words = [PYTHON, "-m", "benchmarks.agents_loop", str(bench.repo), str(bench.state)]
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(words, cwd=root, env=environment(), check=False, capture_output=True, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(f"the engine of the benchmark failed: {done.stderr[-1000:]}")
    return Lags(**json.loads(done.stdout))


def _beside(folder: Path, seconds: float) -> list[float]:
    """The lags, sorted, of a loop that does nothing while the same agents talk into files."""
    words = [PYTHON, "-I", "-S", str(TALKER), "lines", str(seconds), str(RATE)]
    outs = [(folder / f"beside-{nth}").open("wb") for nth in range(AGENTS)]
    talkers = [subprocess.Popen(words, cwd=folder, stdout=out, stdin=subprocess.DEVNULL) for out in outs]

    async def probe() -> list[float]:
        lags: list[float] = []
        while any(talker.poll() is None for talker in talkers):
            lags.append(await _late_ms())
        return sorted(lags)

    try:
        return asyncio.run(probe())
    finally:
        for talker, out in zip(talkers, outs, strict=True):
            talker.kill()
            talker.wait()
            out.close()


async def _late_ms() -> float:
    started = time.perf_counter()
    await asyncio.sleep(TICK_S)
    return (time.perf_counter() - started - TICK_S) * 1000


def _at(values: list[float], share: float) -> float:
    return values[min(int(len(values) * share), len(values) - 1)]


# ---- the engine's process


async def _watched(repo: Path, state: Path) -> Lags:
    """Run an engine until all have talked."""
    host = make_host(find_place(repo, state))
    started: dict[str, float] = {}
    ended: dict[str, float] = {}
    failed: list[str] = []
    ticks: list[tuple[float, float, float]] = []

    def saw(events: list[Event]) -> None:
        for event in events:
            if event.kind == "run_started":
                started[event.run] = time.perf_counter()
            elif event.kind == "run_finished":
                ended[event.run] = time.perf_counter()
                if event.fields["result"] != "done":
                    failed.append(f"{event.fields['result']}: {event.fields['reason']}")
                if failed or len(ended) == AGENTS:
                    host.stop_now()

    host.on_events = saw
    running = asyncio.ensure_future(host.run(until_idle=True))
    while not running.done():
        late = await _late_ms()
        ticks.append((time.perf_counter(), late, time.process_time()))
    await running
    if failed or len(ended) < AGENTS:
        raise RuntimeError(f"of {AGENTS} agents {len(ended)} have ended: {failed}")
    first, last = min(started.values()), max(ended.values())
    # The last begins to talk a moment after its start: a fifth of the time is left for that.
    begin, end = max(started.values()) + 0.2 * (min(ended.values()) - max(started.values())), min(ended.values())
    talking = [tick for tick in ticks if begin <= tick[0] <= end]
    whole = [late for at, late, _ in ticks if first <= at <= last]
    busy = talking[-1][2] - talking[0][2]
    return Lags([late for _, late, _ in talking], whole, busy, talking[-1][0] - talking[0][0])


if __name__ == "__main__":
    os.environ["PATH"] = environment()["PATH"]
    print(json.dumps(asdict(asyncio.run(_watched(Path(sys.argv[1]), Path(sys.argv[2]))))))
