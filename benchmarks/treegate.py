"""What every guard's word on a change costs: 100 changed paths in a tree of 5,000 files, from tree objects alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.figure import Beside, Figure, Scale
from engine.git.door import UserGit
from engine.git.hub import Hub
from engine.models.settings import Guards
from engine.ports import GuardRequest
from gates.guards.judging import guard_change

GOAL_MS = 30.0
FILES, CHANGED, PER_FOLDER = 5_000, 100, 50
_ME = {"user.name": "swarm", "user.email": "swarm@localhost", "gc.auto": "0"}


def measure(scale: Scale) -> list[Figure]:
    hub, request = prepare(scale.folder, *((FILES, CHANGED) if scale.repeats > 1 else (60, 6)))
    assert all(result.ok for result in guard_change(hub, request))
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(2 * scale.repeats):
        ours.append(_ms(lambda: guard_change(hub, request)))
        bare.append(_ms(lambda: hub.changed(request.base_tree, request.tree)))
    beside = [Beside("bare git diff-tree of the same trees", bare)]
    return [Figure(f"tree gate, {CHANGED} of {FILES:,} paths changed", "ms", ours, GOAL_MS, beside=beside)]


def prepare(folder: Path, files: int, changed: int) -> tuple[Hub, GuardRequest]:
    """A hub with a change of `changed` files, a tenth of them new, and what the guards are asked about it."""
    repo = folder / "repo"
    repo.mkdir(parents=True)
    git = UserGit(repo)
    git.run("init", "-q", "--initial-branch=main")
    paths = [repo / f"src/part_{nth // PER_FOLDER:03}/file_{nth:04}.py" for nth in range(files)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_source(path.stem, 60), encoding="utf-8", newline="\n")
    _commit(git, "the base")
    hub = Hub.create_or_open(folder / "state", repo, "main")
    base = hub.main().tree
    for nth, path in enumerate(paths[:: files // changed][:changed]):
        target = path.with_name(f"new_{nth}.py") if nth % 10 == 0 else path
        target.write_text(_source(path.stem, 61), encoding="utf-8", newline="\n")
    _commit(git, "the change")
    tree = hub.tree_of(hub.fetch_objects(repo, git.run("rev-parse", "HEAD").line))
    return hub, GuardRequest(tree, base, ("src/**",), (), Guards(), "bench")


def _commit(git: UserGit, message: str) -> None:
    git.run("add", "--all", timeout_s=300.0)
    git.run("commit", "-q", "-m", message, settings=_ME)


def _source(name: str, lines: int) -> str:
    return f'"""The file {name}."""\n\n' + "".join(f"{name}_value_{n} = compute({n}, 'résumé')\n" for n in range(lines))


def _ms(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) * 1000
