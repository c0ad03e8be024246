"""The sandbox and the limits in words."""

from __future__ import annotations

import pytest

from engine.models.status import SandboxStatus
from swarm_tui.guarding import quota_words, sandbox_words

HELD = {"fs_write": True, "net": True}


@pytest.mark.parametrize(
    ("sandbox", "said"),
    [
        (SandboxStatus(backend="bubblewrap", guarantees=HELD), "bubblewrap, with every guarantee"),
        (
            SandboxStatus(backend="landlock", reason="no bwrap", guarantees={**HELD, "fs_write": False}),
            "landlock, without fs_write (no bwrap)",
        ),
        (
            SandboxStatus(backend="none", reason="no bwrap", guarantees=dict.fromkeys(HELD, False)),
            "none (no bwrap): agents and gates run with your own rights",
        ),
    ],
)
def test_a_sandbox_is_told_by_what_it_lacks(sandbox: SandboxStatus, said: str) -> None:
    assert sandbox_words(sandbox) == said


def test_limits_are_told_with_their_units_and_none_where_there_is_none() -> None:
    quotas = {"memory": 16_000_000_000, "processes": 2048, "disk": 0, "file_size": 4_000_000}
    assert quota_words(quotas) == "memory 16.0 GB, processes 2048, file size 4.0 MB"
    assert quota_words({"memory": 0}) == quota_words({}) == "none"
