"""The room in a real terminal, beside a bare Textual app in the same run: paint, key echo, processor time, memory.

The night has 10,000 work orders and eight runs whose logs grow by 10,000 lines a second together, all eight on screen.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from benchmarks.engine_process import PYTHON, SWARM, Bench, environment, running, tinykit, wait_until_settled
from benchmarks.figure import Beside, Figure, Scale
from benchmarks.recorded import write_journal
from benchmarks.terminal import Terminal
from engine.lock import InstanceLock
from engine.models.event import NewEvent

PANES = 8
LINES_PER_S = 10_000
ECHOED = "þðøæœßđħŋłµ€"
"""Characters that no log has: when one is printed, it is the echo of its key."""

BARE = """\
from textual.app import App
from textual.widgets import Input, Static

class Bare(App):
    def compose(self):
        yield Static("a bare app")
        yield Input()
    def on_mount(self):
        self.query_one(Input).focus()

Bare().run()
"""

WRITER = """\
import sys, time
paths, lines_per_s = sys.argv[2:], int(sys.argv[1])
files = [open(path, "a", encoding="utf-8") for path in paths]
started, written = time.monotonic(), 0
while True:
    time.sleep(0.05)
    due = int((time.monotonic() - started) * lines_per_s)
    for number in range(written, due):
        files[number % len(files)].write(f"{number} compiling crate {number % 977} with a line of usual length\\n")
    for file in files:
        file.flush()
    written = due
