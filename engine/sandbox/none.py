"""No sandbox: the command runs as the user, and says so. Every guarantee is absent."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.ports import GUARANTEES, Sandbox, SandboxPolicy


class NoSandbox(Sandbox):
    """`reason`: one sentence why there is none, for people."""

    name = "none"

    def __init__(self, reason: str = "") -> None:
        self.reason = reason
        self.guarantees: Mapping[str, bool] = dict.fromkeys(GUARANTEES, False)

    def wrap(self, argv: tuple[str, ...], cwd: Path, env: Mapping[str, str], policy: SandboxPolicy) -> tuple[str, ...]:
        """`argv` itself; whoever starts it gives it `cwd` and `env`. The policy is not enforced."""
        return argv
