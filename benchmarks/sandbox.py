"""What a sandbox costs to start: a command that does nothing, bare and wrapped, in pairs."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.figure import Beside, Figure, Scale
from engine.models.settings import SandboxSettings
from engine.ports import Overlay, Sandbox, SandboxPolicy
from engine.sandbox.backends import ORDER
from engine.sandbox.bubblewrap import BubblewrapSandbox
from engine.sandbox.choose import choose_sandbox
from engine.sandbox.landlock import LandlockSandbox

GOAL_MS = 15.0
PAIRS = 20
"""Per repeat: starts are short, and the machine is never quiet."""
ENV = {"PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}

Start = Callable[[], None]


def measure(scale: Scale) -> list[Figure]:
    """Each backend that works here, after the bare command."""
    true = next((path for path in (Path("/bin/true"), Path("/usr/bin/true")) if path.exists()), None)
    argv = (str(true),) if true is not None else (sys.executable, "-I", "-S", "-c", "")
    figures = [Figure("the bare command", "ms", [_timed_ms(lambda: _run(argv)) for _ in range(scale.repeats)])]
    for name in ORDER:
        sandbox = choose_sandbox(SandboxSettings(), scale.folder / "state", among=[name])
        if sandbox.name == name:
            figures += _starts(scale, sandbox, argv)
    return figures


def _starts(scale: Scale, sandbox: Sandbox, argv: tuple[str, ...]) -> list[Figure]:
    workspace, numbers = scale.folder / sandbox.name, itertools.count()
    workspace.mkdir()
    policy = SandboxPolicy(writable=(workspace,), readable=(Path(sys.base_prefix),))
    plain = starter(sandbox, argv, workspace, lambda: policy)
    figures = [_figure(f"sandbox start, {sandbox.name}", scale, argv, plain, GOAL_MS)]
    if getattr(sandbox, "overlays", False):
        laid = starter(sandbox, argv, workspace, lambda: _laid(workspace, workspace / f"{next(numbers)}"))
        figures.append(_figure(f"… with an overlay, {sandbox.name}", scale, argv, laid, None))
    return figures


def starter(sandbox: Sandbox, argv: tuple[str, ...], cwd: Path, policy: Callable[[], SandboxPolicy]) -> Start:
    """Starts it as the supervisor does: options by a descriptor where the backend takes them so. What makes the options
    is in the time, too."""
    if sys.platform != "linux" or not isinstance(sandbox, (BubblewrapSandbox, LandlockSandbox)):
        return lambda: _run(sandbox.wrap(argv, cwd, ENV, policy()))

    def start() -> None:
        program, options = sandbox.parts(argv, cwd, ENV, policy())
        given = os.memfd_create("options", 0)
        os.write(given, b"".join(os.fsencode(option) + b"\0" for option in options))
        os.lseek(given, 0, os.SEEK_SET)
        descriptors, more = [given], list[str]()
        if isinstance(sandbox, BubblewrapSandbox) and sandbox.filter is not None:
            descriptors.append(os.open(sandbox.filter, os.O_RDONLY))
            more = ["--seccomp", str(descriptors[1])]
        try:
            _run((*program, "--args", str(given), *more, "--", *argv), descriptors)
        finally:
            for each in descriptors:
                os.close(each)

    return start


def _figure(name: str, scale: Scale, argv: tuple[str, ...], wrapped: Start, goal: float | None) -> Figure:
    """Wrapped less bare, in milliseconds; the bare command beside it."""
    bare: list[float] = []
    over: list[float] = []
    wrapped()  # what is read from the disk for the first time is no cost of a start
    for _ in range(scale.repeats * (PAIRS if scale.repeats > 1 else 1)):
        bare.append(_timed_ms(lambda: _run(argv)))
        over.append(max(0.0, _timed_ms(wrapped) - bare[-1]))
    return Figure(f"{name}, over the bare command", "ms", over, goal, beside=[Beside("the bare command", bare)])


def _run(argv: Sequence[str], descriptors: Sequence[int] = ()) -> None:
    subprocess.run(argv, env=ENV, stdin=subprocess.DEVNULL, check=True, pass_fds=descriptors)


def _timed_ms(act: Start) -> float:
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1000


def _laid(workspace: Path, folder: Path) -> SandboxPolicy:
    """A fresh overlay, as every run gets one."""
    lower, upper, work = (folder / name for name in ("lower", "upper", "work"))
    for each in (lower, upper, work):
        each.mkdir(parents=True)
    return SandboxPolicy(writable=(workspace,), overlays=(Overlay(lower, upper, work, lower),))
