"""How many runs the culprit finder needs on planted histories, as multiples of the information limit, and how often it
is right; beside the policy of `git bisect run` on the same histories, and git-bayesect where it can be had. A few of
them are real repositories, searched by the real commands.

The flakes are false reds: a good commit is red with that chance, a bad one always. The limit is log2(n) bits over the
capacity of such a channel (a Z-channel), in runs.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from math import log2
from pathlib import Path

from benchmarks.figure import Beside, Figure, Scale
from benchmarks.peers import Peer, installed
from engine.culprit import GOOD_END, Culprit, Observation, Probe, Range, Rates, Search

HISTORIES = 60
"""A batch; the spread of a figure is that of its batches."""
FLAKES = (0.0, 0.05, 0.2)
SKIPS = 0.15
REAL_COMMITS, REAL_FLAKES = 16, 0.2
RIGHT_PERCENT = 98
PEER = Peer("git-bayesect", "git_bayesect", ("git-bayesect",), {})


@dataclass(frozen=True)
class History:
    """`n` suspects, of which `culprit` is the first bad one; `broken` ones cannot be judged."""

    n: int
    culprit: int
    broken: frozenset[int]
    flakes: float
    seed: int

    def runs(self) -> Callable[[int], str]:
        """What a run of a commit says: of each history the same, in the order in which it is asked."""
        chance = random.Random(f"runs {self.seed}")

        def run(index: int) -> str:
            lies = chance.random() < self.flakes
            if index in self.broken:
                return "skip"
            return "bad" if index >= self.culprit or lies else "good"

        return run

    def is_right(self, first: int, last: int) -> bool:
        """Whether the accused are the culprit and those that nobody can tell from it."""
        below, above = self.culprit - 1, self.culprit
        while below in self.broken:
            below -= 1
        while above in self.broken:
            above += 1
        return (first, last) == (below + 1, above)


def plant(n: int, flakes: float, skips: float, seed: int) -> History:
    chance = random.Random(f"history {n} {seed}")
    culprit = chance.randrange(n)
    broken = frozenset(index for index in range(n - 1) if chance.random() < skips)
    return History(n, culprit, broken, flakes, seed)


def limit(n: int, flakes: float, skips: float = 0.0) -> float:
    """The least runs that could tell one of n apart, on average."""
    capacity = log2(1 + (1 - flakes) * flakes ** (flakes / (1 - flakes))) if flakes else 1.0
    return log2(n) / capacity / (1 - skips)


def search(history: History, known: bool, ends_verified: bool) -> tuple[int, bool]:
    """Runs, and whether the verdict is right."""
    rates = Rates.known(history.flakes) if known else Rates.learned()
    finder, run = Search(history.n, rates=rates, ends_verified=ends_verified), history.runs()
    seen: list[Observation] = []
    while isinstance(step := finder.next_step(seen), Probe):
        outcome = run(step.index)
        assert outcome in ("good", "bad", "skip")
        seen.append(Observation(step.index, outcome))
    accused = (step.index,) if isinstance(step, Culprit) else step.indexes if isinstance(step, Range) else ()
    return len(seen), bool(accused) and history.is_right(accused[0], accused[-1])


def halve(history: History) -> tuple[int, bool]:
    """`git bisect run`: both ends are believed, each answer too; a skipped commit's nearest neighbour is taken."""
    run, good, bad, runs = history.runs(), GOOD_END, history.n - 1, 0
    skipped: set[int] = set()
    while open_ := [index for index in range(good + 1, bad) if index not in skipped]:
        index = min(open_, key=lambda each: abs(each - (good + bad) // 2))
        runs += 1
        outcome = run(index)
        if outcome == "skip":
            skipped.add(index)
        elif outcome == "bad":
            bad = index
        else:
            good = index
    return runs, history.is_right(good + 1, bad)


def _search(asked: tuple[History, bool, bool]) -> tuple[int, bool]:
    return search(*asked)


def measure(scale: Scale) -> list[Figure]:
    batches, size = (scale.repeats, HISTORIES) if scale.repeats > 1 else (1, 5)
    figures: list[Figure] = []
    peer = _Peer(install=scale.repeats > 1)
    with ProcessPoolExecutor(max_workers=os.cpu_count()) as pool:
        for n, known, ends_verified, skips in (
            (512, True, True, 0.0),
            (512, False, True, 0.0),
            (512, False, False, 0.0),
            (512, True, True, SKIPS),
            (16, True, False, 0.0),
            (16, False, False, 0.0),
        ):
            for flakes in FLAKES:
                planted = [plant(n, flakes, skips, seed) for seed in range(batches * size)]
                ours = list(pool.map(_search, [(each, known, ends_verified) for each in planted], chunksize=size))
                others = [("git bisect run", [halve(each) for each in planted])]
                if not skips and not known and (theirs := peer.search(planted)) is not None:
                    others.append(("git-bayesect", theirs))
                most = limit(n, flakes, skips)
                goal = (1.15 if known else 1.7) if n > 100 else max(1.6, (most + 4) / most)
                ends = "" if ends_verified else ", ends too"
                name = (
                    f"{n} commits, rates {'known' if known else 'learned'}{ends}, {flakes:.0%} flakes"
                    f"{f', {skips:.0%} skips' if skips else ''}"
                )

                def rates(found: list[tuple[int, bool]]) -> list[float]:
                    return [100 * sum(right for _, right in part) / size for part in _parts(found, size)]

                def costs(found: list[tuple[int, bool]], most: float = most) -> list[float]:
                    return [sum(runs for runs, _ in part) / size / most for part in _parts(found, size)]

                figures.append(Figure(f"{name}: runs", "× limit", costs(ours), goal, beside=_beside(others, costs)))
                figures.append(
                    Figure(f"{name}: right", "%", rates(ours), RIGHT_PERCENT, True, beside=_beside(others, rates))
                )
    return figures + real(scale.folder, 8 if scale.repeats > 1 else 1)


def _parts(found: list[tuple[int, bool]], size: int) -> list[list[tuple[int, bool]]]:
    return [found[at : at + size] for at in range(0, len(found), size)]


def _beside(
    others: list[tuple[str, list[tuple[int, bool]]]], figure: Callable[[list[tuple[int, bool]]], list[float]]
) -> list[Beside]:
    return [Beside(name, figure(found)) for name, found in others]


class _Peer:
    """git-bayesect's own search in its own environment, stopped at the confidence that its `run` has."""

    PROGRAM = """
import json, random, sys
from git_bayesect import Bisector
answers = []
for n, culprit, flakes, seed in json.load(sys.stdin):
    chance = random.Random(f"runs {seed}")
    search, runs = Bisector([1.0] * (n + 1)), 0
    while runs < 300 and search.distribution.max() < 0.95:
        newest_first = search.select()
        lies = chance.random() < flakes
        search.record(newest_first, n - 1 - newest_first >= culprit or lies)
        runs += 1
    answers.append((runs, int(search.distribution.argmax()) == n - 1 - culprit))
json.dump(answers, sys.stdout)
"""

    def __init__(self, *, install: bool) -> None:
        program = installed(PEER, install=install)
        names = ("python.exe", "python3", "python")
        beside = [] if program is None else [Path(program).with_name(name) for name in names]
        self._python = next((each for each in beside if each.exists()), None)
        if self._python is None:
            print("  git-bayesect is not there, so nothing is measured beside it", file=sys.stderr, flush=True)

    def search(self, planted: list[History]) -> list[tuple[int, bool]] | None:
        if self._python is None:
            return None
        asked = json.dumps([(each.n, each.culprit, each.flakes, each.seed) for each in planted])
        argv = [str(self._python), "-c", self.PROGRAM]
        done = subprocess.run(argv, input=asked, capture_output=True, encoding="utf-8", check=True)
        return [(int(runs), bool(right)) for runs, right in json.loads(done.stdout)]


FLAKY = """
import pathlib, random, sys
count = pathlib.Path(sys.argv[1])
run = int(count.read_text()) + 1 if count.exists() else 1
count.write_text(str(run))
red = int(pathlib.Path("n").read_text()) >= int(sys.argv[2])
sys.exit(red or random.Random(f"{sys.argv[3]} {run}").random() < float(sys.argv[4]))
"""


def real(folder: Path, searches: int) -> list[Figure]:
    """Really `git bisect run` and `swarm bisect`, on one repository with `searches` planted culprits."""
    repo = folder / "repo"
    repo.mkdir()
    _git(repo, "init", "--quiet")
    for number in range(REAL_COMMITS + 1):
        (repo / "n").write_text(str(number), encoding="utf-8")
        _git(repo, "add", "n")
        _git(repo, "-c", "user.name=n", "-c", "user.email=n@localhost", "commit", "--quiet", "-m", f"change {number}")
    ids = _git(repo, "rev-list", "--reverse", "HEAD").split()
    script = folder / "flaky.py"
    script.write_text(FLAKY, encoding="utf-8")
    found: dict[str, tuple[list[float], list[float]]] = {"git": ([], []), "swarm": ([], [])}
    for seed in range(searches):
        culprit = random.Random(f"real {seed}").randrange(1, REAL_COMMITS + 1)
        for who, (runs, right) in found.items():
            count = folder / f"{who}-{seed}"
            command = [sys.executable, "-I", "-S", str(script), str(count), str(culprit), str(seed), str(REAL_FLAKES)]
            if who == "git":
                _git(repo, "bisect", "start", ids[-1], ids[0])
                said = _git(repo, "bisect", "run", *command)
                accused = next((line.split()[0] for line in said.splitlines() if "is the first" in line), "")
                _git(repo, "bisect", "reset")
            else:
                words = ["bisect", ids[0], ids[-1], "--json", "--repo", str(repo), "--state", str(folder / "state")]
                argv = [sys.executable, "-m", "swarm_tui.cli", *words, "--false-red", str(REAL_FLAKES), "--", *command]
                done = subprocess.run(argv, capture_output=True, encoding="utf-8", check=False)
                accused = json.loads(done.stdout.splitlines()[-1])["commit"]
            runs.append(float(count.read_text(encoding="utf-8")))
            right.append(100.0 * (accused == ids[culprit]))
    name = f"{REAL_COMMITS} commits of a real repository, rates known, {REAL_FLAKES:.0%} flakes"
    goal = limit(REAL_COMMITS, REAL_FLAKES) + 4
    git, ours = found["git"], found["swarm"]
    return [
        Figure(f"{name}: runs", "runs", [sum(ours[0]) / searches], goal, beside=[
            Beside("git bisect run", [sum(git[0]) / searches])
        ]),
        Figure(f"{name}: right", "%", [sum(ours[1]) / searches], RIGHT_PERCENT, True, beside=[
            Beside("git bisect run", [sum(git[1]) / searches])
        ]),
    ]  # fmt: skip


def _git(repo: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=repo, capture_output=True, encoding="utf-8", check=True).stdout
