"""How each backend is made on this machine: found, probed with live escapes, and the outcome remembered."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast, get_args

from engine.ports import GUARANTEES, Sandbox
from engine.process.environment import absolute_entries
from engine.sandbox.attack import ESCAPES
from engine.sandbox.bubblewrap import BubblewrapSandbox
from engine.sandbox.landlock import LandlockSandbox
from engine.sandbox.landlock_run import landlock_abi
from engine.sandbox.overlays import OverlayMounts
from engine.sandbox.probe import DISABLED, FILTERED, NOTHING, Probe, probe, probe_bubblewrap, probe_overlays
from engine.sandbox.sandbox_exec import PROGRAM, SandboxExec
from engine.sandbox.seccomp import ALWAYS, SOCKETS, Variant, write_filter
from engine.sandbox.syscalls import this_architecture
from engine.sandbox.windows import WindowsSandbox

CACHE = "sandbox.json"
FILES = "sandbox"
"""A folder of the state folder, for filters and the empty file."""
ORDER = ("bubblewrap", "landlock", "sandbox-exec", "windows")
"""The first that works here is taken."""
UNFILTERED = "system calls are not filtered: holes in the kernel, keyrings and virtual machines' sockets are open"
NESTED = "programs inside can make user namespaces of their own"
UNMOUNTED = "overlays cannot be mounted: gates build cold"


class Unavailable(Exception):
    """The message says in one clause why a backend is not there."""


@dataclass(frozen=True)
class Machine:
    """What backends are made of: the state folder, the home to hide, and the PATH."""

    state: Path
    home: Path
    path: str

    def empty(self) -> Path:
        """A file with nothing in it, to mask others by."""
        file = self.state / FILES / "empty"
        if not file.is_file() or file.stat().st_size:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(b"")
        return file

    def filter(self, variant: Variant) -> Path | None:
        """A file with this system-call filter; None where there is no table of calls."""
        architecture = this_architecture()
        return write_filter(self.state / FILES, variant, architecture) if architecture is not None else None

    def probed(self, name: str, about: str, probing: Callable[[], Probe]) -> Probe:
        """The remembered outcome, or a new one. Raises Unavailable when the backend does not work or holds nothing.

        about: what the outcome depends on beside the machine, such as a version.
        """
        key = [*self._key, about]
        found = self._remembered(name, key)
        if found is None:
            found = probing()
            # A failure is not remembered: it is quick to see again, and the person may just have mended it.
            if not found.problem:
                self._remember(name, key, asdict(found))
        if found.problem:
            raise Unavailable(found.problem)
        if not any(found.guarantees.values()):
            raise Unavailable(f"{name} lets every escape through here")
        return found

    def limited(self, probing: Callable[[], bool]) -> bool:
        """Whether quotas hold here, as remembered or probed."""
        key = [*self._key]
        if (fields := self._fields("limits", key)) is not None and isinstance(fields.get("held"), bool):
            return fields["held"]
        if held := probing():
            self._remember("limits", key, {"held": held})
        return held

    @cached_property
    def _key(self) -> list[str]:
        boot = Path("/proc/sys/kernel/random/boot_id")
        attacks = repr((sorted(ESCAPES.items()), ALWAYS, sorted(SOCKETS.items()))).encode("utf-8")
        return [
            platform.release(),
            platform.machine(),
            boot.read_text(encoding="ascii").strip() if boot.exists() else "",
            str(os.getuid()) if sys.platform != "win32" else "",
            hashlib.sha256(attacks).hexdigest()[:16],
        ]

    def _cache(self) -> dict[str, Any]:
        try:
            read = json.loads((self.state / CACHE).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return cast("dict[str, Any]", read) if isinstance(read, dict) else {}

    def _fields(self, name: str, key: list[str]) -> dict[str, Any] | None:
        fields = self._cache().get(name)
        if not isinstance(fields, dict) or cast("dict[str, Any]", fields).get("key") != key:
            return None
        return cast("dict[str, Any]", fields)

    def _remembered(self, name: str, key: list[str]) -> Probe | None:
        if (fields := self._fields(name, key)) is None:
            return None
        try:
            mounts: OverlayMounts = fields["mounts"] if fields["mounts"] in get_args(OverlayMounts) else ""
            return Probe(
                {each: fields["guarantees"][each] is True for each in GUARANTEES},
                tuple(map(str, fields["optional"])),
                mounts=mounts,
                extras={str(each): held is True for each, held in fields["extras"].items()},
                broken=tuple(map(str, fields["broken"])),
            )
        except (TypeError, KeyError, AttributeError):
            return None

    def _remember(self, name: str, key: list[str], fields: Mapping[str, Any]) -> None:
        self.state.mkdir(parents=True, exist_ok=True)
        new = self.state / f"{CACHE}.{os.getpid()}"
        new.write_text(json.dumps({**self._cache(), name: {"key": key, **fields}}, indent=1), encoding="utf-8")
        new.replace(self.state / CACHE)


def bubblewrap(machine: Machine) -> Sandbox:
    found = shutil.which("bwrap", path=absolute_entries(machine.path))
    if found is None:
        raise Unavailable("bubblewrap is not installed")
    program, filtered = Path(found).resolve(), machine.filter("namespaces")

    def probing() -> Probe:
        seen = probe_bubblewrap(program, filtered)
        flags = tuple(flag for flag in seen.optional if flag != FILTERED)
        return seen if seen.problem else replace(seen, mounts=probe_overlays(program, flags, machine.state))

    seen = machine.probed("bubblewrap", f"{program} {_version(program)}", probing)
    weak = [UNFILTERED] if FILTERED not in seen.optional else []
    weak += [NESTED] if DISABLED not in seen.optional and FILTERED not in seen.optional else []
    weak += [UNMOUNTED] if not seen.mounts else []
    return BubblewrapSandbox(
        program,
        seen.guarantees,
        home=machine.home,
        optional=tuple(flag for flag in seen.optional if flag != FILTERED),
        mounts=seen.mounts,
        filter=filtered if FILTERED in seen.optional else None,
        empty=machine.empty(),
        weak=tuple(weak),
        extras=seen.extras,
        broken=seen.broken,
    )


def landlock(machine: Machine) -> Sandbox:
    if (abi := landlock_abi()) < 1:
        raise Unavailable("this kernel has no Landlock, or it is switched off")
    closed, port = machine.filter("closed"), machine.filter("port")
    if closed is None or port is None:
        raise Unavailable(f"system calls of {platform.machine() or 'this machine'} are not known, which Landlock needs")
    plain = LandlockSandbox(abi, NOTHING, closed=closed, port=port)
    seen = machine.probed("landlock", str(abi), lambda: probe("landlock", [((), lambda _: plain)]))
    made = LandlockSandbox(abi, seen.guarantees, closed=closed, port=port)
    made.extras, made.broken = seen.extras, seen.broken
    return made


def sandbox_exec(machine: Machine) -> Sandbox:
    if not PROGRAM.is_file():
        raise Unavailable(f"{PROGRAM} is not there")
    plain = SandboxExec(NOTHING)
    seen = machine.probed("sandbox-exec", platform.mac_ver()[0], lambda: probe("sandbox-exec", [((), lambda _: plain)]))
    made = SandboxExec(seen.guarantees)
    made.extras, made.broken = seen.extras, seen.broken
    return made


def windows(machine: Machine) -> Sandbox:
    plain = WindowsSandbox(NOTHING)
    seen = machine.probed("windows", platform.version(), lambda: probe("windows", [((), lambda _: plain)]))
    made = WindowsSandbox(seen.guarantees)
    made.extras, made.broken = seen.extras, seen.broken
    return made


BACKENDS: Mapping[str, Callable[[Machine], Sandbox]] = {
    "linux": {"bubblewrap": bubblewrap, "landlock": landlock},
    "darwin": {"sandbox-exec": sandbox_exec},
    "win32": {"windows": windows},
}.get(sys.platform, {})
"""Those that there can be on this platform."""


def _version(program: Path) -> str:
    try:
        said = subprocess.run(
            (program, "--version"), stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return said.decode("utf-8", "replace").strip()
