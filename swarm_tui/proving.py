"""Proof by hand on one commit, with or without a running engine: what it is done with, and `swarm canary`."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import uuid
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from engine.artifacts import ArtifactStore
from engine.errors import UserError
from engine.host import Site
from engine.loading import load_definitions
from engine.models.settings import Settings
from engine.ports import CanaryRequest, FlowOutcome
from engine.text.sanitise import sanitise_line
from swarm_tui.compose import Wings, make_wings, open_site
from swarm_tui.ending import finished
from swarm_tui.place import find_place

_Value = TypeVar("_Value")


@dataclass(frozen=True)
class Bench:
    """A site opened beside whatever engine there is, and the wings to run things with."""

    site: Site
    wings: Wings

    @property
    def main(self) -> str:
        """The branch that changes land on."""
        return self.site.definitions.working.project.main

    async def closing(self, work: Coroutine[Any, Any, _Value]) -> _Value:
        """What `work` gives. No process is left behind that waits for more of it."""
        try:
            return await work
        finally:
            await self.wings.ports.close()


def open_bench(repo: Path | None, state: Path | None) -> Bench:
    """What is started here ends with this process, however that ends: nobody would adopt it."""
    place = find_place(repo, state)
    site = open_site(place, sole=False)  # what lies in the stores may be a running engine's
    return Bench(site, make_wings(site, f"hand-{os.getpid()}", prefix="hand-", leash=True))


def settings_at(site: Site, commit: str) -> Settings:
    """Limits from the working copy, definitions as committed there; of the working copy where that commit has none."""
    hub = site.hub
    committed = load_definitions(
        lambda path: hub.read_file(commit, path), lambda folder: hub.list_files(commit, folder), commit[:12]
    )
    working = site.definitions.working
    return working if committed is None else working.with_definitions_of(committed)


def run_canary(repo: Path | None, state: Path | None, revision: str, *, as_json: bool) -> int:
    """Run every flow of the commit's own definitions on it, once, without the confirmation that an engine would do."""
    bench = open_bench(repo, state)
    site, hub = bench.site, bench.site.hub
    commit = hub.fetch_objects(site.repository.root, revision)
    flows = tuple(settings_at(site, commit).canary.flow)
    if not flows:
        raise UserError("there is no canary flow in swarm.toml or canary/*.toml: write a [[canary.flow]]")
    request = CanaryRequest(key=f"hand.{uuid.uuid4().hex[:12]}", commit=commit, tree=hub.tree_of(commit), flows=flows)
    outcome = finished(bench.closing(bench.wings.ports.canary.run(request)), "interrupted: the flows were ended")
    if as_json:
        rows = [
            {
                "flow": f.flow,
                "verdict": f.verdict,
                "reason": f.reason,
                "duration_s": f.duration_s,
                "samples": {k: list(v) for k, v in f.samples.items()},
                "artifacts": dict(f.artifacts),
                "proposed": [dataclasses.asdict(each) for each in f.proposed],
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
            sys.stdout.writelines(f"    {line}\n" for line in _left(flow, site.artifacts) if flow.verdict != "PASS")
        sys.stdout.write(f"\n{outcome.verdict} on {commit[:12]}\n")
    return 0 if outcome.verdict == "PASS" else 1


def _left(flow: FlowOutcome, store: ArtifactStore) -> Iterator[str]:
    """Where what it left lies, and what a person does with a golden that is missing or differs."""
    for name in ("log", "package-log", "difference"):
        if digest := flow.artifacts.get(name):
            yield f"{name}: {store.path(digest)}"
    for each in flow.proposed:
        yield f"it showed: {store.path(each.digest)}"
        yield f"if that is right, copy it to {sanitise_line(each.path)} and commit it"
