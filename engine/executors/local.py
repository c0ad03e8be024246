"""The executor of this machine: every process under a shim (`engine.process.shim`), found again by its folder.

A folder is one run. It holds `spec.json` (what was asked, without any value of the environment), `shim.json` (who runs
it), `log`, and at the end `result.json`. Running a spec whose folder has a result returns that result; a folder whose
shim lives is adopted; so a run happens at most once, whatever dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import marshal
import os
import subprocess
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Collection, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast, get_args, runtime_checkable

from engine.ports import End, ProcessResult, ProcessSpec, Sandbox, SandboxPolicy
from engine.process import tree

ADOPTED_POLL_S = 0.1
GRACE_S = 30.0
"""How long after its deadline a shim may take to end before it counts as broken."""
STOP_S = 10.0
"""How long a shim may take to kill its tree before the engine does it."""
CLAIM_S = 2.0
"""How long a shim may take to write its `shim.json` after creating it."""


@runtime_checkable
class OptionsByDescriptor(Protocol):
    """A sandbox whose program can read its options from a descriptor, so that they do not show in the process list."""

    def parts(
        self, argv: tuple[str, ...], cwd: Path, env: Mapping[str, str], policy: SandboxPolicy
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(program, options) in front of the command."""
        ...


@dataclass(frozen=True)
class _Shim:
    pid: int
    create_time: float
    marker: str


