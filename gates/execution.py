"""One gate's process: its private folders and environment, its start or adoption, its results and its log."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from engine.errors import InfrastructureFault
from engine.git.removal import remove_tree
from engine.git.slots import Slot
from engine.models.settings import Gate
from engine.ports import Executor, Overlay, ProcessResult, ProcessSpec, SandboxPolicy
from engine.process.environment import allowed_environment
from engine.process.programs import RUST, Program
from gates.results.adapter import ResultsAdapter, Seen, Watch
from gates.threads import in_thread

LOG_CAP_BYTES = 8_000_000
_TICK_S = 0.25
_WATCH = "watch.json"
_KILLED = frozenset(128 + number for number in (1, 2, 9, 15))
"""Exit codes of what was ended by SIGHUP, SIGINT, SIGKILL or SIGTERM."""
_NOWHERE = Path("private")


class StartOver(Exception):
    """A run that an earlier engine began cannot be continued; what it left is forgotten."""


class PreparedCache(Protocol):
    """A build cache as one run may see it. note: what people should know of it, "" when there is nothing to say."""

    @property
    def env(self) -> Mapping[str, str]: ...
    @property
    def overlays(self) -> tuple[Overlay, ...]: ...
    @property
    def writable(self) -> tuple[Path, ...]: ...
    @property
    def readable(self) -> tuple[Path, ...]: ...
    @property
    def note(self) -> str: ...


class WarmCaches(Protocol):
    """Build caches of slots, from which a run takes and into which only landed trees give. Every call blocks."""

    def prepare(self, slot: Slot, run: Path, program: Program, argv: Sequence[str]) -> PreparedCache: ...
    def finished(self, prepared: Any, tree: str, green: bool) -> None: ...
    def promote(self, tree: str) -> None: ...


@dataclass(frozen=True)
class Job:
    """One gate on one tree. `folder` is this gate's, tree's and definition's alone; `progress` is a JSON-lines file.

    leash: the process dies with the engine and is not adopted by the next one. purpose: why it runs, beyond being a
    gate of the tree. scope: runs of one session that may find in a build cache what the others of their scope built.
    """

    gate: Gate
    tree: str
    program: Program
    adapter: ResultsAdapter
    folder: Path
    progress: Path
    run_id: str
    nice: int
    leash: bool = False
    purpose: str = ""
    scope: str = "gates"


@dataclass(frozen=True)
class Ran:
    """How it went. `touched`: the run changed tracked files. `timeout_s` is set when that is how it ended.

    note: what the build cache has to say.
    """

    seen: Seen
    process: ProcessResult
    touched: bool = False
    timeout_s: float | None = None
    note: str = ""


@dataclass(frozen=True)
class _Begun:
    """What the run was given."""

    watch: Watch
    scratch: Path


@dataclass
class _Loan:
    """The build cache of one run, which is given back once, however the run ends."""

    caches: WarmCaches | None
    tree: str
    prepared: PreparedCache | None = None

    def take(self, slot: Slot, run: Path, job: Job) -> None:
        if self.caches is not None:
            self.prepared = self.caches.prepare(slot, run, job.program, job.gate.run)

    def give_back(self, green: bool) -> None:
        prepared, self.prepared = self.prepared, None
        if prepared is not None and self.caches is not None:
            self.caches.finished(prepared, self.tree, green)


def gate_environment(gate: Gate, scratch: Path = _NOWHERE, cache: Mapping[str, str] | None = None) -> dict[str, str]:
    """The complete environment of a gate. Home and temporary files are private to one run.

    Nothing points at a cache that outlives the tree, but for `cache`: Python trusts bytecode by size and second of its
    source, and what one change leaves in a cache, the next could run. Bytecode lies in the tree's own folders, which a
    checkout sweeps.
    """
    temporary = str(scratch / "tmp")
    own = {
        "HOME": str(scratch / "home"),
        "TMPDIR": temporary,
        "TMP": temporary,
        "TEMP": temporary,
    }
    return allowed_environment({**own, **(cache or {}), **gate.env}).values


async def execute(
    executor: Executor,
    slot: Slot,
    job: Job,
    caches: WarmCaches | None = None,
    ready: Callable[[], None] | None = None,
) -> Ran:
    """Run the gate in the slot as it is, or go on with the run that an earlier engine began there.

    ready: makes the slot ready for a run that begins; what it raises is raised. It blocks, and runs in a thread.
    Cancelling kills the process tree. Raises InfrastructureFault when the process was lost, and StartOver when an
    earlier engine's run was lost or has run elsewhere.
    """
    continued, loan = is_begun(job.folder), _Loan(caches, job.tree)
    try:
        begun = await in_thread(_prepare, job, slot, loan, ready)
        process = await _once(executor, slot, job, begun, loan.prepared)
        ran = await in_thread(_conclude_run, slot, job, begun, process, loan)
    except BaseException:
        await in_thread(_abandon, job.folder, loan)
        raise
    lost = process.end not in ("exited", "wall_timeout", "idle_timeout", "quota")
    # Of a run that somebody else began only an untouched tree in its own slot proves what it ran on, and what killed
    # its engine (a shutdown, a sweep) may have killed it too.
    elsewhere = not slot.adopted or begun.watch.tree != slot.path
    if continued and (lost or process.exit_code in _KILLED or ran.touched or elsewhere):
        await in_thread(forget, job.folder)
        raise StartOver
    if lost and process.end != "not_started":
        await in_thread(forget, job.folder)
        raise InfrastructureFault(f"the process of gate {job.gate.name} was {process.end} ({process.note})")
    return ran


def is_begun(folder: Path) -> bool:
    """Whether a run in this folder was begun and not yet reported on."""
    return (folder / _WATCH).exists()


def lease_of(folder: Path) -> str:
    """The key of the lease under which the run in this folder was begun; "" when none was."""
    try:
        return str(json.loads((folder / _WATCH).read_text(encoding="utf-8"))["lease"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def conclude(folder: Path) -> None:
    """The run has been reported on: asked for again, it runs again. Its log stays, its results do not."""
    (folder / _WATCH).unlink(missing_ok=True)
    remove_tree(folder / "exchange")


def clear(folder: Path) -> None:
    """The run died with its engine and nobody goes on with it: what was private to it goes, its log stays."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        remove_tree(Path(json.loads((folder / _WATCH).read_text(encoding="utf-8"))["scratch"]))
    conclude(folder)


