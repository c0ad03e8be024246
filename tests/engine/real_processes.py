"""What tests with real processes share: runs of small Python programs, and waiting without blind sleeps."""

from __future__ import annotations

import itertools
import json
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from engine.executors.local import LocalExecutor
from engine.ports import ProcessSpec
from engine.sandbox.none import NoSandbox

DAEMON = """
import os, subprocess, sys, time
# A daemon as they are written: a session of its own, no parent, nothing open; and no marker in its environment.
code = "import os, sys, time; open(sys.argv[1], 'w').write(str(os.getpid())); time.sleep(600)"
middle = (
    "import subprocess, sys; subprocess.Popen(sys.argv[1:], stdin=-3, stdout=-3, stderr=-3, "
    "start_new_session=True, env={})"
)
subprocess.run([sys.executable, "-S", "-c", middle, sys.executable, "-S", "-c", code, PATH], check=True)
while not (os.path.exists(PATH) and open(PATH).read()):
    time.sleep(0.005)
"""


class Bench:
    """A folder for runs, and an executor without a sandbox."""

    def __init__(self, folder: Path, epoch: str) -> None:
        self.folder = folder
        self.epoch = epoch
        self.executor = LocalExecutor(NoSandbox(), epoch)
        self._numbers = itertools.count()

    def spec(self, code: str, **changes: Any) -> ProcessSpec:
        """A run of a Python program."""
        argv = (sys.executable, "-I", "-S", "-c", textwrap.dedent(code))
        return self.command(argv, **changes)

    def command(self, argv: tuple[str, ...], **changes: Any) -> ProcessSpec:
        run_id = changes.pop("run_id", f"run-{next(self._numbers)}")
        fields: dict[str, Any] = {
            "run_id": run_id,
            "argv": argv,
            "cwd": self.folder,
            "env": {"PATH": "/usr/bin:/bin"},
            "folder": self.folder / "runs" / run_id,
            "wall_s": 60.0,
        }
        return ProcessSpec(**{**fields, **changes})

    def daemon(self, then: str = "", **changes: Any) -> tuple[ProcessSpec, Callable[[], psutil.Process]]:
        """A run that leaves a double-forked daemon, and how to find that daemon once it has started."""
        pid_file = self.folder / f"daemon-{next(self._numbers)}"
        spec = self.spec(DAEMON.replace("PATH", repr(str(pid_file))) + then, **changes)

        def find() -> psutil.Process:
            until(lambda: pid_file.exists() and pid_file.read_text(encoding="utf-8") != "", "the daemon started")
            return psutil.Process(int(pid_file.read_text(encoding="utf-8")))

        return spec, find

    def shim(self, spec: ProcessSpec) -> psutil.Process:
        """The shim of a run that has started."""

        def read() -> dict[str, Any]:
            try:
                return json.loads((spec.folder / "shim.json").read_text(encoding="utf-8"))
            except (OSError, ValueError):
                return {}

        until(lambda: bool(read()), "the shim has claimed its folder")
        return psutil.Process(read()["pid"])


def until(holds: Callable[[], bool], what: str, within_s: float = 20.0) -> None:
    """Polls until it holds; fails the test when it never does."""
    give_up = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < give_up, f"waited in vain for: {what}"
        time.sleep(0.005)


def dead(process: psutil.Process) -> bool:
    """Zombies count as dead."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True
