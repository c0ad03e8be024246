"""The executor of this machine: every process under a shim (`engine.process.shim`), found again by its folder. Shims
are used again for the next run (`engine.executors.shims`).

A folder is one run. It holds `spec.json` (what was asked, without any value of the environment), `shim.json` (who runs
it), `log`, and at the end `result.json`. Running a spec whose folder has a result returns that result; a folder whose
shim lives is adopted; so a run happens at most once, whatever dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Callable, Collection, Coroutine, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast, get_args, runtime_checkable

from engine.egress.way_out import Egress, refused_hosts
from engine.executors.channel import Channel, converse
from engine.executors.shims import Shim, shims_for
from engine.ports import End, ProcessResult, ProcessSpec, Quota, QuotaName, Sandbox, SandboxPolicy, Talk
from engine.process import tree
from engine.text.redact import Redactor

ADOPTED_POLL_S = 0.1
GRACE_S = 30.0
"""How long after its deadline a shim may take to end before it counts as broken."""
TRIES = 3
"""How many shims may die before they have heard of an order, as idle ones can when memory is short."""
STOP_S = 10.0
"""How long a shim may take to kill its tree before the engine does it."""
END_S = 2.0
"""How long a shim that has nothing to do any more may take to end."""
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
class _Claim:
    """Who has a folder. `marker` is its run's, `own` the shim's, which has had other runs before."""

    pid: int
    create_time: float
    marker: str
    own: str


class LocalExecutor:
    """Implements `engine.ports.Executor`. `epoch` names this start of this engine; markers are `<epoch>/<run id>`.

    secrets: name -> value, hidden in the log of every run, as is what looks like a token. egress: by what runs reach
    the hosts of their policies. quota: for runs that bring none of their own, asked anew for each.
    """

    def __init__(
        self,
        sandbox: Sandbox,
        epoch: str,
        secrets: Mapping[str, str] | None = None,
        egress: Egress | None = None,
        quota: Callable[[], Quota] = Quota,
    ) -> None:
        self._sandbox = sandbox
        self._epoch = epoch
        self._hidden = Redactor(secrets or {}).forms
        self._egress = egress or Egress()
        self._quota = quota
        self._adopted: set[str] = set()
        self._busy: dict[int, tuple[Path, Shim]] = {}
        self._shims = shims_for(self, epoch)

    @property
    def guarantees(self) -> Mapping[str, bool]:
        """What the sandbox of all runs was seen to hold."""
        return self._sandbox.guarantees

    def warm_up(self) -> None:
        """Start a shim in the background, for whoever will need one soon. Returns at once."""
        self._shims.prepare()

    async def close(self) -> None:
        """Let go of the shims that wait, and return when they have ended. Runs go on; later ones start shims again."""
        for shim in self._shims.close():
            await asyncio.to_thread(shim.gone.wait, STOP_S)

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

    async def interact(self, spec: ProcessSpec, talk: Talk) -> ProcessResult:
        """Like `run`, with `talk` at the other ends of its stdin and stdout; its log has its stderr alone.

        When `talk` returns, its stdin is closed and it has a moment to end by itself; when it ends first, `talk` reads
        to the end and has a moment, too. A spec whose folder is in use already is not talked to. Raises what `talk`
        raises, once nothing of the run is left.
        """
        spec.folder.mkdir(parents=True, exist_ok=True)
        if (spec.folder / "result.json").exists() or (spec.folder / "shim.json").exists():
            return await self.run(spec)
        channel = Channel()
        await converse(self._start(spec, channel), channel, talk)
        return self._result(spec) or self._conclude(spec, "lost", "the supervisor left no result")

    async def sweep(self, marker: str, keep: Collection[Path] = ()) -> int:
        """Kill every process of earlier epochs whose marker has this prefix; how many there were.

        What this executor has adopted is left alone, and so are the runs in the folders `keep`, which are yet to be.
        """
        kept = [shim for folder in keep if (shim := _read_shim(folder)) is not None]
        spared = self._adopted | {shim.marker for shim in kept} | {shim.own for shim in kept}

        def spare(found: str) -> bool:
            return found.startswith(f"{self._epoch}/") or found in spared

        return await asyncio.to_thread(tree.kill_marked, marker, spare)

    # ---- a run of our own

    async def _start(self, spec: ProcessSpec, channel: Channel | None = None) -> ProcessResult:
        marker = f"{self._epoch}/{spec.run_id}"
        if spec.quota == Quota():
            spec = replace(spec, quota=self._quota())
        _write_spec(spec, marker)
        async with self._egress.way_out(self._sandbox, spec) as inside:
            order = {**self._order(inside, marker), "talk": channel is not None}
            return await self._begin(spec, marker, order, channel)

    async def _begin(
        self, spec: ProcessSpec, marker: str, order: dict[str, Any], channel: Channel | None
    ) -> ProcessResult:
        for _ in range(TRIES):
            shim = self._shims.take(spec.nice)
            report = await self._carry_out(shim, spec, order, channel)
            if report is None and self._result(spec) is None and not (spec.folder / "shim.json").exists():
                continue  # it died before it had heard of the order
            if report is not None and "taken" in report:
                return await self._adopt(spec)  # another shim has had this folder before ours
            if (result := self._result(spec) if report is None else _result_of(spec, report)) is not None:
                await self._sweep_up(marker)
                return result
            await asyncio.to_thread(_kill_exactly, marker)
            note = f"the supervisor ended with {shim.process.returncode} and left no result"
            return self._conclude(spec, "lost", note)
        return self._conclude(spec, "lost", "no supervisor lived long enough to begin")

    async def _carry_out(
        self, shim: Shim, spec: ProcessSpec, order: dict[str, Any], channel: Channel | None
    ) -> dict[str, Any] | None:
        """The shim's report, None when it died. Past the deadline, and when cancelled, the run has its result here."""
        pid, report, stopped = shim.process.pid, None, False
        self._busy[pid] = (spec.folder, shim)
        try:
            async with asyncio.timeout(spec.wall_s + GRACE_S):
                report = await shim.carry_out(order, channel)
        except TimeoutError:
            stopped = True
            if channel is not None:
                channel.close()
            await _finish(self._stop(shim, spec, order["marker"]))
            self._conclude(spec, "lost", "the supervisor did not keep its deadline")
        except asyncio.CancelledError:
            stopped = True
            if channel is not None:
                channel.close()
            await _finish(self._stop(shim, spec, order["marker"]))
            self._conclude(spec, "cancelled", "")
            raise
        finally:
            del self._busy[pid]
            if stopped or report is None or report.get("last") or report.get("end") == "cancelled":
                shim.let_go()
            else:
                self._shims.give_back(shim)
        return report

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
            "folder": str(spec.folder.absolute()),
            "head": list(program),
            "options": list(options),
            "filter": str(self._sandbox.filter or ""),
            "command": [str(part) for part in command],
            "cwd": str(spec.cwd),
            "env": env,
            "wall_s": float(spec.wall_s),
            "idle_s": None if spec.idle_s is None else float(spec.idle_s),
            "leash": spec.leash,
            "nice": spec.nice,
            "log_cap": spec.log_cap,
            "quota": asdict(spec.quota),
            "watched": [str(path) for path in _growing(spec.policy)],
            "hidden": [*self._hidden, *(Redactor(spec.secrets).forms if spec.secrets else [])],
        }

    async def _stop(self, shim: Shim, spec: ProcessSpec, marker: str) -> None:
        """End the run's whole tree and its shim: by the shim, or, should it not manage to, over its head."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await shim.cancel()
        shim.let_go()
        if not await asyncio.to_thread(shim.gone.wait, END_S):
            if (claimed := _read_shim(spec.folder)) is not None:
                await asyncio.to_thread(tree.kill_tree, claimed.pid, claimed.create_time)
            shim.process.kill()
            await asyncio.to_thread(shim.gone.wait, STOP_S)
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
        self._adopted.update((shim.marker, shim.own))
        try:
            async with asyncio.timeout(spec.wall_s + GRACE_S):
                # Beside an engine that lives, a shim goes on to its next order.
                while not (spec.folder / "result.json").exists() and _runs(shim):  # noqa: ASYNC110
                    await asyncio.sleep(ADOPTED_POLL_S)
        except TimeoutError:
            await _finish(self._stop_adopted(shim, spec))
        except asyncio.CancelledError:
            await _finish(self._stop_adopted(shim, spec))
            self._conclude(spec, "cancelled", "")
            raise
        finally:
            self._adopted -= {shim.marker, shim.own}
        if (result := self._result(spec)) is not None:
            await self._sweep_up(shim.marker)
            return result
        await asyncio.to_thread(_kill_exactly, shim.marker)
        return self._conclude(spec, "lost", "the supervisor is gone and left no result")

    async def _stop_adopted(self, shim: _Claim, spec: ProcessSpec) -> None:
        folder, own = self._busy.get(shim.pid, (None, None))
        if own is not None and folder == spec.folder:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(STOP_S):
                    await own.cancel()
        if self._result(spec) is None:
            await asyncio.to_thread(_kill_shim, shim)

    async def _claimant(self, folder: Path) -> _Claim | None:
        """Who has the folder. A shim creates the file before it fills it, so an incomplete one is given a moment."""
        for _ in range(int(CLAIM_S / ADOPTED_POLL_S)):
            if (shim := _read_shim(folder)) is not None or not (folder / "shim.json").exists():
                return shim
            await asyncio.sleep(ADOPTED_POLL_S)
        return None

    # ---- results

    def _result(self, spec: ProcessSpec) -> ProcessResult | None:
        try:
            return _result_of(spec, json.loads((spec.folder / "result.json").read_bytes()))
        except (OSError, ValueError):
            return None

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


def _result_of(spec: ProcessSpec, fields: Mapping[str, Any]) -> ProcessResult:
    end = fields["end"] if fields["end"] in get_args(End) else "lost"
    quota = fields.get("quota", "")
    return ProcessResult(
        spec.run_id,
        end,
        fields["exit_code"],
        fields["duration_s"],
        spec.folder / "log",
        fields["note"],
        quota if quota in get_args(QuotaName) else "",
        refused_hosts(spec.folder) if spec.policy.hosts else (),
    )


def _growing(policy: SandboxPolicy) -> tuple[Path, ...]:
    """The folders that a run can fill."""
    return (*policy.writable, *(overlay.upper for overlay in policy.overlays))


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
        "quota": asdict(spec.quota),
        "writable": [str(path) for path in spec.policy.writable],
        "readable": [str(path) for path in spec.policy.readable],
        "hosts": list(spec.policy.hosts),
    }
    (spec.folder / "spec.json").write_text(json.dumps(fields, indent=1), encoding="utf-8")


def _read_shim(folder: Path) -> _Claim | None:
    try:
        fields = cast("dict[str, Any]", json.loads((folder / "shim.json").read_bytes()))
        marker = str(fields["marker"])
        return _Claim(int(fields["pid"]), float(fields["create_time"]), marker, str(fields.get("shim", marker)))
    except (OSError, ValueError, KeyError):
        return None


def _runs(shim: _Claim) -> bool:
    """Whether that very shim lives. A corrected clock moves create times; then the marker tells."""
    return tree.alive(shim.pid, shim.create_time) or tree.marked(shim.pid, shim.own)


def _kill_shim(shim: _Claim) -> None:
    tree.kill_tree(shim.pid, shim.create_time)
    for marker in (shim.own, shim.marker):
        _kill_exactly(marker)


def _kill_exactly(marker: str) -> int:
    """Kill what carries this marker; a longer one that starts with it is another run."""
    return tree.kill_marked(marker, spare=lambda found: found != marker)
