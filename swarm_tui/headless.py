"""The headless run: the engine in its own thread, and a calm printer that is a client like any other."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.live import Live
from rich.text import Text

from engine.client import Client, Tail, progress_files
from engine.folders import StateFolder
from engine.host import Host
from engine.loop import EndReason
from engine.models.event import Event
from engine.models.status import Status
from engine.status import status_of
from engine.text.sanitise import sanitise_line
from swarm_tui.phrases import Phrase, phrase

FRAME_S = (0.1, 0.5)
"""Between two looks at the journal: while events come, and when it has been quiet for a while."""
STYLES = {"good": "green", "bad": "red", "attention": "yellow", "quiet": "dim", "plain": ""}


@dataclass
class EngineThread:
    """Runs a host in a thread with its own event loop. `error` is what it raised, `reason` why it ended."""

    host: Host
    until_idle: bool
    duration_s: float | None
    reason: EndReason | None = None
    error: BaseException | None = None
    thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run, name="engine")

    def _run(self) -> None:
        try:
            self.reason = asyncio.run(self.host.run(until_idle=self.until_idle, duration_s=self.duration_s))
        except BaseException as error:
            self.error = error


@dataclass
class Interrupts:
    """SIGINT once: take no new work and finish. Twice: stop now."""

    host: Host
    count: int = 0

    def install(self) -> None:
        signal.signal(signal.SIGINT, self._interrupted)
        signal.signal(signal.SIGTERM, lambda *_: self.host.stop_now())
        if sys.platform != "win32":
            # A closed terminal must not end the night; printing then fails, and is given up below.
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _interrupted(self, *_: object) -> None:
        self.count += 1
        if self.count == 1:
            self.host.drain()
        else:
            self.host.stop_now()


def run_headless(
    host: Host, folders: StateFolder, *, until_idle: bool, duration_s: float | None, as_json: bool
) -> tuple[Status, bool]:
    """Run until the end; the summary's status, and whether a person interrupted it. Raises what the engine raised.

    Nobody has to read what is printed: when the output is gone, the engine goes on without it.
    """
    engine = EngineThread(host, until_idle, duration_s)
    interrupts = Interrupts(host)
    interrupts.install()
    engine.thread.start()
    try:
        while not host.ready.wait(0.05) and engine.thread.is_alive():
            pass
        if engine.error is None:
            client = Client.attach(folders)
            try:
                _follow(client, engine, JsonPrinter(sys.stdout) if as_json else LinePrinter(folders), host)
                return status_of(client.state, time.time(), running=False), interrupts.count > 0
            finally:
                client.close()
    except BaseException:
        host.stop_now()
        raise
    finally:
        engine.thread.join()
    raise engine.error


def _follow(client: Client, engine: EngineThread, out: JsonPrinter | LinePrinter, host: Host) -> None:
    """Print this start's events as they come, then the summary."""
    first = _epoch_start(client)
    printer = Unbroken(out)
    with printer:
        for event in list(client.reader.events(first, client.state.seq - first)):
            printer.event(event)
        pause_s = FRAME_S[0]
        while engine.thread.is_alive():
            events = client.catch_up()
            for event in events:
                printer.event(event)
            printer.frame(client)
            pause_s = FRAME_S[0] if events else min(1.2 * pause_s, FRAME_S[1])
            engine.thread.join(pause_s)
        while events := client.catch_up():
            for event in events:
                printer.event(event)
    if engine.error is not None:
        raise engine.error
    printer.summary(status_of(client.state, time.time(), running=False))


def _epoch_start(client: Client) -> int:
    """The seq before this engine's start: what came earlier was printed by an earlier run."""
    start = 0
    for event in client.reader.events(max(0, client.state.seq - 5_000)):
        if event.kind == "engine_started":
            start = event.seq - 1
    return start


class Unbroken:
    """A printer whose output may go away (a closed pipe or terminal): from then on it prints nothing."""

    def __init__(self, printer: JsonPrinter | LinePrinter) -> None:
        self._printer: JsonPrinter | LinePrinter | None = printer

    def _do(self, act: Callable[[JsonPrinter | LinePrinter], object]) -> None:
        if self._printer is None:
            return
        try:
            act(self._printer)
        except (OSError, ValueError, SystemExit):  # the last is how rich takes a broken pipe
            self._printer = None
            # What is still buffered would be written at exit, and fail there.
            sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - until the process ends

    def __enter__(self) -> Unbroken:
        self._do(lambda printer: printer.__enter__())
        return self

    def __exit__(self, *_: object) -> None:
        self._do(lambda printer: printer.__exit__())

    def event(self, event: Event) -> None:
        self._do(lambda printer: printer.event(event))

    def frame(self, client: Client) -> None:
        self._do(lambda printer: printer.frame(client))

    def summary(self, status: Status) -> None:
        self._do(lambda printer: printer.summary(status))


