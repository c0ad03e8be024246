"""All figures, or some by name, in one table at the end.

python -m benchmarks [NAME…] [--json] [--tiny] [--dir FOLDER]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import (
    agents,
    culprit,
    gates,
    idle,
    journal,
    judge,
    landing,
    planning,
    restoring,
    room,
    sandbox,
    start,
    status,
    text,
    treegate,
)
from benchmarks.figure import Figure, Scale, tiny
from benchmarks.table import as_json, as_text
from engine.git.door import git_version

BENCHMARKS: dict[str, Callable[[Scale], list[Figure]]] = {
    "landing": landing.measure,
    "planning": planning.measure,
    "journal": journal.measure,
    "start": start.measure,
    "idle": idle.measure,
    "status": status.measure,
    "room": room.measure,
    "gates": gates.measure,
    "text": text.measure,
    "treegate": treegate.measure,
    "sandbox": sandbox.measure,
    "culprit": culprit.measure,
    "judge": judge.measure,
    "restoring": restoring.measure,
    "agents": agents.measure,
}


def load() -> str:
    """How busy the machine was: figures from a busy one are too large."""
    if sys.platform == "win32":
        return f"{os.cpu_count()} processors"
    return f"{os.cpu_count()} processors, load average {os.getloadavg()[0]:.1f}"


def machine() -> str:
    """What was measured on, and when: figures mean nothing without."""
    system = f"{platform.system()} {platform.release()}, {platform.machine()}"
    git = ".".join(map(str, git_version()))
    return f"{datetime.now(UTC):%Y-%m-%d}: {system}, Python {platform.python_version()}, git {git}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="The figures of docs/benchmarks.md.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--json", action="store_true", help="for scripts")
    parser.add_argument("--tiny", action="store_true", help="just see that everything runs; the figures mean nothing")
    parser.add_argument("--dir", type=Path, default=None, help="a folder on the disk to measure (default: temporary)")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in BENCHMARKS]:
        parser.error(f"there is no benchmark {unknown[0]}: choose from {', '.join(BENCHMARKS)}")
    figures: list[Figure] = []
    before = load()
    with tempfile.TemporaryDirectory(prefix="swarm-bench-", dir=options.dir) as made:
        folder = Path(made).resolve()
        for name in options.names or BENCHMARKS:
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            (folder / name).mkdir()
            scale = tiny(folder / name) if options.tiny else Scale(folder / name)
            figures += BENCHMARKS[name](scale)
    if options.json:
        print(json.dumps({"before": before, "after": load(), "figures": as_json(figures)}, indent=2))
    else:
        print(f"{as_text(figures)}\n\n{machine()}\nbefore: {before}; after: {load()}")


if __name__ == "__main__":
    main()
