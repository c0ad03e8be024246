"""Commands that look at a state folder from outside: status, where, log, events, the roadmap; and those that send a
command."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from engine import read_only
from engine.client import Client
from engine.errors import SwarmError, UserError
from engine.folders import StateFolder
from engine.models.status import CanaryStatus, FlowStatus, Status
from engine.state import State
from engine.status import status_of
from engine.text.sanitise import sanitise, sanitise_bytes, sanitise_line
from swarm_tui.guarding import quota_words, sandbox_words
from swarm_tui.place import find_folders, find_place
from swarm_tui.pull_requests import pull_request_line
from swarm_tui.spent import status_lines

FOLLOW_S = 0.2
SHOWN_DENIALS = 3
TREND = 20


def _out(data: Any) -> None:
    # ASCII, because C1 controls and bidi signs in a title would otherwise reach the terminal as they are.
    sys.stdout.write(json.dumps(data, indent=2) + "\n")


def print_status(repo: Path | None, state: Path | None, *, as_json: bool) -> None:
    folders = find_folders(repo, state)
    broken = read_only.reason(folders)
    try:
        client = Client.attach(folders)
    except SwarmError:
        if not broken:
            raise
        status = status_of(State(), time.time(), running=False, read_only=broken)
    else:
        try:
            status = status_of(client.state, time.time(), running=client.engine_runs(), read_only=broken)
        finally:
            client.close()
    if as_json:
        _out(status.model_dump(mode="json"))
        return
    lines = [
        f"main       {status.main[:12]}  {status.health}: {sanitise_line(status.why)}",
        f"last good  {status.last_good[:12] or 'unknown'}",
        f"engine     {'running' if status.running else 'not running'}{', paused' if status.paused else ''}"
        + (", read-only" if broken else ""),
        f"orders     {', '.join(f'{n} {phase}' for phase, n in sorted(status.work_orders.items())) or 'none'}",
    ]
    lines += canary_words(status.canary)
    lines += [f"sandbox    {sanitise_line(sandbox_words(status.sandbox))}"] if status.sandbox.backend else []
    lines += [f"limits     {quota_words(status.quotas)} for each run and gate"] if status.quotas else []
    lines += [f"run        {run.run} by {run.agent}" for run in status.runs]
    lines += [
        f"train {row.place:>2}   {row.work_order or row.change}: waits for {sanitise_line(row.waits_for)}"
        for row in status.train
    ]
    lines += [
        f"needs you  {order.id}: {sanitise_line(order.why)}\n           → {sanitise_line(order.do)}"
        for order in status.orders
        if order.state == "parked"
    ]
    lines += [f"approval   {a.id} ({sanitise_line(a.danger)}): {sanitise_line(a.title)}" for a in status.approvals]
    lines += [
        f"golden     {one.id} ({sanitise_line(one.flow)}): {sanitise_line(one.path)}, {'new' if one.new else 'changed'}"
        for one in status.goldens_pending
    ]
    lines += _denied(status)
    lines += [f"unproven   {commit[:12]} (a person's)" for commit in status.unproven]
    lines += [
        f"quarantine {sanitise_line(q.test)} until {q.until}: {q.work_order} mends it ({sanitise_line(q.owner)})"
        for q in status.quarantined
    ]
    lines += [f"publish    pending: {sanitise_line(status.publish_pending)}"] if status.publish_pending else []
    lines += [pull_request_line(request) for request in status.pull_requests]
    lines += [
        sanitise_line(f"provider   {one.provider} is paused until {one.until or 'swarm resume'}: {one.why}")
        for one in status.providers
    ]
    lines += [f"problem    {sanitise_line(problem)}" for problem in status.problems]
    lines += status_lines(status)
    sys.stdout.write("\n".join(lines) + "\n")


def canary_words(canary: CanaryStatus) -> list[str]:
    """Each flow's last run, how often it lies and how its samples went, and how long landing was frozen."""
    lines: list[str] = []
    for flow in canary.flows:
        last = flow.newest[-1] if flow.newest else None
        said = f"{last.verdict} on {last.commit[:12]}" if last else "no run"
        red = f"red {flow.reds} of {flow.runs} times on good commits" if flow.runs else "no run on a good commit yet"
        lines.append(f"canary     {sanitise_line(flow.flow)}: {said}; {red}")
        lines += _trends(flow)
    if canary.waiting:
        lines.append(f"           {canary.waiting} landing{'s' * (canary.waiting != 1)} not judged yet")
    if canary.searching:
        lines.append(f"           the culprit of {canary.searching[:12]} is searched")
    if canary.freezes:
        often = "once" if canary.freezes == 1 else f"{canary.freezes} times"
        lines.append(f"           landing was frozen {often}, {canary.frozen_s:.0f} s in all")
    return lines


def _trends(flow: FlowStatus) -> list[str]:
    if not flow.trends:
        return []
    from swarm_tui.figures import own_ramp, sparkline  # seldom needed, and long to import

    return [
        f"           {sanitise_line(sample)} {sparkline(values, TREND, own_ramp())} {values[-1]:.4g}, "
        f"medians of {len(values)} good commit{'s' * (len(values) != 1)}"
        for sample, values in flow.trends.items()
    ]


def _denied(status: Status) -> list[str]:
    """How much was denied by which rule, and the newest denials."""
    if not status.denied:
        return []
    counts = sorted(status.denied.items(), key=lambda row: (-row[1], row[0]))
    lines = [f"denied     {', '.join(f'{count} by {sanitise_line(rule)}' for rule, count in counts)}"]
    for denial in status.denials[-SHOWN_DENIALS:]:
        who = sanitise_line(denial.work_order or denial.run or "a person's change")
        lines.append(f"           {who}: {sanitise_line(denial.reason)}")
    return lines


