"""Running the command on commits, each in a checkout of its own outside the user's repository."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from engine.culprit import Outcome
from engine.errors import SwarmError
from engine.git.door import Completed, UserGit
from engine.git.names import split_z
from engine.git.removal import remove_tree
from engine.process.tree import MARKER, kill_marked, kill_tree

SKIP = 125
TIMED_OUT = 124
_NOT_FOUND, _NOT_STARTED = 127, 126
_LONG_S = 1800.0


class Aborted(SwarmError):
    """The command ended in a way that says nothing of any commit."""


@dataclass(frozen=True)
class Ended:
    """How one run ended: `exit_code` as a shell gives it (a signal is 128 and its number), None at the timeout."""

    exit_code: int | None
    duration_s: float

    def outcome(self) -> Outcome:
        """As `git bisect run` has it: 0 good, 125 cannot tell, 1 to 127 bad. Raises Aborted for the rest."""
        code = TIMED_OUT if self.exit_code is None else self.exit_code
        if not 0 <= code < 128:
            raise Aborted(
                f"the command ended with {code}, which is neither good (0), bad (1 to 127) nor untestable (125): "
                "let it end with one of these, as for `git bisect run`"
            )
        return "good" if code == 0 else "skip" if code == SKIP else "bad"


class Bench:
    """Checkouts of one repository at fixed places, so that what a build left there (as far as it is ignored) is still
    there at the next run. `run` may be called from as many threads as there are places."""

    def __init__(self, repo: Path, folder: Path, argv: Sequence[str], marker: str, *, timeout_s: float | None) -> None:
        self._repo, self._folder, self._argv, self._marker = repo, folder, list(argv), marker
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._free: list[int] = []
        self._places = 0
        self._running: dict[int, psutil.Process] = {}
        self._unwanted: set[int] = set()
        self._over = False

    def logs(self, run: int) -> Path:
        """Where the output of a run is."""
        return self._folder / "logs" / f"{run}.log"

    def sweep(self) -> int:
        """End what a killed call left running; how many processes that was."""
        return kill_marked(f"{self._marker}/")

    def run(self, run: int, commit: str) -> Ended | None:
        """Run the command on the commit; None when it was ended by `end`."""
        place = self._take()
        try:
            tree = self._check_out(place, commit)
            return self._execute(run, commit, tree)
        finally:
            with self._lock:
                self._free.append(place)

    def end(self, run: int | None = None) -> None:
        """End one run, or all, and start no more then."""
        with self._lock:
            self._over = self._over or run is None
            doomed = [at for at in self._running if run in (None, at)]
            self._unwanted.update(doomed if run is None else [run])
            processes = [self._running[at] for at in doomed]
        for process in processes:
            _kill(process)

    def remove(self) -> None:
        """Take the checkouts away; the logs stay."""
        for tree in self._folder.glob("tree-*"):
            remove_tree(tree)

    def _take(self) -> int:
        with self._lock:
            if self._free:
                return self._free.pop()
            self._places += 1
            return self._places

    def _check_out(self, place: int, commit: str) -> Path:
        tree = self._folder / f"tree-{place}"
        git = _CloneGit(tree)
        if not (tree / ".git" / "swarm-ready").exists() or git.run("rev-parse", "--git-dir", ok=(0, 128)).returncode:
            remove_tree(tree)
            UserGit(self._folder).run(
                "clone",
                "--quiet",
                "--shared",
                "--no-checkout",
                "--origin",
                "origin",
                "--",
                str(self._repo),
                str(tree),
                timeout_s=_LONG_S,
            )
            # A command that pushes, as release scripts do, must not reach the user's repository.
            git.run("config", "--local", "--remove-section", "remote.origin")
            (tree / ".git" / "swarm-ready").touch()
        (tree / ".git" / "index.lock").unlink(missing_ok=True)
        if (tree / ".git" / "index").exists():
            git.run("read-tree", "--reset", "-u", "HEAD", timeout_s=_LONG_S)
            _remove_litter(git, tree)
        git.run("checkout", "--quiet", "--detach", commit, timeout_s=_LONG_S)
        return tree

    def _execute(self, run: int, commit: str, tree: Path) -> Ended | None:
        marker = f"{self._marker}/{run}/"
        env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        env |= {MARKER: marker, "SWARM_BISECT_COMMIT": commit, **_ceiling(tree)}
        self.logs(run).parent.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        with self.logs(run).open("wb") as log:
            with self._lock:
                if self._over or run in self._unwanted:
                    return None
                try:
                    process = _start(self._argv, tree, env, log.fileno())
                except OSError as error:
                    log.write(f"{error}\n".encode("utf-8", "surrogateescape"))
                    code = _NOT_FOUND if isinstance(error, FileNotFoundError) else _NOT_STARTED
                    return Ended(code, time.monotonic() - began)
                self._running[run] = psutil.Process(process.pid)
            try:
                code = process.wait(self._timeout_s)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                _kill(self._running[run])
                process.wait()
                kill_marked(marker)
                with self._lock:
                    del self._running[run]
        if self._over or run in self._unwanted:
            return None
        return Ended(code if code is None or code >= 0 else 128 - code, time.monotonic() - began)


class _CloneGit(UserGit):
    """git in a checkout, and never in a repository around it: the command may have broken this one."""

    def run(self, *args: str, **options: Any) -> Completed:
        return super().run(*args, **options, env=_ceiling(self.folder))


def _ceiling(tree: Path) -> dict[str, str]:
    return {"GIT_CEILING_DIRECTORIES": str(tree.parent.resolve())}


def _remove_litter(git: UserGit, tree: Path) -> None:
    """What the last run made and no rule ignores."""
    listed = git.run("ls-files", "--others", "--exclude-standard", "--directory", "-z", timeout_s=_LONG_S)
    for name in split_z(listed.stdout):
        remove_tree(tree / name)


def _start(argv: list[str], tree: Path, env: dict[str, str], log: int) -> subprocess.Popen[bytes]:
    """Its own session or group: ctrl+c at the terminal is for this program, which ends it in good order."""
    program = argv[0]
    if os.sep in program or (os.altsep and os.altsep in program):
        program = str((tree / program) if not Path(program).is_absolute() else Path(program))
    flags = subprocess.CREATE_NEW_PROCESS_GROUP if sys.platform == "win32" else 0
    return subprocess.Popen(
        [program, *argv[1:]],
        cwd=tree,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        creationflags=flags,
        start_new_session=True,  # ignored on Windows
    )


def _kill(process: psutil.Process) -> None:
    try:
        kill_tree(process.pid, process.create_time())
    except psutil.Error:  # it ended between the look and the kill
        pass
