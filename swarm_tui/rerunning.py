"""The strongest proof: the gates of a report run again, in a clean clone with nothing kept from before."""

from __future__ import annotations

import shutil
import tempfile
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from engine.artifacts import ArtifactStore
from engine.definitions import policy_digest
from engine.errors import SwarmError, UserError
from engine.git.door import UserGit
from engine.git.names import check_branch
from engine.git.removal import remove_tree
from engine.host import Site
from engine.loading import FLOWS_FOLDER, ROADMAP_FILE, SETTINGS_FILE
from engine.models.report import GateResult, VerificationReport
from engine.ports import GateRequest
from swarm_tui.ending import finished
from swarm_tui.proving import open_bench, settings_at

MOST_TOLD = 20
"""Differences that are told of one gate; the rest is counted."""


@dataclass(frozen=True)
class Rerun:
    """`result`: of the new run. `differences`: sentences, none when every gate and test said the same."""

    tree: str
    result: str
    differences: tuple[str, ...] = ()

    @property
    def same(self) -> bool:
        return not self.differences


def rerun_report(site: Site, report: VerificationReport, tell: Callable[[str], None]) -> Rerun:
    """Run the report's gates again on its tree, as its base defines them, and compare.

    Nothing of the site is used but git objects, the settings of this machine, and the old lists of outcomes. Raises
    UserError when the tree or its base is not in this repository.
    """
    hub = site.hub
    if not (hub.has(report.tree) and report.base_commit and hub.has(report.base_commit)):
        raise UserError(
            f"the tree {report.tree[:12]} on the base {report.base_commit[:12]} is not in this repository: "
            "fetch the branch that it was made for, and verify again"
        )
    commit = hub.commit(report.tree, [report.base_commit], "To be proved again\n", 0.0)
    folder = Path(tempfile.mkdtemp(prefix="swarm-rerun-")).resolve()
    try:
        _clone(site, folder / "clone", report.base_commit, commit)
        return _run(folder / "clone", folder / "state", commit, report, site.artifacts, tell)
    finally:
        remove_tree(folder)


def _clone(site: Site, clone: Path, base: str, commit: str) -> None:
    """A repository of its own, with the base as main, and this machine's settings in the work tree."""
    clone.mkdir()
    git, hub = UserGit(clone), str(site.hub.path.resolve())
    branch = check_branch(site.definitions.working.project.main)
    object_format = site.repository.object_format
    git.run("init", "--quiet", "--template=", f"--object-format={object_format}", f"--initial-branch={branch}")
    git.run(
        "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--refmap=", "--", hub, base, commit,
        settings={"protocol.file.allow": "always", "protocol.version": "2"}, timeout_s=3_600.0,
    )  # fmt: skip
    git.run("update-ref", f"refs/heads/{branch}", base, "0" * len(base))  # there is none yet
    root = site.repository.root
    for name in (SETTINGS_FILE, ROADMAP_FILE):
        if (root / name).is_file():
            shutil.copyfile(root / name, clone / name)
    flows = sorted((root / FLOWS_FOLDER).glob("*.toml"))
    for flow in flows:
        (clone / FLOWS_FOLDER).mkdir(exist_ok=True)
        shutil.copyfile(flow, clone / FLOWS_FOLDER / flow.name)


def _run(
    clone: Path, state: Path, commit: str, report: VerificationReport, store: ArtifactStore, tell: Callable[[str], None]
) -> Rerun:
    bench = open_bench(clone, state)
    bench.wings.executor.warm_up()
    hub = bench.site.hub
    hub.fetch_objects(clone, commit)
    if hub.tree_of(report.base_commit) != report.base:
        raise UserError(
            f"the commit {report.base_commit[:12]} does not have the base tree of the report: run it by hand"
        )
    settings = settings_at(bench.site, report.base_commit)
    defined = {gate.name: gate for gate in settings.gate}
    wanted = [gate.name for gate in report.gates]
    if absent := [name for name in wanted if name not in defined]:
        gone = f'the gate "{absent[0]}" is not in the definitions on its base, so it cannot run again.'
        return Rerun(report.tree, "error", (gone,))
    request = GateRequest(
        key=f"rerun.{uuid.uuid4().hex[:12]}",
        tree=report.tree,
        base_tree=report.base,
        base_commit=report.base_commit,
        repository=hub.root_commit(),
        gates=tuple(defined[name] for name in wanted),
        policy=policy_digest(settings),
        kind="gates",
        flows=tuple(settings.canary.flow),
    )

    async def emit(kind: str, fields: dict[str, Any]) -> None:
        if kind == "gate_started":
            tell(f"{fields['gate']} runs again on {report.tree[:12]}")

    ended = "interrupted: what ran again was ended, and nothing was compared"
    again = finished(bench.closing(bench.wings.ports.gates.run(request, emit)), ended).report
    new = bench.site.artifacts
    found: list[str] = []
    for before, after in zip(report.gates, again.gates, strict=True):
        found += differences(before, after, outcomes(store, before), outcomes(new, after))
    return Rerun(report.tree, again.result, tuple(found))


def outcomes(store: ArtifactStore, gate: GateResult) -> Mapping[str, str] | None:
    """The outcome per test id; None where the list is not in the store."""
    if not gate.tests:
        return {}
    try:
        found = store.get_json(gate.tests)
    except SwarmError:
        return None
    return {str(k): str(v) for k, v in cast("dict[Any, Any]", found).items()} if isinstance(found, dict) else None


def differences(
    before: GateResult, after: GateResult, then: Mapping[str, str] | None, now: Mapping[str, str] | None
) -> list[str]:
    """What a gate and its tests say otherwise than before, one sentence each. Lists that are None are not compared,
    but their counts are."""
    found: list[str] = []
    if before.result != after.result:
        why = f": {after.reason}" if after.reason else "."
        found.append(f"The gate {after.name} was {before.result} and is {after.result} now{why}")
    if then is None or now is None:
        counts = [(g.executed, g.passed, g.failed, g.skipped) for g in (before, after)]
        if counts[0] != counts[1]:
            told = ["{} executed, {} passed, {} failed, {} skipped".format(*each) for each in counts]
            found.append(f"The tests of {after.name} were {told[0]}, and are {told[1]} now.")
        return found
    changed = [test for test in sorted({*then, *now}) if then.get(test) != now.get(test)]
    for test in changed[:MOST_TOLD]:
        was, is_ = (said.get(test, "not there") for said in (then, now))
        found.append(f"{after.name}: {test} was {was} and is {is_} now.")
    if len(changed) > MOST_TOLD:
        found.append(f"{after.name}: {len(changed) - MOST_TOLD} more tests differ.")
    return found
