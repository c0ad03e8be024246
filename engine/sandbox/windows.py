"""Windows sandbox without administrator rights: a token of low integrity. Untested on this platform.

The kernel lets such a process write only what carries a low label; the policy's writable folders get one, and keep it.
It can read whatever the user can, and reach the network: there, WSL2 with bubblewrap is the sandbox to recommend. The
job object that ends the whole tree is the supervisor's (`engine.process.shim_windows`).
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from engine.ports import Sandbox, SandboxPolicy
from engine.sandbox.meanings import UNTESTED

WEAK: tuple[str, ...] = (
    UNTESTED,
    "whatever you can read can be read, secrets included",
    "the network is not cut off: allowed hosts are not enforced",
    "writable folders keep a low integrity label; files cannot be masked",
)


class WindowsSandbox(Sandbox):
    """The environment is that of whoever starts the argv: exactly `env`."""

    name = "windows"
    weak: tuple[str, ...] = WEAK

    def __init__(self, guarantees: Mapping[str, bool]) -> None:
        self.guarantees: Mapping[str, bool] = dict(guarantees)

    def wrap(self, argv: tuple[str, ...], cwd: Path, env: Mapping[str, str], policy: SandboxPolicy) -> tuple[str, ...]:
        """Raises ValueError for overlays."""
        if policy.overlays:
            raise ValueError("this sandbox has no overlays")
        script = Path(__file__).with_name("windows_launch.py")
        python = str(getattr(sys, "_base_executable", "") or sys.executable)
        options = [word for path in policy.writable for word in ("--write", str(path.resolve()))]
        return (python, "-I", "-S", "-X", "utf8", str(script), *options, "--chdir", str(cwd), "--", *argv)
