"""The engine as it runs on a machine: start and recovery, the watchers around the loop, and an orderly end."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import psutil

from engine import read_only, watch
from engine.actions import (
    Action,
    Adopt,
    CheckAcceptance,
    CheckChange,
    FileBug,
    GateMain,
    GateTrial,
    JoinTests,
    Land,
    ProposeGolden,
    Publish,
    PublishRemote,
    Restore,
    RunCanary,
    StartRun,
)
from engine.artifacts import ArtifactStore
from engine.commands import execute
from engine.definitions import Definitions
from engine.effects import acceptance, after, canary, goldens, handoffs, moves, remote, runs, train
from engine.effects.memory import look_at_memory
from engine.effects.world import Ports, World
from engine.errors import InfrastructureFault, JournalBroken, SwarmError, UserError
from engine.folders import StateFolder
from engine.git.hub import Hub
from engine.git.publish import Repository, user_tip
from engine.git.workspaces import Workspaces
from engine.journal import Journal
from engine.journal.heads import refuse_break
from engine.journal.keeper import HeadKeeper
from engine.lock import InstanceLock
from engine.log import EngineLog
from engine.loop import Effect, EndReason, Engine
from engine.memory import give_back
from engine.models.event import Event, NewEvent
from engine.planner import plan
from engine.ports import Clock, HeadSigner
from engine.sandbox.meanings import said_of
from engine.snapshot import fold

INBOX_POLL_S = 0.2
HEARTBEAT_S = 5.0
SUSPEND_GAP_S = 30.0
PAST_AT_ONCE = 25_000
"""So many events before the snapshot are verified before anything else, in about 0.1 s; more of them meanwhile."""
PAST_PAUSE_S = 0.002
"""Between two pages of events that are verified while the engine works already."""
LARGE_READING_S = 0.2
"""A look at the files that took longer has left much memory behind."""


@dataclass(frozen=True)
class Site:
    """One engine's place: repository, state folder, and what was opened there. Made by the composition root."""

    repository: Repository
    folders: StateFolder
    hub: Hub
    journal: Journal
    workspaces: Workspaces
    artifacts: ArtifactStore
    definitions: Definitions
    log: EngineLog
    clock: Clock
    version: str
    signer: HeadSigner | None = None
    """Of the journal's head; an engine has one."""


