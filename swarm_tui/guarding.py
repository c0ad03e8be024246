"""What holds agents and gates, in words: the sandbox with its guarantees, and the limits of each run."""

from __future__ import annotations

from collections.abc import Mapping

from engine.models.status import SandboxStatus
from engine.text.sizes import size_words

SIZES = ("memory", "disk", "file_size")


def sandbox_words(sandbox: SandboxStatus) -> str:
    """One line: the backend, what it does not guarantee, and why it is not a stronger one."""
    if sandbox.backend == "none":
        return f"none ({sandbox.reason}): agents and gates run with your own rights"
    missing = [name for name, held in sandbox.guarantees.items() if not held]
    held = f"without {', '.join(missing)}" if missing else "with every guarantee"
    return f"{sandbox.backend}, {held}" + (f" ({sandbox.reason})" if sandbox.reason else "")


def quota_words(quotas: Mapping[str, int]) -> str:
    """The limits of one run or gate; those that are 0 do not limit."""
    told = [
        f"{name.replace('_', ' ')} {size_words(most) if name in SIZES else most}"
        for name, most in quotas.items()
        if most
    ]
    return ", ".join(told) or "none"
