"""Which sandbox this machine gets, and whether that is enough for the settings."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, cast, get_args

from engine.errors import UserError
from engine.models.settings import SandboxSettings
from engine.ports import GUARANTEES, Sandbox
from engine.process.environment import absolute_entries
from engine.sandbox.bubblewrap import BubblewrapSandbox
from engine.sandbox.none import NoSandbox
from engine.sandbox.overlays import OverlayMounts
from engine.sandbox.probe import Probe, probe_bubblewrap, probe_overlays

CACHE = "sandbox.json"


def choose_sandbox(
    settings: SandboxSettings, state: Path, *, home: Path | None = None, path: str | None = None
) -> Sandbox:
    """The strongest sandbox that works here, probed with live escapes. Blocks (0.3 s, or 10 ms when the cache holds).

    state: the state folder, which keeps the result of the probe for as long as the machine is the same. home: the
    user's home folder, which gets hidden. path: the PATH where bwrap is looked for. Raises UserError when the settings
    require more than this machine can give.
    """
    home = home or Path.home()
    sandbox, reason = _available(state, home, os.environ.get("PATH", "") if path is None else path)
    if isinstance(sandbox, NoSandbox) and settings.without != "run":
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
        remedy = f"{_remedy()}, or " if sandbox.name == "none" else ""
        raise UserError(
            f"the sandbox {sandbox.name!r} cannot guarantee {', '.join(missing)}{because}: "
            f"{remedy}take {'it' if len(missing) == 1 else 'them'} out of require in swarm.toml"
        )


def _remedy() -> str:
    if sys.platform == "linux":
        return "install bubblewrap and allow unprivileged user namespaces"
    return "run the engine where bubblewrap works (Linux, or WSL2 on Windows)"


def _available(state: Path, home: Path, path: str) -> tuple[Sandbox, str]:
    """The sandbox, and why it is not better."""
    if sys.platform != "linux":
        return _none("there is no sandbox for this platform yet")
    found = shutil.which("bwrap", path=absolute_entries(path))
    if found is None:
        return _none("bubblewrap is not installed")
    program = Path(found).resolve()
    key = _key(program)
    probe = _remembered(state / CACHE, key)
    if probe is None:
        probe = probe_bubblewrap(program)
        if not probe.problem:
            probe = replace(probe, mounts=probe_overlays(program, probe.optional, state))
        # A failure is not remembered: it is quick to see again, and the person may just have mended it.
        if not probe.problem:
            _remember(state / CACHE, key, probe)
    if probe.problem:
        return _none(probe.problem)
    optional, mounts = probe.optional, probe.mounts
    return BubblewrapSandbox(program, probe.guarantees, home=home, optional=optional, mounts=mounts), ""


def _none(reason: str) -> tuple[Sandbox, str]:
    return NoSandbox(reason), reason


def _key(program: Path) -> list[str]:
    """What the outcome of the probe depends on."""
    try:
        version = subprocess.run(
            (program, "--version"), stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False
        ).stdout.decode("utf-8", "replace")
    except (OSError, subprocess.TimeoutExpired):
        version = ""
    boot = Path("/proc/sys/kernel/random/boot_id")
    user = str(os.getuid()) if sys.platform != "win32" else ""
    return [
        str(program),
        version.strip(),
        platform.release(),
        boot.read_text(encoding="ascii").strip() if boot.exists() else "",
        user,
    ]


def _remembered(cache: Path, key: list[str]) -> Probe | None:
    try:
        fields = cast("dict[str, Any]", json.loads(cache.read_text(encoding="utf-8")))
        if fields["key"] != key:
            return None
        guarantees = cast("Mapping[str, bool]", fields["guarantees"])
        mounts: OverlayMounts = fields["mounts"] if fields["mounts"] in get_args(OverlayMounts) else ""
        held = {name: guarantees[name] is True for name in GUARANTEES}
        return Probe(held, tuple(fields["optional"]), mounts=mounts)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(cache: Path, key: list[str], probe: Probe) -> None:
    cache.parent.mkdir(parents=True, exist_ok=True)
    new = cache.with_name(cache.name + ".new")
    new.write_text(json.dumps({"key": key, **asdict(probe)}), encoding="utf-8")
    new.replace(cache)
