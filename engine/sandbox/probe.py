"""Whether a backend works on this machine, and what it holds here: each variant of it, strongest first, is attacked."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.ports import GUARANTEES, Overlay, Sandbox, SandboxPolicy
from engine.sandbox.attack import ProbeFailed, escaped, judge, short_folder, unguarded
from engine.sandbox.bubblewrap import BubblewrapSandbox
from engine.sandbox.overlays import OverlayMounts

TIMEOUT_S = 20.0
NOTHING: Mapping[str, bool] = dict.fromkeys(GUARANTEES, False)

MakeSandbox = Callable[[Path], Sandbox]
"""The sandbox, hiding this folder as home."""


@dataclass(frozen=True)
class Probe:
    """`problem` is one sentence when the sandbox does not work at all; then every guarantee is False.

    optional: what the strongest working variant is. mounts: who mounts overlays here. extras: what is held beyond the
    guarantees (see `attack.ESCAPES`). broken: the escapes that got through.
    """

    guarantees: Mapping[str, bool]
    optional: tuple[str, ...] = ()
    problem: str = ""
    mounts: OverlayMounts = ""
    extras: Mapping[str, bool] = field(default_factory=dict[str, bool])
    broken: tuple[str, ...] = ()


def probe(name: str, variants: Iterable[tuple[tuple[str, ...], MakeSandbox]]) -> Probe:
    """Attack the first variant that works: (its `optional`, how it is made). Takes about 0.3 s; blocks."""
    problem = ""
    with tempfile.TemporaryDirectory(prefix="swarm-probe-", dir=short_folder()) as made:
        folder = Path(made).resolve()
        for number, (optional, make) in enumerate(variants):
            home = folder / f"home{number}"

            def wrap(
                argv: tuple[str, ...], cwd: Path, policy: SandboxPolicy, home: Path = home, make: MakeSandbox = make
            ) -> tuple[tuple[str, ...], Mapping[str, str]]:
                return make(home).wrap(argv, cwd, {}, policy), {}

            try:
                worked = escaped(folder / f"inside{number}", home, wrap)
                held = judge(worked, unguarded(folder))
            except (ProbeFailed, OSError) as error:
                problem = problem or str(error)
                continue
            return Probe(held.guarantees, optional, extras=held.extras, broken=held.broken)
    return Probe(NOTHING, problem=f"{name} does not work here ({problem})")


DISABLED, FILTERED = "--disable-userns", "--seccomp"


def probe_bubblewrap(program: Path, filter: Path | None = None) -> Probe:  # noqa: A002
    """Attack bubblewrap, with the filter and without nested namespaces if it can do that."""

    def variant(*optional: str) -> tuple[tuple[str, ...], MakeSandbox]:
        flags = tuple(flag for flag in optional if flag != FILTERED)
        used = filter if FILTERED in optional else None
        return optional, lambda home: BubblewrapSandbox(program, NOTHING, home=home, optional=flags, filter=used)

    filtered = [(DISABLED, FILTERED), (FILTERED,)] if filter is not None else []
    return probe("bubblewrap", [variant(*each) for each in (*filtered, (DISABLED,), ())])


def probe_overlays(program: Path, optional: tuple[str, ...], state: Path) -> OverlayMounts:
    """Who mounts overlays on the disk of the folder `state`: the first whose command sees the lower files and changes
    them, while they stay as they are. Takes about 20 ms; blocks."""
    state.mkdir(parents=True, exist_ok=True)
    backends: tuple[OverlayMounts, ...] = ("bwrap", "unshare")
    for mounts in backends:
        with tempfile.TemporaryDirectory(prefix="probe-overlay-", dir=state) as name:
            folder = Path(name).resolve()
            lower, upper, work = folder / "lower", folder / "upper", folder / "work"
            for made in (lower, upper, work):
                made.mkdir()
            for file in ("changed", "removed"):
                (lower / file).write_text("lower", encoding="utf-8")
            policy = SandboxPolicy(overlays=(Overlay(lower, upper, work, lower),))
            sandbox = BubblewrapSandbox(program, NOTHING, home=folder / "home", optional=optional, mounts=mounts)
            line = "cat changed removed && echo upper > changed && rm removed && mkdir made && mv made moved"
            try:
                argv = sandbox.wrap(("/bin/sh", "-c", line), lower, {"PATH": "/usr/bin:/bin"}, policy)
                done = subprocess.run(
                    argv, cwd=folder, env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S
                )
            except (OSError, ValueError, subprocess.TimeoutExpired):
                continue
            finally:
                for at in (work / "work", work):
                    if at.is_dir():
                        at.chmod(0o700)  # overlayfs leaves it locked
            lower_now = {each.name: _text(each) for each in lower.iterdir()}
            taken = (upper / "changed").is_file() and (upper / "moved").is_dir()
            stayed = lower_now == {"changed": "lower", "removed": "lower"}
            if done.returncode == 0 and done.stdout == b"lowerlower" and taken and stayed:
                return mounts
    return ""


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
