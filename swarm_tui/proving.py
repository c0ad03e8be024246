"""Proof by hand: `swarm gates`, `swarm verify` and `swarm canary` on one commit, with or without a running engine."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.client import Client
from engine.definitions import policy_digest
from engine.errors import UserError
from engine.host import Site
from engine.loading import load_definitions
from engine.models.settings import Settings
from engine.ports import CanaryRequest, GateRequest
from engine.text.sanitise import sanitise_bytes, sanitise_line
from swarm_tui.compose import Wings, make_wings, open_site
from swarm_tui.place import find_place

LOG_LINES = 20


@dataclass(frozen=True)
class Bench:
    """A site opened beside whatever engine there is, and the wings to run things with."""

    site: Site
    wings: Wings


def open_bench(repo: Path | None, state: Path | None) -> Bench:
    place = find_place(repo, state)
    site = open_site(place, sole=False)  # what lies in the stores may be a running engine's
    return Bench(site, make_wings(site, f"hand-{os.getpid()}", slots=1, prefix="hand-"))


def _settings_at(site: Site, commit: str) -> Settings:
    """Limits from the working copy, definitions as committed there; of the working copy where that commit has none."""
    hub = site.hub
    committed = load_definitions(
        lambda path: hub.read_file(commit, path), lambda folder: hub.list_files(commit, folder), commit[:12]
    )
    working = site.definitions.working
    return working if committed is None else working.with_definitions_of(committed)


def run_gates(
    repo: Path | None, state: Path | None, revision: str, *, base: str, names: list[str], as_json: bool
) -> int:
    """Gate one commit's own tree. Definitions come from the base, never from the commit under test."""
    from gates.definitions import select

    bench = open_bench(repo, state)
    site, hub = bench.site, bench.site.hub
    commit = hub.fetch_objects(site.repository.root, revision)
    base_commit = hub.fetch_objects(site.repository.root, base or site.definitions.working.project.main)
    settings = _settings_at(site, base_commit)
    gates = select([gate for gate in settings.gate if gate.run], names)
    if not gates:
        raise UserError("there is no gate in swarm.toml, so nothing can be proved: write a [[gate]]")
    tree, base_tree, policy = hub.tree_of(commit), hub.tree_of(base_commit), policy_digest(settings)
    request = GateRequest(
        key=f"hand.{uuid.uuid4().hex[:12]}",
        tree=tree,
        base_tree=base_tree,
        base_commit=base_commit,
        repository=hub.root_commit(),
        gates=gates,
        policy=policy,
        base_report=_known_report(site, base_tree, policy),
        kind="gates",
    )

    async def emit(kind: str, fields: dict[str, Any]) -> None:
        if not as_json and kind == "gate_finished":
            sys.stdout.write(_gate_line(fields) + "\n")
            sys.stdout.flush()

    signed = asyncio.run(bench.wings.ports.gates.run(request, emit))
    report, path = signed.report, site.artifacts.path(signed.digest)
    if as_json:
        gates_said = [{**g.model_dump(mode="json")} for g in report.gates]
        said = {
            "result": report.result,
            "report": str(path),
            "tree": tree,
            "base": base_tree,
            "commit": commit,
            "digest": signed.digest,
            "gates": gates_said,
            "reasons": report.reasons,
        }
        sys.stdout.write(json.dumps(said, indent=2) + "\n")
    else:
        for gate in report.gates:
            if gate.result not in ("green", "skipped") and gate.log:
                sys.stdout.write(
                    f"\n{gate.name} said at its end ({site.artifacts.path(gate.log)}):\n{_end_of(site, gate.log)}"
                )
        sys.stdout.write(f"\n{report.result}: tree {tree[:12]} on base {base_tree[:12]}\nreport {path}\n")
    return 0 if report.result == "green" else 1


def _end_of(site: Site, digest: str) -> str:
    """The last lines of a log artifact, indented. Gates print what the code under test says: all of it is sanitised."""
    lines = sanitise_bytes(site.artifacts.get(digest)).splitlines()[-LOG_LINES:]
    return "".join(f"    {line}\n" for line in lines)


def _gate_line(fields: dict[str, Any]) -> str:
    mark = {"green": "✔", "skipped": "·"}.get(fields["result"], "✘")
    counts = (
        f"  {fields['passed']} passed, {fields['failed']} failed, {fields['skipped']} skipped"
        if fields["executed"]
        else ""
    )
    cached = " (cached)" if fields["cached"] else ""
    why = f"  {sanitise_line(fields['reason'])}" if fields["reason"] else ""
    return f"{mark} {fields['gate']:<16} {fields['result']:<8} {fields['duration_s']:6.1f} s{cached}{counts}{why}"


