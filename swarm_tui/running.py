"""`swarm --no-ui`: one engine until idle, for a time, or until somebody stops it."""

from __future__ import annotations

import sys
from pathlib import Path

from engine.errors import UserError
from engine.models.status import Status
from engine.models.units import parse_duration
from swarm_tui.place import find_place

EXIT_PARKED = 4
EXIT_INTERRUPTED = 130


def parse_until(until: str) -> tuple[bool, float | None]:
    """(until idle, seconds). Raises UserError."""
    if until == "":
        return False, None
    if until == "idle":
        return True, None
    try:
        return False, parse_duration(until)
    except ValueError:
        raise UserError(f'--until takes "idle" or a duration such as 90s, 10m or 8h, not {until!r}') from None


def exit_code_of(status: Status, interrupted: bool) -> int:
    """130 interrupted; 1 main is not green; 4 work waits for a person; 0 all well."""
    if interrupted:
        return EXIT_INTERRUPTED
    if status.health != "green":
        return 1
    held = status.problems and status.work_orders.get("ready")
    return EXIT_PARKED if status.parked or status.approvals or held else 0


def run_engine(repo: Path | None, state: Path | None, *, until: str, as_json: bool, log_levels: str) -> int:
    """Run headless and return the exit code of the contract."""
    from swarm_tui.compose import make_host
    from swarm_tui.headless import run_headless

    until_idle, duration_s = parse_until(until)
    place = find_place(repo, state)
    host = make_host(place, log_levels=log_levels)
    status, interrupted = run_headless(
        host, place.folders, until_idle=until_idle, duration_s=duration_s, as_json=as_json
    )
    sys.stdout.flush()
    return exit_code_of(status, interrupted)
