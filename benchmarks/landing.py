"""Engine overhead of a landing: from the last green gate to landed and published, on tinykit, one change at a time.

The time runs from the append of the change's last `gate_finished` to the moment when its `published` is durable. The
canary of the landed commit starts meanwhile, as it does at night.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.engine_process import Bench, environment, git, tinykit
from benchmarks.figure import Beside, Figure, Scale
from engine.models.event import Event
from swarm_tui.compose import make_host
from swarm_tui.place import find_place

GOAL_MS = 150.0
LARGE_GOAL_MS = 60.0
STEPS = {
    "gate green to report signed": ("gate_finished", "report_signed"),
    "report signed to landed": ("report_signed", "change_landed"),
    "landed to published": ("change_landed", "published"),
}

ORDER = """
[[work_order]]
id = "note-{nth}"
title = "Note {nth}"
kind = "docs"
allow = ["docs/**"]
depends_on = [{before}]
"""

SCRIPT = """schema = "script/1"
[[attempt]]
[[attempt.steps]]
edit = {{ path = "docs/note-{nth}.md", content = "Note {nth}.\\n" }}
[[attempt.steps]]
handin = {{ summary = "A note." }}
"""


def measure(scale: Scale) -> list[Figure]:
    bench = notes(scale.folder, scale.landings)
    landings = _landings(_watched(bench))
    bare = [merge_and_push_ms(each) for each in _changes_to_merge(scale.folder / "bare", bench.repo, scale.landings)]
    whole = [(each["published"] - each["gate_finished"]) * 1000 for each in landings]
    beside = [Beside("bare git merge and git push", bare)]
    large = notes(scale.folder / "large", scale.landings, scale.files)
    moved = [(each["change_landed"] - each["report_signed"]) * 1000 for each in _landings(_watched(large))]
    trees = _changes_to_merge(scale.folder / "bare-large", large.repo, scale.landings)
    merges = [Beside("git merge in a worktree", [merge_ms(each) for each in trees])]
    return [
        Figure(f"landing on {scale.files:,} files", "ms", moved, LARGE_GOAL_MS, beside=merges),
        Figure("landing, last gate green to published", "ms", whole, GOAL_MS, beside=beside),
        *(
            Figure(f"  of it, {name}", "ms", [(each[end] - each[begin]) * 1000 for each in landings])
            for name, (begin, end) in STEPS.items()
        ),
    ]


def notes(folder: Path, count: int, files: int = 0) -> Bench:
    """tinykit with `count` work orders that land one after the other, and with so many more files."""
    orders = [ORDER.format(nth=nth, before=f'"note-{nth - 1}"' if nth > 1 else "") for nth in range(1, count + 1)]
    bench = tinykit(folder, 'schema = "roadmap/1"\n' + "".join(orders))
    for nth in range(files):
        path = bench.repo / "data" / f"part-{nth % 100}" / f"{nth}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{nth}\n" * 20, encoding="utf-8", newline="\n")
    if files:
        git(bench.repo, "add", "-A")
        git(bench.repo, "commit", "-q", "-m", f"{files} files")
    for nth in range(1, count + 1):
        (folder / "scripts" / f"note-{nth}.toml").write_text(SCRIPT.format(nth=nth), encoding="utf-8", newline="\n")
    return bench


def _watched(bench: Bench) -> list[tuple[float, Event]]:
    """Run an engine until it is idle; every event with the time (UTC seconds) at which it was durable."""
    os.environ["PATH"] = environment()["PATH"]
    host = make_host(find_place(bench.repo, bench.state))
    seen: list[tuple[float, Event]] = []
    host.on_events = lambda events: seen.extend((time.time(), event) for event in events)
    asyncio.run(host.run(until_idle=True))
    return seen


def _landings(seen: Sequence[tuple[float, Event]]) -> list[dict[str, float]]:
    """For each landing that was published: when its steps were, by kind of event."""
    steps: dict[str, dict[str, float]] = {}
    commits: dict[str, str] = {}
    for at, event in seen:
        change = (
            commits.get(event.fields["commit"], "") if event.kind == "published" else event.fields.get("change", "")
        )
        if change and event.kind in {kind for pair in STEPS.values() for kind in pair}:
            # A gate is green when the engine has seen it, before that is written down.
            steps.setdefault(change, {})[event.kind] = event.at if event.kind == "gate_finished" else at
        if event.kind == "change_landed":
            commits[event.fields["commit"]] = change
    return [each for each in steps.values() if "published" in each]


def _changes_to_merge(folder: Path, repo: Path, count: int) -> list[tuple[Path, str]]:
    """A clone with a hub of its own, and branches in it like the notes."""
    git(repo.parent, "clone", "-q", "--bare", str(repo), str(folder / "hub.git"))
    git(folder, "clone", "-q", str(folder / "hub.git"), "work")
    work = folder / "work"
    for nth in range(1, count + 1):
        git(work, "switch", "-q", "-c", f"note-{nth}", "main")
        (work / "docs" / f"bare-{nth}.md").write_text(f"Note {nth}.\n", encoding="utf-8", newline="\n")
        git(work, "add", "-A")
        git(work, "commit", "-q", "-m", f"Note {nth}")
    git(work, "switch", "-q", "main")
    return [(work, f"note-{nth}") for nth in range(1, count + 1)]


def merge_and_push_ms(what: tuple[Path, str]) -> float:
    work, branch = what
    started = time.perf_counter()
    git(work, "merge", "-q", "--no-ff", "--no-edit", branch)
    git(work, "push", "-q", "origin", "main")
    return (time.perf_counter() - started) * 1000


def merge_ms(what: tuple[Path, str]) -> float:
    work, branch = what
    started = time.perf_counter()
    git(work, "merge", "-q", "--no-ff", "--no-edit", branch)
    return (time.perf_counter() - started) * 1000