def _known_report(site: Site, base_tree: str, policy: str) -> str:
    """The report that the journal has for the base tree, for its list of passing tests."""
    if not site.folders.journal.is_file():
        return ""
    client = Client.attach(site.folders)
    verdict = client.state.verified.get(base_tree)
    client.close()
    return verdict.report if verdict is not None and verdict.policy == policy else ""


def run_canary(repo: Path | None, state: Path | None, revision: str, *, as_json: bool) -> int:
    """Run every flow of the commit's own definitions on it, once, without the confirmation that an engine would do."""
    bench = open_bench(repo, state)
    site, hub = bench.site, bench.site.hub
    commit = hub.fetch_objects(site.repository.root, revision)
    flows = tuple(_settings_at(site, commit).canary.flow)
    if not flows:
        raise UserError("there is no canary flow in swarm.toml or canary/*.toml: write a [[canary.flow]]")
    request = CanaryRequest(key=f"hand.{uuid.uuid4().hex[:12]}", commit=commit, tree=hub.tree_of(commit), flows=flows)
    outcome = asyncio.run(bench.wings.ports.canary.run(request))
    if as_json:
        rows = [
            {
                "flow": f.flow,
                "verdict": f.verdict,
                "reason": f.reason,
                "duration_s": f.duration_s,
                "samples": {k: list(v) for k, v in f.samples.items()},
                "artifacts": dict(f.artifacts),
            }
            for f in outcome.flows
        ]
        sys.stdout.write(
            json.dumps(
                {"verdict": outcome.verdict, "reason": outcome.reason, "commit": commit, "flows": rows}, indent=2
            )
            + "\n"
        )
    else:
        for flow in outcome.flows:
            mark = "✔" if flow.verdict == "PASS" else "✘"
            sys.stdout.write(
                f"{mark} {flow.flow:<20} {flow.verdict:<13} {flow.duration_s:5.1f} s  {sanitise_line(flow.reason)}\n"
            )
        sys.stdout.write(f"\n{outcome.verdict} on {commit[:12]}\n")
    return 0 if outcome.verdict == "PASS" else 1


def verify_subject(repo: Path | None, state: Path | None, subject: str, *, as_json: bool) -> int:
    """A report file, a commit, or a range. Exit 0 only if everything asked about is proved (a range may hold
    people's commits)."""
    from gates.sign import VerifyKey
    from gates.verify import VerifiedCommit, recipe, verify_commit, verify_range, verify_report

    place = find_place(repo, state)
    public = place.folders.keys / "public.pem"
    if not public.is_file():
        raise UserError(f"there is no public key at {public}: nothing was signed for this repository yet")
    key = VerifyKey.load(public)
    if Path(subject).is_file():
        found = verify_report(Path(subject).read_bytes(), key)
        report = found.report
        said = {
            "subject": subject,
            "ok": found.ok,
            "problems": list(found.problems),
            "tree": report.tree if report else "",
            "result": report.result if report else "",
            "recipe": recipe(Path(subject), public),
        }
        if as_json:
            sys.stdout.write(json.dumps(said, indent=2) + "\n")
        else:
            what = (
                f"✔ {report.result} report for tree {report.tree}"
                if report and found.ok
                else "✘ " + " ".join(found.problems)
            )
            sys.stdout.write(what + "\n\n" + _recipe_text(said["recipe"]))
        return 0 if found.ok else 1
    site = open_site(place, sole=False)
    hub, store = site.hub, site.artifacts
    if ".." in subject:
        old, _, new = subject.partition("..")
        rows = verify_range(
            hub,
            store,
            key,
            hub.fetch_objects(place.repository.root, old),
            hub.fetch_objects(place.repository.root, new or "HEAD"),
        )
    else:
        rows = [verify_commit(hub, store, key, hub.fetch_objects(place.repository.root, subject))]
    envelope = next((store.path(row.digest) for row in rows if row.status == "proved"), None)
    lines = recipe(envelope, public) if envelope is not None else []
    if as_json:
        commits = [
            {
                "commit": r.commit,
                "subject": r.subject,
                "status": r.status,
                "report": r.digest,
                "problems": list(r.problems),
            }
            for r in rows
        ]
        sys.stdout.write(json.dumps({"commits": commits, "recipe": lines}, indent=2) + "\n")
    else:
        marks = {"proved": "✔", "batch": "✔", "unproven": "?", "false": "✘"}

        def line(row: VerifiedCommit) -> str:
            why = f"  {' '.join(row.problems)}" if row.problems else ""
            return f"{marks[row.status]} {row.commit[:12]} {row.status:<9} {sanitise_line(row.subject)[:80]}{why}\n"

        sys.stdout.write("".join(map(line, rows)) + ("\n" + _recipe_text(lines) if lines else ""))
    if any(row.status == "false" for row in rows):
        return 1
    return 1 if ".." not in subject and rows[0].status == "unproven" else 0


def _recipe_text(lines: list[str]) -> str:
    return "Check it without us:\n" + "".join(f"  {line}\n" for line in lines)