def print_where(repo: Path | None, state: Path | None, *, as_json: bool) -> None:
    folders = find_folders(repo, state)
    found = {
        "state": folders.root,
        "hub": folders.hub,
        "artifacts": folders.artifacts,
        "runs": folders.runs,
        "patches": folders.patches,
        "public_key": folders.keys / "public.pem",
        "allowed_signers": folders.keys / "allowed_signers",
        "log": folders.log,
        "journal": folders.journal,
    }
    if as_json:
        _out({name: str(path) for name, path in found.items()})
    else:
        sys.stdout.write("".join(f"{name:<16}{path}\n" for name, path in found.items()))


def print_log(repo: Path | None, state: Path | None, subject: str, *, follow: bool) -> None:
    folders = find_folders(repo, state)
    path = _log_of(folders, subject) if subject else folders.log
    if not path.is_file():
        who, do = (subject, "wait until it has started") if subject else ("the engine", "start it once with `swarm`")
        raise UserError(f"there is no log of {sanitise_line(who)} yet at {path}: {do}")
    with path.open("rb") as file:
        while True:
            while raw := file.read(65_536):
                # Agents wrote this: nothing of it may reach the terminal as a control sequence.
                sys.stdout.write(sanitise_bytes(raw))
            sys.stdout.flush()
            if not follow:
                return
            time.sleep(FOLLOW_S)


def _log_of(folders: StateFolder, subject: str) -> Path:
    runs = folders.runs
    names = sorted(path.name for path in runs.iterdir() if path.is_dir()) if runs.is_dir() else []
    if subject in names:
        return runs / subject / "log"
    own = [name for name in names if name.rsplit(".", 1)[0] == subject and name.rsplit(".", 1)[-1].isdigit()]
    if not own:
        raise UserError(
            f"there is no run or work order {sanitise_line(subject)}; `swarm status` and `swarm roadmap show` list them"
        )
    return runs / max(own, key=lambda name: int(name.rsplit(".", 1)[-1])) / "log"


def print_events(repo: Path | None, state: Path | None, *, follow: bool, as_json: bool, after: int) -> None:
    from swarm_tui.headless import line_of
    from swarm_tui.phrases import phrase

    client = Client.attach(find_folders(repo, state))
    from rich.console import Console

    console = Console(highlight=False, markup=False, soft_wrap=True)
    try:
        seen = after
        while True:
            for event in client.reader.events(seen):
                seen = event.seq
                if as_json:
                    sys.stdout.write(json.dumps(event.as_json(), separators=(",", ":")) + "\n")
                elif (made := phrase(event)) is not None:
                    console.print(line_of(event, made))
            sys.stdout.flush()
            if not follow:
                return
            time.sleep(FOLLOW_S)
    finally:
        client.close()


def send_command(repo: Path | None, state: Path | None, name: str, args: dict[str, str]) -> int:
    """Send it and print the answer; 0. Raises UserError when it is refused."""
    from swarm_tui.sending import send_or_refuse

    client = Client.attach(find_folders(repo, state))
    try:
        said = send_or_refuse(client, name, args)
    finally:
        client.close()
    sys.stdout.write(said + "\n")
    return 0


def print_roadmap(repo: Path | None, state: Path | None, *, as_json: bool) -> None:
    from engine.loading import ROADMAP_FILE, load_roadmap

    place = find_place(repo, state)
    roadmap = load_roadmap(place.repository.root / ROADMAP_FILE)
    phases: dict[str, str] = {}
    added: list[Any] = []
    if place.folders.journal.is_file():
        client = Client.attach(place.folders)
        phases = {ident: order.phase for ident, order in client.state.orders.items()}
        added = [order.spec for order in client.state.orders.values() if order.source == "swarm"]
        client.close()
    orders = [*roadmap.work_order, *added]
    if as_json:
        rows = [{**order.model_dump(mode="json"), "state": phases.get(order.id, "draft")} for order in orders]
        _out({"items": [item.model_dump(mode="json") for item in roadmap.item], "work_orders": rows})
        return
    names = {item.id: item.title for item in roadmap.item}
    lines: list[str] = []
    for item in [*names, ""]:
        own = [order for order in orders if order.item == item or (item == "" and order.item not in names)]
        if own:
            lines.append(sanitise_line(names.get(item, "(no item)")))
        lines += [f"  {phases.get(order.id, 'draft'):<10} {order.id:<24} {sanitise_line(order.title)}" for order in own]
    sys.stdout.write("\n".join(lines or ["the roadmap is empty: add a [[work_order]] to roadmap.toml"]) + "\n")


def print_schemas(out: Path | None) -> None:
    from engine.models.events import EVENTS
    from engine.models.metrics import Metrics
    from engine.models.status import Status
    from engine.schemas import all_schemas
    from roles.agents.script_format import Script

    schemas = all_schemas(
        {
            "status": Status,
            "metrics": Metrics,
            "script": Script,
            **{f"event-{kind}": model for kind, model in EVENTS.items()},
        }
    )
    if out is None:
        _out(schemas)
        return
    out.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas.items():
        (out / f"{name}.schema.json").write_text(json.dumps(schema, indent=2) + "\n", encoding="utf-8", newline="\n")
    sys.stdout.write(f"wrote {len(schemas)} schemas to {sanitise(str(out))}\n")
