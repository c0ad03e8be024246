"""The artifact of a flow, built from the commit under test: a canary of a stale binary is worse than none."""

from __future__ import annotations

import asyncio
from pathlib import Path

from canary.drivers import driver_of
from canary.drivers.driver import Launch
from canary.launch import Ground
from canary.places import real_place
from canary.records import Records
from canary.surely import surely
from canary.verdicts import Miss
from canary.wording import how_it_is, last_line
from engine.canary_policy import PACKAGE_FAILED
from engine.errors import InfrastructureFault, SwarmError
from engine.git.removal import remove_tree, unlock_folder
from engine.models.flow import Flow


def artifact_path(flow: Flow, ground: Ground) -> Path | None:
    """Where the flow's artifact is built; None when it has none."""
    inside = flow.artifact.removeprefix("{cache}/")
    return artifact_root(flow, ground) / inside if inside else None


def artifact_root(flow: Flow, ground: Ground) -> Path:
    """What the artifact has to lie in: the checkout, or the cache."""
    return ground.cache if flow.artifact.startswith("{cache}/") else ground.tree


async def package(flow: Flow, ground: Ground, records: Records) -> None:
    """Build it, and keep it by its hash. Raises Miss, InfrastructureFault and UserError."""
    artifact, root = artifact_path(flow, ground), artifact_root(flow, ground)
    if artifact is not None:
        # A leftover, or a committed binary: what is not built now would prove nothing about this commit.
        await asyncio.to_thread(_clear, flow, artifact, root)
    await _build(flow, await asyncio.to_thread(ground.package, flow.package), records)
    if artifact is not None:
        await _keep(flow, artifact, root, records)


def _clear(flow: Flow, artifact: Path, root: Path) -> None:
    """Remove what lies there, a folder too. Raises Miss when the commit has a link on the way that leads out: out there
    nothing is removed. One that an earlier build left in the cache is no fault of this commit, and is removed."""
    if flow.artifact.startswith("{cache}/"):
        for place in [each for each in artifact.parents if each.is_relative_to(root) and each != root][::-1]:
            if real_place(place, root) is None:
                remove_tree(place)
    folder = real_place(artifact.parent, root)
    if folder is None:
        raise _led_out(flow)
    try:
        unlock_folder(str(folder))
    except OSError:
        pass  # not there, or no folder: the build may make it one
    if not remove_tree(folder / artifact.name):
        raise InfrastructureFault(f"the artifact {flow.artifact} of an earlier build cannot be removed")


async def _keep(flow: Flow, artifact: Path, root: Path, records: Records) -> None:
    real = await asyncio.to_thread(real_place, artifact, root)
    if real is None:
        raise _led_out(flow)
    if not real.is_file():
        raise Miss("FAIL", f"{PACKAGE_FAILED}expected it to leave {flow.artifact}, which is not there")
    try:
        await records.file("artifact", real)
    except InfrastructureFault:
        raise
    except SwarmError as error:
        raise Miss("FAIL", f"{PACKAGE_FAILED}expected {flow.artifact} to be a file, saw that {error}") from error


def _led_out(flow: Flow) -> Miss:
    where = "the cache" if flow.artifact.startswith("{cache}/") else "the repository"
    return Miss("FAIL", f"{PACKAGE_FAILED}expected {flow.artifact} inside {where}, saw a link that leads out of it")


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
