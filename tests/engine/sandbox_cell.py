"""A cell to break out of, and the same cell without walls: what the attacks on every sandbox share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from engine.executors.local import LocalExecutor
from engine.ports import ProcessResult, ProcessSpec, Sandbox, SandboxPolicy
from engine.sandbox.none import NoSandbox

PYTHON = str(Path(sys.executable).resolve())
ROOTS = (Path(sys.base_prefix), Path(PYTHON).parent.parent)


class Cell:
    """A workspace below a home folder with secrets, and what to run in it: with the sandbox, and without."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.workspace = self.home / "state" / "workspace"
        self.workspace.mkdir(parents=True)
        self.sandboxes: dict[str, Sandbox] = {"caged": sandbox, "free": NoSandbox()}
        self._count = 0

    async def run(
        self,
        how: str,
        argv: tuple[str, ...],
        *,
        readable: tuple[Path, ...] = (),
        writable: tuple[Path, ...] = (),
        hosts: tuple[str, ...] = (),
        masked: tuple[Path, ...] = (),
        ports: tuple[int, ...] = (),
        env: dict[str, str] | None = None,
    ) -> ProcessResult:
        executor = LocalExecutor(self.sandboxes[how], f"cell-{self.folder.name}")
        return await executor.run(self.spec(argv, readable, writable, hosts, masked, ports, env))

    def spec(
        self,
        argv: tuple[str, ...],
        readable: tuple[Path, ...] = (),
        writable: tuple[Path, ...] = (),
        hosts: tuple[str, ...] = (),
        masked: tuple[Path, ...] = (),
        ports: tuple[int, ...] = (),
        env: dict[str, str] | None = None,
    ) -> ProcessSpec:
        self._count += 1
        return ProcessSpec(
            run_id=f"attack-{self._count}",
            argv=argv,
            cwd=self.workspace,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.home), **(env or {})},
            folder=self.folder / "runs" / str(self._count),
            wall_s=30.0,
            policy=SandboxPolicy(
                (self.workspace, *writable), (*ROOTS, *readable), hosts=hosts, masked=masked, ports=ports
            ),
        )

    async def shell(self, how: str, line: str, **changes: object) -> ProcessResult:
        return await self.run(how, ("sh", "-c", line), **changes)  # type: ignore[arg-type]

    async def python(self, how: str, code: str, **changes: object) -> ProcessResult:
        return await self.run(how, (PYTHON, "-I", "-S", "-c", code), **changes)  # type: ignore[arg-type]


async def both(attack: Callable[[str], object], succeeded: Callable[[], bool]) -> None:
    """The attack must fail in the cage and succeed outside of it."""
    await attack("caged")  # type: ignore[misc]
    assert not succeeded(), "the attack got out of the sandbox"
    await attack("free")  # type: ignore[misc]
    assert succeeded(), "the attack does not even work without a sandbox: the test proves nothing"