class JsonPrinter:
    """One event a line, and a last line with the summary."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def __enter__(self) -> JsonPrinter:
        return self

    def __exit__(self, *_: object) -> None:
        self._out.flush()

    def event(self, event: Event) -> None:
        self._line(event.as_json())

    def frame(self, client: Client) -> None:
        self._out.flush()

    def summary(self, status: Status) -> None:
        self._line({"kind": "summary", **status.model_dump(mode="json")})

    def _line(self, data: dict[str, Any]) -> None:
        self._out.write(json.dumps(data, ensure_ascii=True, separators=(",", ":")) + "\n")


class LinePrinter:
    """A line an event; on a terminal a few live lines below with what runs now."""

    def __init__(self, folders: StateFolder, *, live: bool = True) -> None:
        self._console = Console(highlight=False, markup=False, soft_wrap=True)
        live = live and self._console.is_terminal and not self._console.is_dumb_terminal
        self._live = Live(console=self._console, refresh_per_second=8, transient=True) if live else None
        self._folders = folders
        self._tails: dict[str, Tail] = {}
        self._progress: deque[str] = deque(maxlen=4)

    def __enter__(self) -> LinePrinter:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def event(self, event: Event) -> None:
        made = phrase(event)
        if made is None:
            return
        # On a terminal a line an event; what needs a person is never cut. All of it is in `swarm events`.
        whole = made.tone == "attention" or self._live is None
        line = line_of(event, made)
        if whole:
            self._console.print(line)
        else:
            self._console.print(line, soft_wrap=False, no_wrap=True, overflow="ellipsis", crop=True)

    def frame(self, client: Client) -> None:
        if self._live is None:
            return
        for path in progress_files(self._folders):
            tail = self._tails.setdefault(str(path), Tail(path))
            for found in tail.lines():
                if "gate" in found and "done" in found:
                    failed = f", {found['failed']} failed" if found.get("failed") else ""
                    self._progress.append(sanitise_line(f"{found['gate']} {found['done']}{failed}"))
        self._live.update(self._now_line(client))

    def _now_line(self, client: Client) -> Text:
        state = client.state
        running = [order.spec.id for order in state.orders.values() if order.phase == "running"]
        train = [change.order or change.id for change in state.queue()]
        parts = [f"{len(running)} running" + (f" ({', '.join(running)})" if running else "")]
        if train:
            parts.append(f"train: {', '.join(train)}")
        if self._progress:
            parts.append(f"gates: {' · '.join(self._progress)}")
        waiting = sum(a.status == "pending" for a in state.approvals.values())
        if waiting:
            parts.append(f"{waiting} need you")
        return Text(sanitise_line(" │ ".join(parts)), style="dim", no_wrap=True, overflow="ellipsis")

    def summary(self, status: Status) -> None:
        self._console.print(summary_text(status))


def line_of(event: Event, made: Phrase) -> Text:
    """One event as one line of a log for people: local time, glyph, subject, sentence."""
    clock = time.strftime("%H:%M:%S", time.localtime(event.at))
    text = Text(f"{clock} ", style="dim")
    text.append(f"{made.glyph} ", style=STYLES[made.tone])
    text.append(f"{made.about:<18.18} ", style="bold" if made.tone != "quiet" else "dim")
    text.append(made.text, style=STYLES[made.tone])
    return text


def summary_text(status: Status) -> Text:
    """The closing lines of a run."""
    style = {"green": "bold green", "red": "bold red", "frozen": "bold red"}.get(status.health, "bold yellow")
    text = Text("\n")
    text.append(f"main {status.main[:10]} is {status.health}", style=style)
    text.append(f": {sanitise_line(status.why)}\n")
    counts = ", ".join(f"{count} {phase}" for phase, count in sorted(status.work_orders.items()))
    text.append(f"work orders: {counts or 'none'}\n")
    text.append(
        f"landed {status.landed}, reverted {status.reverted}, rejected {status.rejected}, parked {status.parked}; "
    )
    text.append(f"last good {status.last_good[:10] or 'unknown'}; {status.duration_s:.0f} s")
    for order in status.orders:
        if order.state == "parked":
            text.append(
                f"\nneeds you: {order.id}: {sanitise_line(order.why)}\n           → {sanitise_line(order.do)}",
                style="yellow",
            )
    for asked in status.approvals:
        if asked.danger == "proposal":
            text.append(
                f"\nneeds you: {sanitise_line(asked.title)}\n           → swarm approve {asked.id}, or swarm deny "
                f"{asked.id}",
                style="yellow",
            )
    for problem in status.problems:
        text.append(f"\nneeds you: {sanitise_line(problem)}", style="yellow")
    if status.unproven:
        text.append(f"\nunproven commits by people: {', '.join(c[:10] for c in status.unproven)}", style="yellow")
    if status.publish_pending:
        text.append(f"\npublish pending: {sanitise_line(status.publish_pending)}", style="yellow")
    return text
