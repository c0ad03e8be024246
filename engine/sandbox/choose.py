"""Which sandbox this machine gets, and whether that is enough for the settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from engine.errors import UserError
from engine.models.settings import SandboxSettings
from engine.ports import Sandbox
from engine.sandbox.backends import BACKENDS, ORDER, Machine, Unavailable
from engine.sandbox.none import NoSandbox


def choose_sandbox(
    settings: SandboxSettings,
    state: Path,
    *,
    home: Path | None = None,
    path: str | None = None,
    among: Collection[str] = ORDER,
    limits: Callable[[], bool] | None = None,
) -> Sandbox:
    """The strongest sandbox that works here, probed with live escapes. Blocks (0.5 s, or 10 ms when the cache holds).

    Its `reason` says why it is not a stronger one; "" for the strongest. state: the state folder, which keeps the
    result of the probe for as long as the machine is the same. home: the user's home folder, which gets hidden. path:
    the PATH where bwrap is looked for. among: the backends that may be taken. limits: a live probe of the supervisor's
    quotas, which hold with every backend. Raises UserError when the settings require more than this machine can give.
    """
    machine = Machine(state, home or Path.home(), os.environ.get("PATH", "") if path is None else path)
    sandbox = _strongest(machine, among)
    if limits is not None and machine.limited(limits):
        sandbox.guarantees = {**sandbox.guarantees, "limits": True}
    reason = sandbox.reason
    if sandbox.name == "none" and settings.without != "run":
        raise UserError(
            f'without = "{settings.without}" in [sandbox] of swarm.toml needs a sandbox and {reason}: '
            f'{_remedy()}, or write without = "run"'
        )
    require_guarantees(sandbox, settings.require, reason)
    return sandbox


def require_guarantees(sandbox: Sandbox, required: Iterable[str], reason: str = "") -> None:
    """Raises UserError with one sentence when `sandbox` lacks one of the `required` guarantees."""
    missing = [name for name in required if not sandbox.guarantees.get(name, False)]
    if missing:
        because = f" ({reason})" if reason else ""
        remedy = f"{_remedy()}, or " if sandbox.name != "bubblewrap" else ""
        raise UserError(
            f"the sandbox {sandbox.name!r} cannot guarantee {', '.join(missing)}{because}: "
            f"{remedy}take {'it' if len(missing) == 1 else 'them'} out of require in swarm.toml"
        )


def _strongest(machine: Machine, among: Collection[str]) -> Sandbox:
    reasons: list[str] = []
    for name in ORDER:
        if name not in among or (make := BACKENDS.get(name)) is None:
            continue
        try:
            sandbox = make(machine)
        except Unavailable as error:
            reasons.append(str(error))
            continue
        sandbox.reason = "; ".join(reasons)
        return sandbox
    return NoSandbox("; ".join(reasons) or "there is no sandbox for this platform")


def _remedy() -> str:
    if sys.platform == "linux":
        return "install bubblewrap and allow unprivileged user namespaces"
    return "run the engine where bubblewrap works (Linux, or WSL2 on Windows)"
