"""The ground a flow runs on: its own home and temporary folder, an environment by allowlist, and the sandbox."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from canary.drivers.doors import Doors
from canary.drivers.driver import Launch
from canary.drivers.side_events import NAME as SIDE_EVENTS_NAME
from canary.drivers.side_events import VARIABLE as SIDE_EVENTS
from canary.verdicts import Miss
from engine.git.removal import remove_tree
from engine.models.flow import Flow
from engine.ports import Quota, Sandbox, SandboxPolicy
from engine.process.environment import allowed_environment
from engine.process.programs import Program
from engine.process.tree import MARKER

Around = Callable[[Sequence[str]], tuple[tuple[str, ...], tuple[Path, ...]]]
"""Puts another program of ours before a command: the whole argv, and what has to be readable for that."""


class FindsPrograms(Protocol):
    def resolve(self, name: str) -> Program:
        """Where the program lies, and the folders it needs. Raises UserError when it is not there. Blocks."""
        ...


@dataclass(frozen=True)
class Ground:
    """Where one flow runs. `tree` is the checkout, `cache` the slot's build cache, `folder` the flow's own.

    marker: the value of SWARM_RUN, by which whatever the program leaves behind is found. quota: of each program.
    """

    tree: Path
    cache: Path
    folder: Path
    marker: str
    sandbox: Sandbox
    programs: FindsPrograms
    quota: Quota = field(default_factory=Quota)

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def tmp(self) -> Path:
        return self.folder / "tmp"

    @property
    def doors(self) -> Path | None:
        """Where the way into a network of its own is; None: the sandbox has none."""
        return self.folder / "doors" if getattr(self.sandbox, "own_network", False) else None

    def lay(self) -> None:
        """Make home and temporary folder, empty."""
        self.clear()
        for folder in (self.home, self.tmp, self.cache):
            folder.mkdir(parents=True, exist_ok=True)

    def clear(self) -> None:
        """Take them away again."""
        for folder in (self.home, self.tmp, *((self.doors,) if self.doors else ())):
            remove_tree(folder)

    def package(self, argv: Sequence[str]) -> Launch:
        """The build: it may write to the tree and to the cache. Blocks.

        Raises UserError for a program that this machine lacks, and Miss for one that the commit lacks.
        """
        policy = SandboxPolicy(writable=(self.tree, self.cache, self.home, self.tmp))
        return self._launch(argv, {}, policy)

    def start(self, flow: Flow, artifact: Path | None, doors: Doors) -> Launch:
        """The program under test: it may write to its home and temporary folder, and listen on its ports. Raises as
        `package`. Blocks."""
        argv = [part.replace("{artifact}", str(artifact)) for part in flow.argv] if artifact else flow.argv
        env = flow.isolate.env | (flow.start.env if flow.start is not None else {})
        writable, around = (self.home, self.tmp), list[Around]()
        if flow.driver == "terminal":
            from canary.drivers.terminal import on_terminal  # with all that a screen needs

            around.append(on_terminal)
            env = {SIDE_EVENTS: str(self.home / SIDE_EVENTS_NAME)} | env
        if doors.folder is not None:
            around.append(doors.relay)
            writable = (*writable, doors.folder)
        policy = SandboxPolicy(writable=writable, readable=(self.tree, self.cache), listen=tuple(doors.ports.values()))
        launch = self._launch(argv, env, policy, around)
        size = (flow.size.w, flow.size.h) if flow.size is not None else None
        return replace(launch, home=self.home, ports=doors.ports, size=size)

    def _launch(
        self, argv: Sequence[str], own: Mapping[str, str], policy: SandboxPolicy, around: Sequence[Around] = ()
    ) -> Launch:
        argv = [part.replace("{cache}", str(self.cache)) for part in argv]
        path, roots = self._program(argv[0])
        env = self._environment(own)
        command = (str(path), *argv[1:])
        for put in around:
            command, needs = put(command)
            roots = (*roots, *needs)
        policy = replace(policy, readable=(*policy.readable, *roots))
        wrapped = self.sandbox.wrap(command, self.tree, env, policy)
        brought = wrapped[0] == str(path) and self._is_brought(path)
        return Launch(wrapped, self.tree, env, self.marker, self.quota, policy.writable, brought=brought)

    def _program(self, name: str) -> tuple[Path, tuple[Path, ...]]:
        """Where it lies, and what it needs to read. What the commit brings is never asked for its version out here."""
        if "/" in name or Path(name).is_absolute():
            path = Path(name) if Path(name).is_absolute() else self.tree / name
            if self._is_brought(path):
                if not path.is_file():
                    raise Miss("FAIL", f"expected the program {name}, saw no such file")
                return path, ()
        program = self.programs.resolve(name)
        return program.path, program.roots

    def _is_brought(self, path: Path) -> bool:
        return path.is_relative_to(self.tree) or path.is_relative_to(self.cache)

    def _environment(self, own: Mapping[str, str]) -> dict[str, str]:
        home, tmp = str(self.home), str(self.tmp)
        ours = {
            "HOME": home,
            "TMPDIR": tmp,
            "XDG_CACHE_HOME": str(self.home / ".cache"),
            "XDG_CONFIG_HOME": str(self.home / ".config"),
            "XDG_DATA_HOME": str(self.home / ".local" / "share"),
            "XDG_RUNTIME_DIR": tmp,
            # Build output lies outside the tree, where a checkout cannot leave anything of an earlier commit.
            "CARGO_TARGET_DIR": str(self.cache / "target"),
            "PYTHONPYCACHEPREFIX": str(self.tmp / "pycache"),
            # A Python program on a pipe would keep its events in a buffer.
            "PYTHONUNBUFFERED": "1",
        }
        if sys.platform == "win32":
            ours |= {"TEMP": tmp, "TMP": tmp, "APPDATA": home, "LOCALAPPDATA": home}
        return allowed_environment(ours).values | dict(own) | {MARKER: self.marker}
