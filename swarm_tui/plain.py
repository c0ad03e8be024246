"""The night as plain lines, for screen readers."""

from __future__ import annotations

import sys
import time

from engine.client import Client
from engine.errors import UserError
from engine.status import status_of
from swarm_tui.headless import LinePrinter
from swarm_tui.place import find_place
from swarm_tui.room.engine_process import PATIENCE_S, running_engine, start_engine
from swarm_tui.terminal import Asked


def run_plain(asked: Asked) -> int:
    """`swarm --plain`: what happens as plain lines, for screen readers and logs; the engine behind it as with a room.

    Ctrl+c leaves, the engine goes on.
    """
    place = find_place(asked.repo, asked.state)
    engine = running_engine(place.folders)
    if engine is None and not asked.attach:
        engine = start_engine(
            place, until=asked.until, log_levels=asked.log_levels, patience_s=PATIENCE_S, progress=lambda _: None
        )
    if engine is None:
        raise UserError("no engine runs this repository, and none may be started with --read-only or --attach")
    client = Client.attach(place.folders)
    printer = LinePrinter(place.folders, live=False)
    try:
        for event in client.reader.events(engine.seq, client.state.seq - engine.seq):
            printer.event(event)
        while True:
            for event in client.catch_up():
                printer.event(event)
            if (ending := engine.ended()) is not None:
                break
            time.sleep(0.2)
        for event in client.catch_up():
            printer.event(event)
        printer.summary(status_of(client.state, time.time(), running=False))
        return ending.exit_code or 0
    except KeyboardInterrupt:
        sys.stdout.write("left; the engine goes on: `swarm stop` ends it\n")
        return 0
    finally:
        client.close()