"""


def measure(scale: Scale) -> list[Figure]:
    if sys.platform == "win32":
        return []
    return [*_first_paint(scale), *_busy(scale), *_large_log(scale), *_beside_an_engine(scale)]


def _room(bench: Bench, *more: str) -> Terminal:
    return Terminal([SWARM, *bench.options, *more], bench.repo, environment())


def _bare(folder: Path) -> Terminal:
    path = folder / "bare.py"
    path.write_text(BARE, encoding="utf-8")
    return Terminal([PYTHON, str(path)], folder, environment())


def _night(folder: Path, orders: int, runs: int) -> Bench:
    """A recorded night without an engine: `orders` work orders, the first `runs` of them running."""
    bench = tinykit(folder)
    bench.folders.create()
    idents = [f"order-{number:05}" for number in range(orders)]
    specs = [
        {"id": each, "title": f"Work order {each}", "kind": "feature", "goal": "…", "item": f"item-{at % 40}"}
        for at, each in enumerate(idents)
    ]
    items = [{"id": f"item-{number}", "title": f"Item {number}"} for number in range(40)]
    commit, tree = "c" * 40, "d" * 40
    opened = {"commit": commit, "tree": tree, "repository": "r", "branch": "main"}
    settings = {"policy": "p", "settings": "s", "bootstrap": False, "implementer": "demo", "flows": 1}
    started = {"attempt": 1, "role": "implementer", "agent": "demo", "base": commit}
    events = [
        NewEvent("engine_started", {"epoch": 1, "version": "0", "pid": 1}),
        NewEvent("repository_opened", opened),
        NewEvent("settings_read", settings),
        *(
            NewEvent("roadmap_read", {"count": orders, "orders": specs[at : at + 500], "gone": [], "items": items})
            for at in range(0, orders, 500)
        ),
        *(NewEvent("work_order_ready", {"fresh": False, "by": ""}, work_order=each) for each in idents),
        *(NewEvent("run_started", started, work_order=each, run=f"{each}.1") for each in idents[:runs]),
    ]
    write_journal(bench.folders, events)
    for each in idents[:runs]:
        (bench.folders.runs / f"{each}.1").mkdir(parents=True)
        (bench.folders.runs / f"{each}.1" / "log").write_text("first line\n", encoding="utf-8")
    return bench


def _first_paint(scale: Scale) -> list[Figure]:
    bench = _night(scale.folder / "paint", 100, 0)
    rooms: list[float] = []
    bares: list[float] = []
    for turn in range(scale.repeats + 1):
        with _bare(scale.folder) as bare:
            bare_s = bare.until(b"a bare app") - bare.started
        with _room(bench, "--read-only") as room:
            room_s = room.until(b"Roadmap") - room.started
        if turn:  # the first round fills the disk's cache
            bares.append(bare_s * 1000)
            rooms.append(room_s * 1000)
    ratios = [ours / theirs for ours, theirs in zip(rooms, bares, strict=True)]
    return [
        Figure("room, first paint", "ms", rooms, beside=[Beside("bare Textual app", bares)]),
        Figure("room, first paint over that of a bare app", "×", ratios, 1.3),
    ]


@contextmanager
def _growing(bench: Bench, runs: int) -> Iterator[None]:
    paths = [str(bench.folders.runs / f"order-{number:05}.1" / "log") for number in range(runs)]
    writer = subprocess.Popen([PYTHON, "-c", WRITER, str(LINES_PER_S), *paths])
    try:
        yield
    finally:
        writer.kill()
        writer.wait()


def _busy(scale: Scale) -> list[Figure]:
    """Eight logs on screen that grow, ten thousand work orders: echo, processor time, memory."""
    orders = 10_000 if scale.idle_s > 1 else 100
    bench = _night(scale.folder / "busy", orders, PANES)
    seconds = min(10.0, scale.idle_s / 2)
    with _bare(scale.folder) as bare:
        bare.until(b"a bare app")
        time.sleep(0.5)
        bare_echo = _echoes(bare)
    engine = InstanceLock(bench.folders.lock)
    engine.acquire()  # to the room an engine runs: a night without one would be drawn less often
    with _room(bench, "--read-only") as room, _growing(bench, PANES):
        room.until(b"order-00000")
        room.press_until(b"w", b"compiling crate")
        time.sleep(1.0)
        ticks = [_main_ms_per_tick(room, seconds / 5) for _ in range(5)]
        room.press_until(b"/", b"find in all logs")
        echo = _echoes(room)
        rss = room.rss_mb()
    engine.release()
    quiet = _night(scale.folder / "quiet", orders, 0)
    with _room(quiet, "--read-only") as room:
        room.until(b"order-00000")
        time.sleep(2.0)
        idle = [_percent(room, scale.idle_s / 4) for _ in range(4)]
    what = f"{PANES} logs, {LINES_PER_S:,} lines/s, {orders:,} work orders"
    return [
        Figure(f"room, key echo p90, {what}", "ms", [_p90(echo)], 30.0, beside=[Beside("bare app", [_p90(bare_echo)])]),
        Figure(f"room, main thread per 100 ms, {what}", "ms", ticks, 15.0),
        Figure(f"room, resident memory, {what}", "MB", [rss], 150.0),
        Figure(f"room, idle processor time, {orders:,} work orders", "%", idle, 1.0),
    ]


def _echoes(terminal: Terminal) -> list[float]:
    """Milliseconds from each key to its echo."""
    found: list[float] = []
    for _ in range(3):
        for character in ECHOED:
            key = character.encode("utf-8")
            found.append(terminal.press_until(key, key) * 1000)
            time.sleep(0.073)  # not in step with the frame clock
    return found


def _p90(values: list[float]) -> float:
    return sorted(values)[int(0.9 * (len(values) - 1))]


def _main_ms_per_tick(terminal: Terminal, seconds: float) -> float:
    before, started = terminal.main_thread_s(), time.perf_counter()
    time.sleep(seconds)
    return (terminal.main_thread_s() - before) / (time.perf_counter() - started) * 100


def _percent(terminal: Terminal, seconds: float) -> float:
    before, started = terminal.process_s(), time.perf_counter()
    time.sleep(seconds)
    return (terminal.process_s() - before) / (time.perf_counter() - started) * 100


def _large_log(scale: Scale) -> list[Figure]:
    """From the key that opens a run to the last lines of its log of a gigabyte."""
    size_bytes = 1_000_000_000 if scale.idle_s > 1 else 1_000_000
    bench = _night(scale.folder / "large", 10, 1)
    log = bench.folders.runs / "order-00000.1" / "log"
    line = b"a line of a very long log, as builds print them by the thousand\n"
    with log.open("wb") as file:
        block = line * 16_000
        for _ in range(max(1, size_bytes // len(block))):
            file.write(block)
        file.write(b"the very last line\n")
    opened: list[float] = []
    for _ in range(max(1, scale.repeats // 2)):
        with _room(bench, "--read-only") as room:
            room.until(b"the very last line")
            room.press(b"2")
            time.sleep(0.5)
            opened.append(room.press_until(b"\r", b"the very last line") * 1000)
    log.unlink()
    return [Figure("room, open a log of 1 GB", "ms", opened, 300.0)]


def _beside_an_engine(scale: Scale) -> list[Figure]:
    """What an engine with ten thousand work orders weighs while a room looks on. They are a person's: none starts."""
    orders = 10_000 if scale.idle_s > 1 else 20
    roadmap = ['schema = "roadmap/1"\n']
    for number in range(orders):
        fields = {
            "id": f"order-{number:05}",
            "title": f"Work order {number}",
            "kind": "docs",
            "goal": "…",
            "owner": "me",
        }
        roadmap.append("[[work_order]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items()))
    bench = tinykit(scale.folder / "engine", "".join(roadmap))
    with running(bench) as engine:
        wait_until_settled(bench, engine)
        with _room(bench) as room:
            room.until(b"order-00000")
            time.sleep(2.0)
            sizes = [psutil.Process(engine.pid).memory_info().rss / 1e6 for _ in range(3)]
    return [Figure(f"engine beside a room, resident memory, {orders:,} work orders", "MB", sizes, 120.0)]
