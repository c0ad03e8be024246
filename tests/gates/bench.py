"""A bench for gates: a small real repository, its hub, a slot, the local executor, and a runner over them."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.artifacts import ArtifactStore
from engine.executors.local import LocalExecutor
from engine.git.hub import Hub
from engine.git.slots import Slots
from engine.models.report import GateResult, VerificationReport
from engine.models.settings import Gate, Guards
from engine.ports import GateRequest, GuardRequest, Sandbox, SignedReport
from engine.process.programs import Programs
from engine.sandbox.none import NoSandbox
from gates.runner import LocalGateRunner
from gates.sign import open_keys

Files = Mapping[str, str | bytes | None]
UNIT = ("python", "-m", "unittest", "-q")
GOOD = "import unittest\nclass T(unittest.TestCase):\n    def test_one(self): pass\n    def test_two(self): pass\n"


class WallClock:
    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class Bench:
    """A user's repository in `repo`, the engine's state in `state`, and the runner under test."""

    python = sys.executable

    def __init__(self, folder: Path, sandbox: Sandbox | None = None) -> None:
        self.repo, self.state = folder / "repo", folder / "state"
        self.repo.mkdir()
        self.git("init", "-q", "-b", "main")
        self.base = self.commit({"README.md": "a bench\n", "test_a.py": GOOD})
        self._open(sandbox, "one")

    @classmethod
    def again(cls, folder: Path, epoch: str) -> "Bench":
        """The bench of `folder` as another engine process opens it."""
        bench = cls.__new__(cls)
        bench.repo, bench.state = folder / "repo", folder / "state"
        bench.base = bench.git("rev-parse", "HEAD")
        bench._open(None, epoch)
        return bench

    def _open(self, sandbox: Sandbox | None, epoch: str) -> None:
        self.hub = Hub.create_or_open(self.state, self.repo, "main")
        self.store = ArtifactStore(self.state / "artifacts")
        self.signer = open_keys(self.state / "keys")
        self.public_key = self.state / "keys" / "public.pem"
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.sandbox = sandbox or NoSandbox()
        self.runs = self.state / "runs"
        self.runner = self.make_runner(epoch)
        self.asked = 0

    def make_runner(self, epoch: str, slots: int = 1, **more: Any) -> LocalGateRunner:
        """A runner as an engine that has just started would have it. more: further arguments of the runner."""
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return LocalGateRunner(
            hub=self.hub,
            slots=Slots(self.hub, self.state / "slots", slots),
            executor=more.pop("executor", None) or LocalExecutor(self.sandbox, f"{self.state}/{epoch}"),
            sandbox=self.sandbox,
            store=self.store,
            runs=self.runs,
            cache=self.state / "reuse",
            signer=self.signer,
            programs=Programs(path),
            clock=WallClock(),
            **more,
        )

    def git(self, *argv: str) -> str:
        who = {
            "GIT_AUTHOR_NAME": "p",
            "GIT_AUTHOR_EMAIL": "p@p",
            "GIT_COMMITTER_NAME": "p",
            "GIT_COMMITTER_EMAIL": "p@p",
        }
        env = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(["git", *argv], cwd=self.repo, env=env, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def write(self, files: Files) -> None:
        for name, content in files.items():
            path = self.repo / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, files: Files) -> str:
        """A commit on the user's main with these files written (None: deleted); its id."""
        self.write(files)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a step")
        return self.git("rev-parse", "HEAD")

    def change(self, files: Files) -> str:
        """The tree of base with these files, in the hub; the user's main is where it was."""
        commit = self.commit(files)
        tree = self.hub.tree_of(self.hub.fetch_objects(self.repo, commit))
        self.git("reset", "-q", "--hard", self.base)
        return tree

    def on_main(self, files: Files) -> None:
        """These files are on main now, in the hub too."""
        self.base = self.commit(files)
        self.hub.fetch_objects(self.repo, self.base)

    @property
    def base_tree(self) -> str:
        return self.hub.tree_of(self.base)

    async def emit(self, kind: str, fields: dict[str, Any]) -> None:
        self.events.append((kind, fields))

    def request(self, tree: str, *gates: Gate, **fields: Any) -> GateRequest:
        self.asked += 1
        known: dict[str, Any] = {
            "key": f"ask@{self.asked}",
            "base_tree": self.base_tree,
            "base_commit": self.base,
            "repository": self.base,
            "policy": "sha256:policy",
        }
        return GateRequest(tree=tree, gates=gates, **{**known, **fields})

    async def gates(self, tree: str, *gates: Gate, **fields: Any) -> SignedReport:
        return await self.runner.run(self.request(tree, *gates, **fields), self.emit)

    async def base_report(self, *gates: Gate) -> str:
        signed = await self.gates(self.base_tree, *gates, kind="gates")
        assert signed.report.result == "green", signed.report.reasons
        return signed.digest

    async def guard(self, files: Files, allow: tuple[str, ...] = (), deny: tuple[str, ...] = (), **guards: Any):
        """Results by rule for a change of these files."""
        return await self.guard_tree(self.change(files), allow, deny, **guards)

    async def guard_tree(self, tree: str, allow: tuple[str, ...] = (), deny: tuple[str, ...] = (), **guards: Any):
        named: tuple[str, ...] | None = guards.pop("named", None)
        request = GuardRequest(tree, self.base_tree, allow, deny, Guards.model_validate(guards), "wo", named=named)
        return {result.rule: result for result in await self.runner.guard(request)}


def gate(name: str = "unit", run: tuple[str, ...] = UNIT, results: str = "unittest", **fields: Any) -> Gate:
    return Gate.model_validate({"name": name, "run": list(run), "results": results, **fields})


def only(report: VerificationReport) -> GateResult:
    assert len(report.gates) == 1
    return report.gates[0]