class LocalExecutor:
    """Implements `engine.ports.Executor`. `epoch` names this start of this engine; markers are `<epoch>/<run id>`."""

    def __init__(self, sandbox: Sandbox, epoch: str) -> None:
        self._sandbox = sandbox
        self._epoch = epoch
        self._adopted: set[str] = set()
        self._program = str(getattr(sys, "_base_executable", "") or sys.executable)
        self._shim = str(Path(tree.__file__).with_name("shim.py"))

    async def run(self, spec: ProcessSpec) -> ProcessResult:
        """Run it and wait. If `spec.folder` already has a result, return it; if its process still lives, adopt it.

        Cancelling kills the whole process tree before this returns. Never raises for what the process does: see
        `ProcessResult.end`. Raises OSError when the folder cannot be written.
        """
        spec.folder.mkdir(parents=True, exist_ok=True)
        if (result := self._result(spec)) is not None:
            return result
        if (spec.folder / "shim.json").exists():
            return await self._adopt(spec)
        return await self._start(spec)

    async def sweep(self, marker: str, keep: Collection[Path] = ()) -> int:
        """Kill every process of earlier epochs whose marker has this prefix; how many there were.

        What this executor has adopted is left alone, and so are the runs in the folders `keep`, which are yet to be.
        """
        spared = self._adopted | {shim.marker for folder in keep if (shim := _read_shim(folder)) is not None}

        def spare(found: str) -> bool:
            return found.startswith(f"{self._epoch}/") or found in spared

        return await asyncio.to_thread(tree.kill_marked, marker, spare)

    # ---- a run of our own

    async def _start(self, spec: ProcessSpec) -> ProcessResult:
        marker = f"{self._epoch}/{spec.run_id}"
        order = self._order(spec, marker)
        _write_spec(spec, marker)
        with (spec.folder / "log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                self._program,
                "-I",
                "-S",
                "-X",
                "utf8",
                self._shim,
                str(spec.folder),
                stdin=PIPE,
                stdout=DEVNULL,
                stderr=log,  # the shim itself writes there only when it crashes
                env=_shim_environment(marker),
                **_apart(),
            )
        leash = process.stdin
        assert leash is not None
        try:
            with contextlib.suppress(OSError):  # a shim that is already dead has no result, which is seen below
                payload = marshal.dumps(order)
                leash.write(len(payload).to_bytes(8, "big") + payload)
                await leash.drain()
            async with asyncio.timeout(spec.wall_s + GRACE_S):
                await process.wait()
        except TimeoutError:
            await _finish(self._stop(process, spec, marker))
            return self._conclude(spec, "lost", "the supervisor did not keep its deadline")
        except asyncio.CancelledError:
            await _finish(self._stop(process, spec, marker))
            self._conclude(spec, "cancelled", "")
            raise
        finally:
            leash.close()
        if (result := self._result(spec)) is not None:
            await self._sweep_up(marker)
            return result
        shim = await self._claimant(spec.folder)
        if shim is not None and shim.pid != process.pid:
            return await self._adopt(spec)  # another shim has had this folder before ours
        await asyncio.to_thread(_kill_exactly, marker)
        return self._conclude(spec, "lost", f"the supervisor ended with {process.returncode} and left no result")

    def _order(self, spec: ProcessSpec, marker: str) -> dict[str, Any]:
        """What the shim is told, with plain values only. It goes through a pipe: the environment may hold secrets."""
        env = {**spec.env, tree.MARKER: marker}
        program: tuple[str, ...] = ()
        options: tuple[str, ...] = ()
        command = spec.argv
        if isinstance(self._sandbox, OptionsByDescriptor):
            program, options = self._sandbox.parts(spec.argv, spec.cwd, env, spec.policy)
        else:
            command = self._sandbox.wrap(spec.argv, spec.cwd, env, spec.policy)
        return {
            "run_id": spec.run_id,
            "marker": marker,
            "head": list(program),
            "options": list(options),
            "command": [str(part) for part in command],
            "cwd": str(spec.cwd),
            "env": env,
            "wall_s": float(spec.wall_s),
            "idle_s": None if spec.idle_s is None else float(spec.idle_s),
            "leash": spec.leash,
            "nice": spec.nice,
            "log_cap": spec.log_cap,
        }

    async def _stop(self, process: Process, spec: ProcessSpec, marker: str) -> None:
        """End the run's whole tree: by the shim, or, should it not manage to, over its head."""
        if process.returncode is None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.write(b"k")
                await process.stdin.drain()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await process.wait()
        if process.returncode is None:
            if (shim := _read_shim(spec.folder)) is not None:
                await asyncio.to_thread(tree.kill_tree, shim.pid, shim.create_time)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if self._result(spec) is None:
            await asyncio.to_thread(_kill_exactly, marker)
        else:
            await self._sweep_up(marker)

    async def _sweep_up(self, marker: str) -> None:
        """Where the shim cannot find double-forked daemons (neither a subreaper nor a job object), the marker does."""
        if sys.platform not in ("linux", "win32"):
            await asyncio.to_thread(_kill_exactly, marker)

    # ---- a run of somebody who has died

    async def _adopt(self, spec: ProcessSpec) -> ProcessResult:
        shim = await self._claimant(spec.folder)
        if shim is None:
            return self._conclude(spec, "lost", "the supervisor died before it had begun")
        self._adopted.add(shim.marker)
        try:
            async with asyncio.timeout(spec.wall_s + GRACE_S):
                while _runs(shim):  # noqa: ASYNC110  (another process's end; no event of this loop tells of it)
                    await asyncio.sleep(ADOPTED_POLL_S)
        except TimeoutError:
            await _finish(asyncio.to_thread(_kill_shim, shim))
        except asyncio.CancelledError:
            await _finish(asyncio.to_thread(_kill_shim, shim))
            self._conclude(spec, "cancelled", "")
            raise
        finally:
            self._adopted.discard(shim.marker)
        if (result := self._result(spec)) is not None:
            await self._sweep_up(shim.marker)
            return result
        await asyncio.to_thread(_kill_exactly, shim.marker)
        return self._conclude(spec, "lost", "the supervisor is gone and left no result")

    async def _claimant(self, folder: Path) -> _Shim | None:
        """Who has the folder. A shim creates the file before it fills it, so an incomplete one is given a moment."""
        for _ in range(int(CLAIM_S / ADOPTED_POLL_S)):
            if (shim := _read_shim(folder)) is not None or not (folder / "shim.json").exists():
                return shim
            await asyncio.sleep(ADOPTED_POLL_S)
        return None

    # ---- results

    def _result(self, spec: ProcessSpec) -> ProcessResult | None:
        try:
            fields = json.loads((spec.folder / "result.json").read_bytes())
        except (OSError, ValueError):
            return None
        end = fields["end"] if fields["end"] in get_args(End) else "lost"
        return ProcessResult(
            spec.run_id, end, fields["exit_code"], fields["duration_s"], spec.folder / "log", fields["note"]
        )

    def _conclude(self, spec: ProcessSpec, end: End, note: str) -> ProcessResult:
        """Write the result that no shim has written, unless one has; asking again gives the same answer."""
        if (result := self._result(spec)) is not None:
            return result
        fields = {"run_id": spec.run_id, "end": end, "exit_code": None, "duration_s": 0.0, "note": note}
        new = spec.folder / "result.json.new"
        with new.open("w", encoding="utf-8") as file:
            json.dump(fields, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(spec.folder / "result.json")
        return ProcessResult(spec.run_id, end, None, 0.0, spec.folder / "log", note)


async def _finish(work: Coroutine[Any, Any, object]) -> None:
    """Await it to its end even if the awaiting task is cancelled again meanwhile: a kill is never left half done."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    task.result()


def _write_spec(spec: ProcessSpec, marker: str) -> None:
    """For people, and for whoever finds the folder: names of the environment, never its values."""
    fields = {
        "run_id": spec.run_id,
        "marker": marker,
        "argv": list(spec.argv),
        "cwd": str(spec.cwd),
        "env": sorted(spec.env),
        "wall_s": spec.wall_s,
        "idle_s": spec.idle_s,
        "leash": spec.leash,
        "nice": spec.nice,
        "log_cap": spec.log_cap,
        "writable": [str(path) for path in spec.policy.writable],
        "readable": [str(path) for path in spec.policy.readable],
        "network": spec.policy.network,
    }
    (spec.folder / "spec.json").write_text(json.dumps(fields, indent=1), encoding="utf-8")


def _read_shim(folder: Path) -> _Shim | None:
    try:
        fields = cast("dict[str, Any]", json.loads((folder / "shim.json").read_bytes()))
        return _Shim(int(fields["pid"]), float(fields["create_time"]), str(fields["marker"]))
    except (OSError, ValueError, KeyError):
        return None


def _runs(shim: _Shim) -> bool:
    """Whether that very shim lives. A corrected clock moves create times; then the marker tells."""
    return tree.alive(shim.pid, shim.create_time) or tree.marked(shim.pid, shim.marker)


def _kill_shim(shim: _Shim) -> None:
    tree.kill_tree(shim.pid, shim.create_time)
    _kill_exactly(shim.marker)


def _kill_exactly(marker: str) -> int:
    """Kill what carries this marker; a longer one that starts with it is another run."""
    return tree.kill_marked(marker, spare=lambda found: found != marker)


def _shim_environment(marker: str) -> dict[str, str]:
    """What the interpreter itself needs to start, and the marker."""
    names = ("SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR", "TEMP")
    return {name: os.environ[name] for name in names if name in os.environ} | {tree.MARKER: marker}


def _apart() -> dict[str, Any]:
    """Away from the engine's terminal: Ctrl-C there is the engine's to handle."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}