def forget(folder: Path) -> None:
    """Remove a run with all that it left."""
    clear(folder)
    remove_tree(folder)


def _abandon(folder: Path, loan: _Loan) -> None:
    with contextlib.suppress(OSError):  # it says no more than what ended the run
        loan.give_back(False)
    forget(folder)


async def _once(
    executor: Executor, slot: Slot, job: Job, begun: _Begun, prepared: PreparedCache | None
) -> ProcessResult:
    watch, scratch = begun.watch, begun.scratch
    launch = job.adapter.launch((str(job.program.path), *job.gate.run[1:]), watch)
    env = gate_environment(job.gate, scratch, prepared.env if prepared else None)
    _find_toolchain(env, job.program)
    spec = ProcessSpec(
        run_id=job.run_id,
        argv=launch.argv,
        cwd=slot.path,
        env=env,
        folder=job.folder,
        wall_s=job.gate.timeout,
        leash=job.leash,
        nice=job.nice,
        log_cap=LOG_CAP_BYTES,
        policy=SandboxPolicy(
            writable=(slot.path, scratch, watch.exchange, *(prepared.writable if prepared else ())),
            readable=(*job.program.roots, *launch.readable, *_tools(env), *(prepared.readable if prepared else ())),
            overlays=prepared.overlays if prepared else (),
        ),
    )
    async with _followed(job, watch.exchange):
        return await executor.run(spec)


def _conclude_run(slot: Slot, job: Job, begun: _Begun, process: ProcessResult, loan: _Loan) -> Ran:
    """Everything that is to be read after a run, in one go."""
    touched = True if slot.tree is None else bool(slot.unchanged())
    timed_out = process.end in ("wall_timeout", "idle_timeout")
    seen = Seen()
    if process.exit_code is not None and not timed_out:
        seen = job.adapter.read(process.exit_code, begun.watch)
    remove_tree(begun.scratch)
    note = loan.prepared.note if loan.prepared is not None else ""
    clean = process.exit_code == 0 and not (touched or seen.problems or seen.fault)
    loan.give_back(clean and "failed" not in seen.outcomes.values())
    return Ran(seen, process, touched, job.gate.timeout if timed_out else None, note)


def _prepare(job: Job, slot: Slot, loan: _Loan, ready: Callable[[], None] | None) -> _Begun:
    """Fresh private folders, or those of the run that is being continued. The note is written last, as one piece.

    Raises StartOver for a note that cannot be read, as a power loss can leave it.
    """
    folder = job.folder
    note = folder / _WATCH
    exchange = folder / "exchange"
    if note.exists():
        try:
            found = cast("dict[str, str]", json.loads(note.read_text(encoding="utf-8")))
            return _Begun(Watch(exchange, found["nonce"], Path(found["tree"])), Path(found["scratch"]))
        except (ValueError, KeyError, TypeError) as error:
            raise StartOver from error
    if ready is not None:
        ready()
    if folder.exists():
        remove_tree(folder)
    folder.mkdir(parents=True)
    exchange.mkdir()
    nonce = secrets.token_hex(32)
    (exchange / "nonce").write_text(nonce, encoding="ascii")
    # Not below the state folder: its long path leaves no room for a socket's name.
    scratch = Path(tempfile.mkdtemp(prefix="swarm-")).resolve()
    try:
        for name in ("home", "tmp"):
            (scratch / name).mkdir()
        loan.take(slot, folder.parent / job.scope / folder.name, job)
        fresh = note.with_suffix(".new")
        known = {"nonce": nonce, "scratch": str(scratch), "tree": str(slot.path), "lease": slot.key}
        fresh.write_text(json.dumps(known), encoding="utf-8")
        fresh.chmod(0o600)
        fresh.replace(note)
    except BaseException:
        remove_tree(scratch)  # nothing names it yet
        raise
    return _Begun(Watch(exchange, nonce, slot.path), scratch)


def _find_toolchain(env: dict[str, str], program: Program) -> None:
    """Puts the folder of a Rust tool that was found behind rustup's proxy first in PATH, where its siblings look for
    each other: the proxies find nothing without the user's home folder."""
    folders, own = env.get("PATH", "").split(os.pathsep), str(program.path.parent)
    if program.path.stem in RUST and program.path.is_absolute() and own not in folders:
        env["PATH"] = os.pathsep.join([own, *folders])


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
            row: dict[str, Any] = {"gate": job.gate.name, "done": now[0], "failed": now[1]}
            line = json.dumps(row | ({"purpose": job.purpose} if job.purpose else {}))
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
            await asyncio.gather(follower, return_exceptions=True)
            with contextlib.suppress(OSError):
                await in_thread(tell)
