"""A yard for build caches: a repository, its hub with one slot, and runs in it as a gate would make them."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from engine.executors.local import LocalExecutor
from engine.git.hub import Hub
from engine.git.slots import Slot, Slots
from engine.models.settings import SandboxSettings
from engine.ports import ProcessSpec, Sandbox, SandboxPolicy
from engine.process.programs import Program
from engine.sandbox.bubblewrap import BubblewrapSandbox
from engine.sandbox.choose import choose_sandbox
from gates.caches import Caches, Prepared

SHELL = Program("cargo", Path("/bin/sh"))
PATH = os.environ["PATH"]


class Yard:
    """`run` gives what a command said, run on a tree in the slot."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder, self.sandbox = folder, sandbox
        self.repo = folder / "repo"
        self.repo.mkdir()
        self._git("init", "-q", "-b", "main")
        self.commit({"README": "a yard\n"})
        self.hub = Hub.create_or_open(folder / "state", self.repo, "main")
        self.slots = Slots(self.hub, folder / "state" / "slots", 1)
        self.caches = Caches(sandbox)
        self.overlaid = True
        self._executor = LocalExecutor(sandbox, f"yard-{folder}")
        self._numbers = itertools.count()

    def _git(self, *argv: str) -> str:
        who = {f"GIT_{role}_{part}": "p@p" for role in ("AUTHOR", "COMMITTER") for part in ("NAME", "EMAIL")}
        env = {**os.environ, **who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(["git", *argv], cwd=self.repo, env=env, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str]) -> str:
        for name, content in files.items():
            (self.repo / name).parent.mkdir(parents=True, exist_ok=True)
            (self.repo / name).write_text(content, encoding="utf-8")
        self._git("add", "-A")
        self._git("commit", "-q", "--allow-empty", "-m", "a step")
        return self._git("rev-parse", "HEAD")

    def tree(self, files: Mapping[str, str]) -> str:
        """The tree of the newest commit with these files."""
        return self.hub.tree_of(self.hub.fetch_objects(self.repo, self.commit(files)))

    async def run(self, tree: str, *argv: str, session: str = "", program: Program = SHELL, again: bool = False) -> str:
        """Run it on the tree in the slot; its output, with `RED` in front when it failed. again: without a checkout."""
        async with self.slots.lease("yard") as slot:
            slot.tree = tree if again else None
            if not again:
                slot.checkout(tree)
            run = self.folder / "runs" / (session or f"session-{next(self._numbers)}") / f"gate-{next(self._numbers)}"
            prepared = self.caches.prepare(slot, run, program, argv)
            code, said = await self._process(slot, run, prepared, (str(program.path), *argv), program.roots)
            self.caches.finished(prepared, tree, code == 0)
            return said if code == 0 else f"RED {said}"

    async def _process(
        self, slot: Slot, run: Path, prepared: Prepared, argv: tuple[str, ...], roots: tuple[Path, ...]
    ) -> tuple[int | None, str]:
        home = run / "home"
        home.mkdir(parents=True)
        writable = (slot.path, home, *prepared.writable)
        if not self.overlaid:
            prepared, writable = replace(prepared, overlays=()), (*writable, prepared.overlays[0].at)
        spec = ProcessSpec(
            run_id=run.name,
            argv=argv,
            cwd=slot.path,
            env={"PATH": PATH, "HOME": str(home), "TMPDIR": str(home), **prepared.env},
            folder=run,
            wall_s=120.0,
            leash=False,
            policy=SandboxPolicy(writable, roots, overlays=prepared.overlays),
        )
        result = await self._executor.run(spec)
        return result.exit_code, result.log.read_text(encoding="utf-8", errors="replace")

    async def shell(self, tree: str, script: str, session: str = "") -> str:
        return (await self.run(tree, "-c", f'cd "$CARGO_TARGET_DIR" && {{ {script}\n}}', session=session)).strip()


def overlaying(folder: Path) -> BubblewrapSandbox:
    """A sandbox with overlays that works here; skips the test where there is none."""
    chosen = choose_sandbox(SandboxSettings(), folder / "probe")
    if not isinstance(chosen, BubblewrapSandbox) or not chosen.overlays:
        pytest.skip("there are no overlays here")
    return chosen
