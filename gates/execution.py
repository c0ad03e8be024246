"""One gate's process: its private folders and environment, its start or adoption, its results and its log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import InfrastructureFault
from engine.git.removal import remove_tree
from engine.git.slots import Slot
from engine.models.settings import Gate
from engine.ports import Executor, ProcessResult, ProcessSpec, SandboxPolicy
from engine.process.environment import allowed_environment
from engine.process.programs import Program
from gates.results.adapter import ResultsAdapter, Seen, Watch
from gates.threads import in_thread

LOG_CAP_BYTES = 8_000_000
_TICK_S = 0.25
_WATCH = "watch.json"
_NOWHERE = Path("private")


class StartOver(Exception):
    """A run that an earlier engine began cannot be continued; what it left is forgotten."""


@dataclass(frozen=True)
class Job:
    """One gate on one tree. `folder` is this gate's, tree's and definition's alone; `progress` is a JSON-lines file."""

    gate: Gate
    tree: str
    program: Program
    adapter: ResultsAdapter
    folder: Path
    progress: Path
    run_id: str
    nice: int


@dataclass(frozen=True)
class Ran:
    """How it went. `touched`: the run changed tracked files. `timeout_s` is set when that is how it ended."""

    seen: Seen
    process: ProcessResult
    touched: bool = False
    timeout_s: float | None = None


def gate_environment(gate: Gate, scratch: Path = _NOWHERE) -> dict[str, str]:
    """The complete environment of a gate. Home and temporary files are private to one run.

    Nothing points at a cache that outlives the tree: Python trusts bytecode by size and second of its source, and
    what one
    one change leaves in a cache, the next could run. Bytecode lies in the tree's own folders, which a checkout sweeps.
    """
    temporary = str(scratch / "tmp")
    own = {
        "HOME": str(scratch / "home"),
        "TMPDIR": temporary,
        "TMP": temporary,
        "TEMP": temporary,
    }
    return allowed_environment({**own, **gate.env}).values


async def execute(executor: Executor, slot: Slot, job: Job) -> Ran:
    """Run the gate in the slot as it is, or go on with the run that an earlier engine began there.

    Cancelling kills the process tree. Raises InfrastructureFault when the process was lost, and StartOver when an
    earlier engine's run was lost or has run elsewhere.
    """
    continued = is_begun(job.folder)
    try:
        watch, scratch = await in_thread(_prepare, job.folder, slot.path)
        ran = await _once(executor, slot, job, watch, scratch)
    except asyncio.CancelledError:
        _forget(job.folder)
        raise
    await in_thread(remove_tree, scratch)
    lost = ran.process.end not in ("exited", "wall_timeout", "idle_timeout")
    # Of a run that somebody else began only an untouched tree in its own slot proves what it ran on.
    if continued and (lost or ran.touched or not slot.adopted):
        await in_thread(_forget, job.folder)
        raise StartOver
    if lost and ran.process.end != "not_started":
        await in_thread(_forget, job.folder)
        raise InfrastructureFault(f"the process of gate {job.gate.name} was {ran.process.end} ({ran.process.note})")
    return ran


def is_begun(folder: Path) -> bool:
    """Whether a run in this folder was begun and not yet reported on."""
    return (folder / _WATCH).exists()


def conclude(folder: Path) -> None:
    """The run has been reported on: asked for again, it runs again. Its log stays."""
    (folder / _WATCH).unlink(missing_ok=True)


async def _once(executor: Executor, slot: Slot, job: Job, watch: Watch, scratch: Path) -> Ran:
    launch = job.adapter.launch((str(job.program.path), *job.gate.run[1:]), watch)
    env = gate_environment(job.gate, scratch)
    spec = ProcessSpec(
        run_id=job.run_id,
        argv=launch.argv,
        cwd=slot.path,
        env=env,
        folder=job.folder,
        wall_s=job.gate.timeout,
        leash=False,
        nice=job.nice,
        log_cap=LOG_CAP_BYTES,
        policy=SandboxPolicy(
            writable=(slot.path, scratch, watch.exchange),
            readable=(*job.program.roots, *launch.readable, *_tools(env)),
        ),
    )
    async with _followed(job, watch.exchange):
        process = await executor.run(spec)
    touched = True if slot.tree is None else bool(await in_thread(slot.unchanged))
    if process.end in ("wall_timeout", "idle_timeout"):
        return Ran(Seen(), process, touched, job.gate.timeout)
    if process.exit_code is None:
        return Ran(Seen(), process, touched)
    seen = await asyncio.to_thread(job.adapter.read, process.exit_code, watch)
    return Ran(seen, process, touched)


def _prepare(folder: Path, tree: Path) -> tuple[Watch, Path]:
    """Fresh private folders, or those of the run that is being continued. The note is written last, as one piece."""
    note = folder / _WATCH
    exchange = folder / "exchange"
    if note.exists():
        found: Mapping[str, str] = json.loads(note.read_text(encoding="utf-8"))
        return Watch(exchange, found["nonce"], Path(found["tree"])), Path(found["scratch"])
    remove_tree(folder)
    exchange.mkdir(parents=True)
    nonce = secrets.token_hex(32)
    (exchange / "nonce").write_text(nonce, encoding="ascii")
    # Not below the state folder: its long path leaves no room for a socket's name.
    scratch = Path(tempfile.mkdtemp(prefix="swarm-")).resolve()
    for name in ("home", "tmp"):
        (scratch / name).mkdir()
    fresh = note.with_suffix(".new")
    fresh.write_text(json.dumps({"nonce": nonce, "scratch": str(scratch), "tree": str(tree)}), encoding="utf-8")
    fresh.chmod(0o600)
    fresh.replace(note)
    return Watch(exchange, nonce, tree), scratch


def _forget(folder: Path) -> None:
    with contextlib.suppress(OSError, ValueError, KeyError):
        remove_tree(Path(json.loads((folder / _WATCH).read_text(encoding="utf-8"))["scratch"]))
    remove_tree(folder)


def _tools(env: Mapping[str, str]) -> tuple[Path, ...]:
    """What a gate's own children may need to read: the folders of PATH, and the environments that they belong to."""
    found: list[Path] = []
    for entry in env.get("PATH", "").split(os.pathsep):
        folder = Path(entry)
        if entry and folder.is_absolute():
            found.append(folder.parent if (folder.parent / "pyvenv.cfg").is_file() else folder)
    return tuple(found)


@contextlib.asynccontextmanager
async def _followed(job: Job, exchange: Path):
    """Keeps `progress` fed while the body runs, with a last line at its end. Lossy, for people."""
    told = (-1, -1)

    def tell() -> None:
        nonlocal told
        if (now := job.adapter.progress(exchange)) != told:
            told = now
            line = json.dumps({"gate": job.gate.name, "done": now[0], "failed": now[1]})
            with job.progress.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    async def follow() -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            await asyncio.to_thread(tell)

    follower = asyncio.create_task(follow()) if job.adapter.counts else None
    try:
        yield
    finally:
        if follower is not None:
            follower.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await follower
            with contextlib.suppress(OSError):
                tell()
