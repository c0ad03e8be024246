"""`swarm bisect`: which commit turned a command red. For any git repository, with no engine and no settings."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from math import log2
from pathlib import Path
from types import FrameType
from typing import Any

from engine.culprit import (
    GOOD_END,
    Culprit,
    Nobody,
    Observation,
    Probe,
    Range,
    Rates,
    Search,
    Step,
    Unresolved,
)
from engine.errors import EngineBusyError, UserError
from engine.folders import StateFolder, state_folder_for
from engine.git.user_repository import root_of
from engine.lock import InstanceLock
from swarm_tui.bisection.probing import Aborted, Bench, Ended
from swarm_tui.bisection.record import Ran, Record, key_of
from swarm_tui.bisection.shown import Shown, is_terminal
from swarm_tui.bisection.suspects import Suspects, find_suspects, subject_of

EXIT_FOUND, EXIT_NOT_FOUND, EXIT_INTERRUPTED = 0, 1, 130
_NOT_RUN = (126, 127)
_USELESS_BITS = 0.01
"""A run that would tell less than this by now is ended for another one."""
_TICK_S = 0.2


@dataclass(frozen=True)
class Asked:
    """A command line. false_red, false_green: None where the search is to learn it."""

    good: str
    bad: str
    argv: tuple[str, ...]
    repo: Path | None = None
    state: Path | None = None
    jobs: int = 1
    timeout_s: float | None = None
    first_parent: bool = False
    fresh: bool = False
    false_red: float | None = None
    false_green: float | None = None
    confidence: float = 0.98
    as_json: bool = False


def run_bisect(asked: Asked) -> int:
    """0: the culprit was found; 1: it was not; 130: interrupted. Raises UserError for what cannot be searched."""
    if not asked.argv:
        raise UserError("there is no command: write it after --, as in `swarm bisect v1.0 main -- pytest -x`.")
    root = root_of((asked.repo or Path.cwd()).resolve())
    suspects = find_suspects(root, asked.good, asked.bad, first_parent=asked.first_parent)
    try:
        known = (asked.false_red, asked.false_green) != (None, None)
        rates = Rates.known(asked.false_red or 0.0, asked.false_green or 0.0) if known else Rates.learned()
    except ValueError as error:
        raise UserError(f"{error}: choose lower ones for --false-red and --false-green.") from error
    search = Search(len(suspects.commits), suspects.parents, rates=rates, confidence=asked.confidence)
    folders = state_folder_for(root, asked.state)
    key = key_of(
        suspects.good, suspects.commits[-1], asked.argv, first_parent=asked.first_parent, folder=folders.root,
        timeout_s=asked.timeout_s,
    )  # fmt: skip
    folder = _made(folders, key)
    lock = InstanceLock(folder / "lock")
    try:
        lock.acquire()
    except EngineBusyError as error:
        raise EngineBusyError("this search runs already, with the same command: wait for it, or end it.") from error
    with_terminal = not asked.as_json and is_terminal(sys.stdout)
    shown = Shown(
        sys.stderr if asked.as_json else sys.stdout, cache(lambda commit: subject_of(root, commit)), live=with_terminal
    )
    try:
        bench = Bench(root, folder, asked.argv, f"bisect-{folders.marker}-{key}", timeout_s=asked.timeout_s)
        return _Bisection(asked, root, suspects, search, bench, Record(folder / "runs.jsonl"), shown).run()
    finally:
        shown.close()
        lock.release()


def _made(folders: StateFolder, key: str) -> Path:
    folder = folders.root / "bisect" / key
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise UserError(f"{folder} cannot be made ({error.strerror}): name another folder with --state.") from error
    return folder


class _Bisection:
    """One search, from its record to its verdict."""

    def __init__(
        self, asked: Asked, root: Path, suspects: Suspects, search: Search, bench: Bench, record: Record, shown: Shown
    ) -> None:
        self._asked, self._root, self._suspects, self._search = asked, root, suspects, search
        self._bench, self._record, self._shown = bench, record, shown
        self._observations: list[Observation] = []
        self._skipped = self._begun = self._resumed = 0
        self._running: dict[Future[Ended | None], tuple[int, int]] = {}
        """(run, index) of each."""

    def run(self) -> int:
        self._resume()
        with _Interrupts() as interrupts, ThreadPoolExecutor(self._asked.jobs) as pool:
            try:
                step = self._search_on(pool, interrupts)
            except Aborted as error:
                self._shown.close()
                return self._tell(Unresolved("noise", (), 0.0), str(error))
            except KeyboardInterrupt:
                self._shown.close()
                sys.stderr.write(
                    f"interrupted after {len(self._observations)} runs, which are kept: the same command goes on\n"
                )
                return EXIT_INTERRUPTED
            finally:
                self._bench.end()
        self._shown.close()
        return self._tell(step, "")

    def _resume(self) -> None:
        asked = self._asked
        told = {"good": self._suspects.good, "bad": self._suspects.commits[-1], "argv": list(asked.argv)}
        for ran in self._record.begin(told, fresh=asked.fresh):
            self._observations.append(Observation(self._suspects.index(ran.commit), ran.outcome))
            self._begun = max(self._begun, ran.run)
            self._skipped += ran.outcome == "skip"
        self._resumed = len(self._observations)
        killed = self._bench.sweep()
        count = len(self._suspects.commits)
        bits = log2(count + 1)
        self._shown.say(
            f"{count} suspect{'s' if count != 1 else ''}; about {bits + 2:.0f} runs, more if runs lie or skip"
        )
        if self._resumed:
            left = f", and {killed} processes of it were ended" if killed else ""
            self._shown.say(f"going on after {self._resumed} runs of an earlier call{left} (--fresh begins anew)")

    def _search_on(self, pool: ThreadPoolExecutor, interrupts: _Interrupts) -> Step:
        while True:
            step = self._search.next_step(self._observations)
            if not isinstance(step, Probe):
                return step
            self._drop_useless({step.index, GOOD_END, self._search.n - 1})
            self._start(pool, step)
            self._show()
            self._take_answers(interrupts)

    def _start(self, pool: ThreadPoolExecutor, step: Probe) -> None:
        while len(self._running) < self._asked.jobs:
            busy = [index for _, index in self._running.values()]
            probe = self._search.beside(self._observations, busy) if busy else step
            if probe is None:
                return
            self._begun += 1
            commit = self._suspects.commit(probe.index)
            self._running[pool.submit(self._bench.run, self._begun, commit)] = (self._begun, probe.index)

    def _drop_useless(self, needed: set[int]) -> None:
        """Runs beside others that an answer made needless."""
        for future, (run, index) in list(self._running.items()):
            if index not in needed and self._search.bits(self._observations, index) < _USELESS_BITS:
                self._bench.end(run)
                del self._running[future]

    def _take_answers(self, interrupts: _Interrupts) -> None:
        done: set[Future[Ended | None]] = set()
        while not done:
            done, _ = wait(self._running, timeout=_TICK_S, return_when=FIRST_COMPLETED)
            interrupts.check()
        for future in sorted(done, key=lambda each: self._running[each]):
            run, index = self._running.pop(future)
            if (ended := future.result()) is not None:
                self._note(run, index, ended)

    def _note(self, run: int, index: int, ended: Ended) -> None:
        if index == GOOD_END and ended.exit_code in _NOT_RUN:
            raise Aborted(
                f"the command cannot be run on GOOD (exit {ended.exit_code}): see {self._bench.logs(run)}, and name a "
                "program that is on the PATH or in every commit"
            )
        commit = self._suspects.commit(index)
        try:
            outcome = ended.outcome()
        except Aborted as error:
            raise Aborted(f"{error}; the run was on {commit[:12]}, its output is in {self._bench.logs(run)}") from error
        ran = Ran(
            run=run, commit=commit, outcome=outcome, exit_code=ended.exit_code, duration_s=round(ended.duration_s, 3)
        )
        self._record.add(ran)
        self._observations.append(Observation(index, outcome))
        self._skipped += outcome == "skip"
        shares = self._search.suspicion(self._observations)
        spread = sum(share * log2(share) for share in shares if share > 0)
        self._shown.ran(ran, 2**-spread if sum(shares) > 0.5 else 0)

    def _show(self) -> None:
        shares = self._search.suspicion(self._observations)
        likely = sorted(range(len(shares)), key=lambda at: -shares[at])[:20]
        self._shown.belief(
            [(self._suspects.commits[at], shares[at]) for at in likely],
            max(0.0, 1 - sum(shares)),
            [self._suspects.commit(index) for _, index in self._running.values()],
        )

    def _tell(self, step: Step, abort: str) -> int:
        verdict = self._verdict(step, abort)
        if not abort:
            self._record.end(verdict)
            self._bench.remove()
        if self._asked.as_json:
            sys.stdout.write(json.dumps(verdict) + "\n")
        if abort or not self._asked.as_json:
            (sys.stderr if abort else sys.stdout).write(f"{'swarm: ' if abort else ''}{verdict['reason']}\n")
        return EXIT_FOUND if isinstance(step, Culprit) else EXIT_NOT_FOUND

    def _verdict(self, step: Step, abort: str) -> dict[str, Any]:
        commits = self._suspects.commits
        indexes: Sequence[int] = ()
        commit = ""
        if isinstance(step, Culprit):
            kind, commit, indexes = "culprit", commits[step.index], (step.index,)
            reason = f"{commit} did it ({step.probability:.1%}): {subject_of(self._root, commit)}"
        elif isinstance(step, Range):
            kind, indexes = "range", step.indexes
            reason = (
                f"one of {len(indexes)} commits did it, {commits[indexes[0]][:12]} to {commits[indexes[-1]][:12]} "
                f"({step.probability:.1%}): the command cannot judge those between"
            )
        elif isinstance(step, Nobody):
            kind = "nobody"
            reason = (
                "nobody did it: the command is green on BAD, so name a commit on which it is red"
                if step.reason == "never"
                else "nobody did it: the command is red on GOOD already, so name an older commit on which it is green"
            )
        else:
            kind = "unresolved"
            assert isinstance(step, Unresolved)
            indexes = step.indexes
            reason = (
                abort or f"unresolved, {_WHY[step.reason]}: {len(indexes)} suspects are left ({step.probability:.1%})"
            )
        assert not isinstance(step, Probe)
        return {
            "verdict": kind,
            "commit": commit,
            "range": [commits[index] for index in indexes],
            "probability": round(step.probability, 6),
            "runs": len(self._observations),
            "skipped": self._skipped,
            "reason": reason,
            "suspects": len(commits),
            "good": self._suspects.good,
            "bad": commits[-1],
            "resumed": self._resumed,
            "logs": str(self._bench.logs(0).parent),
        }


_WHY = {
    "limit": "too many runs contradict each other",
    "untestable": "the command cannot judge the commits that would tell",
    "noise": "the command is red and green as it likes",
}


class _Interrupts:
    """Ctrl+c, and the signals that end a program, taken at a moment when everything is in order."""

    def __init__(self) -> None:
        self._asked = threading.Event()
        self._numbers = [signal.SIGINT, signal.SIGTERM]
        if sys.platform != "win32":
            self._numbers.append(signal.SIGHUP)
        self._before: dict[signal.Signals, Any] = {}

    def check(self) -> None:
        """Raises KeyboardInterrupt if there was one."""
        if self._asked.is_set():
            raise KeyboardInterrupt

    def __enter__(self) -> _Interrupts:
        for number in self._numbers:
            if (before := signal.getsignal(number)) is not signal.SIG_IGN:  # as nohup has it
                self._before[number] = before
                signal.signal(number, self._take)
        return self

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def _take(self, _number: int, _frame: FrameType | None) -> None:
        self._asked.set()