@dataclass
class Host:
    """Runs one engine. `open_site` is called once the lock is held; `make_ports` with the epoch, which marks every
    process that this engine starts. `run` blocks the calling task; `drain` and `stop_now` may be called from any
    thread.
    """

    folders: StateFolder
    open_site: Callable[[], Site]
    make_ports: Callable[[Site, int], Ports]
    on_events: Callable[[list[Event]], None] | None = None
    ready: threading.Event = field(default_factory=threading.Event)
    _site: Site | None = None
    _loop: asyncio.AbstractEventLoop | None = None
    _engine: Engine | None = None
    _answering: asyncio.Lock = field(default_factory=asyncio.Lock)
    _heads: HeadKeeper | None = None
    _broken: JournalBroken | None = None
    _asked: deque[Callable[[Engine], Any]] = field(default_factory=deque[Callable[["Engine"], Any]])

    @property
    def site(self) -> Site:
        """What was opened; only there once `ready` is set."""
        assert self._site is not None, "the engine has not started"
        return self._site

    # -- from other threads --------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Take no new work, finish what runs, then end."""
        self._call(lambda engine: engine.journal.append("engine_draining"))

    def stop_now(self) -> None:
        """End at once: runs are interrupted, their files are kept."""
        self._call(lambda engine: engine.stop("stopped"))

    def _call(self, act: Callable[[Engine], Any]) -> None:
        """What is asked before the engine has started is done as soon as it has."""
        self._asked.append(act)
        if self.ready.is_set() and self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._do_asked)

    def _do_asked(self) -> None:
        assert self._engine is not None
        while self._asked:
            self._asked.popleft()(self._engine)

    # -- the engine's life ---------------------------------------------------------------------------------------

    async def run(self, *, until_idle: bool = False, duration_s: float | None = None) -> EndReason:
        """Hold the lock, recover, run, end. Raises EngineBusyError (another engine runs) and UserError (bad input)."""
        self.folders.create()
        lock = InstanceLock(self.folders.lock)
        lock.acquire()
        try:
            site = self._site = await asyncio.to_thread(self.open_site)
            assert site.signer is not None, "an engine signs its journal's head"
            try:
                site.journal.open()
                return await self._run(site.signer, until_idle, duration_s)
            except JournalBroken as broken:
                raise read_only.enter(site.folders, broken, site.clock.now()) from broken
            finally:
                site.journal.close()
                await asyncio.to_thread(site.signer.close)
        finally:
            lock.release()

    async def _run(self, signer: HeadSigner, until_idle: bool, duration_s: float | None) -> EndReason:
        site = self.site
        trust = await asyncio.to_thread(site.journal.trusted, site.folders.head, signer)
        # What was found by the start before may lie in a past that is otherwise looked at later.
        whole = trust.start <= PAST_AT_ONCE or read_only.reason(site.folders) != ""
        if whole:
            refuse_break(await asyncio.to_thread(site.journal.verify_chain, 0, trust.start))
        read_only.leave(site.folders)
        state = await asyncio.to_thread(fold, trust.snapshot, lambda after: site.journal.events(after))
        trust = replace(trust, snapshot=None)  # megabytes, and read
        loop = asyncio.get_running_loop()
        effects: dict[type[Action], Effect] = {}
        engine = Engine(site.journal, state, lambda: site.definitions.current, effects, site.clock, site.log)
        engine.last_look = lambda: self._survive("answer commands", self._answer_commands(engine))
        self._loop, self._engine = loop, engine
        epoch = state.epoch + 1
        heads = self._heads = HeadKeeper(
            site.journal,
            signer,
            site.folders.head,
            trust,
            clock=site.clock,
            epoch=epoch,
            warn=lambda said: site.log.warning("engine", said),
        )
        site.journal.start(loop, self._folded)
        ports = self.make_ports(site, epoch)
        world = World(
            ports=ports,
            hub=site.hub,
            workspaces=site.workspaces,
            artifacts=site.artifacts,
            folders=site.folders,
            repo=site.repository.root,
            log=site.log,
            emit=engine.emit,
            state=lambda: engine.state,
            settings=lambda: site.definitions.current,
            epoch=lambda: engine.state.epoch,
            on_main_moved=lambda: _reread.set(),
        )
        _reread = asyncio.Event()
        effects.update(_effects(world))
        try:
            # Before the first event that says so: from then on a journal without a head is a broken one.
            await self._recover(engine, world, epoch, heads=await heads.sign())
        except BaseException:
            await heads.leave()
            await ports.close()
            raise
        await asyncio.to_thread(give_back)
        self.ready.set()
        self._do_asked()
        deadline = site.clock.monotonic() + duration_s if duration_s is not None else None
        watchers = [
            asyncio.create_task(self._watch_files(engine), name="watch files"),
            asyncio.create_task(self._watch_main(engine, _reread), name="watch main"),
            asyncio.create_task(self._watch_inbox(engine), name="watch inbox"),
            asyncio.create_task(self._heartbeat(engine), name="heartbeat"),
            asyncio.create_task(self._verify_past(engine, 0 if whole else trust.start), name="verify the past"),
        ]
        try:
            reason = await self._until_the_end(engine, watchers, until_idle, deadline)
            await engine.emit(NewEvent("engine_stopped", {"reason": reason}))
            with suppress(SwarmError):  # a full disk: the next start folds a longer tail
                await engine.save_snapshot()
            await heads.close()
        finally:
            await heads.leave()
            await ports.close()
        site.log.info("engine", f"stopped: {reason}")
        return reason

    async def _until_the_end(
        self, engine: Engine, watchers: list[asyncio.Task[None]], until_idle: bool, deadline: float | None
    ) -> EndReason:
        try:
            reason = await engine.run(until_idle=until_idle, deadline=deadline)
        except InfrastructureFault as fault:
            raise UserError(f"the engine had to stop, and nothing it had written is lost: {fault}") from fault
        finally:
            for task in watchers:
                task.cancel()
            await asyncio.gather(*watchers, return_exceptions=True)
        if self._broken is not None:
            raise self._broken
        return reason

    async def _verify_past(self, engine: Engine, until: int) -> None:
        """What the start did not look at: the events before the snapshot that it began from. In a thread, without
        hurry; a break ends the engine."""
        going_on = True

        def unhurried() -> bool:
            time.sleep(PAST_PAUSE_S)
            return going_on

        if not until:
            return
        try:
            refuse_break(await asyncio.to_thread(self.site.journal.verify_chain, 0, until, unhurried))
        except JournalBroken as broken:
            self._broken = broken
            engine.stop("stopped")
        except SwarmError as error:
            self.site.log.error("engine", f"the journal's past could not be verified: {error}")
        finally:
            going_on = False

    def _folded(self, events: list[Event]) -> None:
        assert self._engine is not None
        assert self._heads is not None
        self._engine.folded(events)
        self._heads.saw(events)
        if self.on_events is not None:
            self.on_events(events)

    async def _recover(self, engine: Engine, world: World, epoch: int, *, heads: bool) -> None:
        """Bring the journal and the world together before anything is planned. heads: the journal's head is signed."""
        site = self.site
        tip = await asyncio.to_thread(site.hub.main)
        root = await asyncio.to_thread(site.hub.root_commit)
        branch = site.definitions.working.project.main
        first = (
            []
            if engine.state.main
            else [
                NewEvent(
                    "repository_opened",
                    {"commit": tip.commit, "tree": tip.tree, "repository": root, "branch": branch},
                )
            ]
        )
        sandbox = said_of(world.ports.sandbox)
        started = {"epoch": epoch, "version": site.version, "pid": os.getpid(), "heads": heads, "sandbox": sandbox}
        await engine.emit(*first, NewEvent("engine_started", started))
        await moves.settle(world)
        if engine.state.main != tip.commit:
            raise UserError(
                f"the hub's main ({tip.commit[:12]}) is not what the journal says ({engine.state.main[:12]}), so "
                "something else moved it: put it back, or start with a new --state folder"
            )
        await self._look_at_files(engine)
        # Gates that are wanted still are adopted; whatever else runs is an earlier engine's and has nobody.
        wanted = plan(engine.state, engine.settings(), site.clock.now()).actions
        kept = [*await asyncio.to_thread(train.folders, world, wanted), *acceptance.folders(world, wanted)]
        begun = [run.parent for folder in kept for run in folder.glob("*/shim.json")]
        await world.ports.executor.sweep(f"{site.folders.marker}-", begun)
        await world.ports.gates.tidy(kept)
        await runs.recover_runs(world)
        await after.bring_notes(world)
        await self._look_at_main(engine)
        await self._look_at_room(engine)

    async def _look_at_files(self, engine: Engine) -> None:
        started_at = self.site.clock.monotonic()
        events = await asyncio.to_thread(self.site.definitions.read_settings, engine.state.main)
        known = {ident: order.spec for ident, order in engine.state.orders.items() if order.source == "roadmap"}
        events += await asyncio.to_thread(self.site.definitions.read_roadmap, known)
        if events:
            await engine.emit(*events)
            engine.poke()
        if self.site.clock.monotonic() - started_at > LARGE_READING_S:
            await asyncio.to_thread(give_back)

    async def _look_at_main(self, engine: Engine) -> None:
        tip = await asyncio.to_thread(user_tip, self.site.repository.root, engine.state.branch)
        if tip is not None and tip != engine.state.user_main:
            await engine.emit(NewEvent("user_main_seen", {"commit": tip}))

    async def _look_at_room(self, engine: Engine) -> None:
        free = psutil.disk_usage(str(self.site.folders.root)).free
        low = free < self.site.definitions.current.limits.free_disk
        if low != engine.state.low_disk:
            await engine.emit(NewEvent("disk_checked", {"low": low, "free_bytes": free}))
        await look_at_memory(engine.emit, engine.state, self.site.definitions.current, self.site.clock.now())

    async def _watch_files(self, engine: Engine) -> None:
        async for _ in watch.changes(self.site.repository.root, self.site.repository.common_dir):
            await self._survive("look at the files", self._look_at_files(engine))
            await self._survive("look at main", self._look_at_main(engine))

    async def _watch_main(self, engine: Engine, moved: asyncio.Event) -> None:
        while True:
            await moved.wait()
            moved.clear()
            await self._survive("look at the files", self._look_at_files(engine))

    async def _survive(self, what: str, step: Coroutine[Any, Any, None]) -> None:
        """Neither a fault of the machine nor one of ours ends a watcher: the engine would be deaf. It looks again."""
        try:
            await step
        except Exception as error:
            trace = "" if isinstance(error, SwarmError | OSError) else traceback.format_exc()[-8_000:]
            self.site.log.error("engine", f"could not {what}: {repr(error) if trace else error}", traceback=trace)

    async def _watch_inbox(self, engine: Engine) -> None:
        while True:
            await self._survive("answer commands", self._answer_commands(engine))
            await asyncio.sleep(INBOX_POLL_S)

    async def _answer_commands(self, engine: Engine) -> None:
        """Returns when all that was in the inbox is answered, whoever took it."""
        journal = self.site.journal
        async with self._answering:
            for command in await asyncio.to_thread(journal.take_commands) if journal.may_have_changed() else ():
                if command.name in ("stop", "drain") and command.at < engine.state.started_at:
                    answer: dict[str, Any] = {"ok": False, "said": "the engine that was meant is gone"}
                else:
                    answer = await execute(command, engine.state, engine.emit, lambda: engine.stop("stopped"))
                await journal.settle_command(command.id, answer)
                self.site.log.info("ui", f"command {command.name}: {answer['said']}")

    async def _heartbeat(self, engine: Engine) -> None:
        """Free space, memory, gaps in time: a suspended machine makes monotonic silence longer than it should be."""
        clock = self.site.clock
        last = clock.now()
        while True:
            await self._survive("look at the disk and the memory", self._look_at_room(engine))
            await asyncio.sleep(HEARTBEAT_S)
            gap, last = clock.now() - last, clock.now()
            if gap > SUSPEND_GAP_S:
                await self._survive("note it", self._note_suspend(engine, gap))

    async def _note_suspend(self, engine: Engine, gap_s: float) -> None:
        await engine.emit(NewEvent("suspended", {"gap_s": round(gap_s, 1)}))


def _effects(world: World) -> dict[type[Action], Effect]:
    table: list[tuple[type[Action], Any]] = [
        (StartRun, runs.start_run),
        (CheckAcceptance, acceptance.check_acceptance),
        (JoinTests, handoffs.join_tests),
        (CheckChange, train.check_change),
        (GateTrial, train.gate_trial),
        (GateMain, train.gate_main),
        (Land, moves.land),
        (Restore, moves.restore),
        (Adopt, moves.adopt),
        (Publish, after.publish_main),
        (PublishRemote, remote.publish_remote),
        (RunCanary, canary.run_canary),
        (FileBug, after.file_bug),
        (ProposeGolden, goldens.propose_golden),
    ]

    def bound(effect: Any) -> Effect:
        return lambda action: effect(world, action)

    return {kind: bound(effect) for kind, effect in table}
