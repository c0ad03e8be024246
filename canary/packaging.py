"""The artifact of a flow, built from the commit under test: a canary of a stale binary is worse than none."""

from __future__ import annotations

import asyncio
from pathlib import Path

from canary.drivers import driver_of
from canary.drivers.driver import Launch
from canary.launch import Ground
from canary.records import Records
from canary.surely import surely
from canary.verdicts import Miss
from canary.wording import how_it_is, last_line
from engine.canary_policy import PACKAGE_FAILED
from engine.models.flow import Flow


def artifact_path(flow: Flow, ground: Ground) -> Path | None:
    """Where the flow's artifact is built; None when it has none."""
    inside = flow.artifact.removeprefix("{cache}/")
    return (ground.cache if inside != flow.artifact else ground.tree) / inside if inside else None


async def package(flow: Flow, ground: Ground, records: Records) -> None:
    """Build it, and keep it by its hash. Raises Miss, InfrastructureFault and UserError."""
    artifact = artifact_path(flow, ground)
    if artifact is not None:
        # A leftover, or a committed binary: what is not built now would prove nothing about this commit.
        await asyncio.to_thread(artifact.unlink, missing_ok=True)
    await _build(flow, await asyncio.to_thread(ground.package, flow.package), records)
    if artifact is not None:
        if not artifact.is_file():
            raise Miss("FAIL", f"{PACKAGE_FAILED}expected it to leave {flow.artifact}, which is not there")
        await records.file("artifact", artifact)


async def _build(flow: Flow, launch: Launch, records: Records) -> None:
    within_s = flow.package_within
    session = await driver_of("process").start(launch)
    try:
        await session.end_input()
        await session.until(lambda: session.ended or None, within_s)
        if session.exit_code != 0 or not session.ended:
            over = session.ended or session.overflow
            seen = how_it_is(session) if over else f"it took longer than {within_s:g} s"
            wanted = f"expected {flow.package[0]} to exit with 0"
            raise Miss("FAIL", f"{PACKAGE_FAILED}{wanted}, saw {seen}{last_line(session)}")
    finally:
        await surely(session.kill())
        await records.log("package-log", session)
