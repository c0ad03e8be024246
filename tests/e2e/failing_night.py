"""A night whose agents fail, each in the way that its order is called (see `failing_agent`)."""

from __future__ import annotations

import asyncio
import json
import re
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil

import tests.roles.agents as agents
from engine.git.hub import Hub
from engine.models.event import Event
from swarm_tui.compose import make_host
from swarm_tui.place import find_place
from tests.e2e.night import PATIENCE_S, SETTINGS, Night

HERE = Path(__file__).parent
FAKE = Path(agents.__path__[0]) / "fake_acp_agent.py"
COST = 0.25
"""Dollars that every run says to have cost, unless its order is about that."""
SCRIPTED = '[agents.scripted]\nkind = "script"\nscripts = "../scripts"\n'


class FailingNight(Night):
    """`outside`: a folder beside everything, with a file `precious`, that agents know the path of. `token`: in the argv
    of every process of an agent."""

    token: str
    outside: Path

    @classmethod
    def of(
        cls, folder: Path, kind: str, *orders: str, limits: str = "", agent: str = "", more: str = ""
    ) -> FailingNight:
        """limits, agent: lines for `[limits]` and for the agent's table; more: tables."""
        token = f"swarm-test-{uuid.uuid4().hex}"
        argv = f'[PYTHON, "-S", "tools/failing_agent.py", {json.dumps(kind)}, {json.dumps(token)}]'
        text = SETTINGS.replace('implementer = "scripted"', 'implementer = "failing"\nbuilder = "scripted"')
        text = text.replace("[limits]\n", '[limits]\nattempts = 1\nagent_memory = "50MB"\n')
        for line in limits.splitlines():
            name = line.partition(" ")[0]
            text = re.sub(rf"^{name} = .*\n", "", text, flags=re.MULTILINE).replace("[limits]\n", f"[limits]\n{line}\n")
        text = text.replace(SCRIPTED, f'{SCRIPTED}\n[agents.failing]\nkind = "{kind}"\nrun = {argv}\n{agent}\n{more}\n')
        night = cls(folder / "night", settings=text)
        night.token, night.outside = token, folder / "outside"
        night.outside.mkdir()
        (night.outside / "precious").write_text("theirs", encoding="utf-8")
        tools = {f"tools/{path.name}": path.read_text(encoding="utf-8") for path in (HERE / "failing_agent.py", FAKE)}
        more_files = {"outside.txt": f"{night.outside}\n", "old/a.txt": "a\n"}
        night.person_commits({**tools, **more_files}, "Agents")
        for ident in orders:
            night.order(ident)
        return night

    # ---- the engine

    def play(
        self,
        seen: Callable[[Event], object] = lambda _event: None,
        *,
        until: Callable[[], object] | None = None,
        duration_s: float | None = None,
    ) -> None:
        """Run the real engine in this process, until idle; or `until` holds; or for so
        long. seen: is told each event before the engine plans on it."""
        host = make_host(find_place(self.repo, self.state))

        def on_events(events: list[Event]) -> None:
            for event in events:
                seen(event)

        async def stop() -> None:
            while until is not None and not await asyncio.to_thread(until):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            host.stop_now()

        async def night() -> None:
            async with asyncio.timeout(PATIENCE_S):
                stopping = asyncio.create_task(stop()) if until is not None else None
                await host.run(until_idle=until is None and duration_s is None, duration_s=duration_s)
                if stopping is not None:
                    await stopping

        host.on_events = on_events
        asyncio.run(night())

    def swarm(self, *words: str) -> None:
        """The command, which has to do it."""
        process = self.started("swarm_tui.cli", *words, "--repo", str(self.repo), "--state", str(self.state))
        assert process.wait() == 0, self.said()

    # ---- the morning

    def started_runs(self) -> list[str]:
        return [event.run for event in self.events("run_started")]

    @property
    def guarantees(self) -> dict[str, bool]:
        """Of the sandbox that the agents were in."""
        return self.events("engine_started")[-1].fields["sandbox"]["guarantees"]

    def runs_of(self, order: str) -> list[Event]:
        """Its runs that have ended, oldest first."""
        return self.events("run_finished", work_order=order)

    def why(self, order: str) -> str:
        """What is said of the end of its last run, and of the order."""
        rejected = [str(event.fields["reasons"]) for event in self.events("change_rejected", work_order=order)]
        return f"{self.runs_of(order)[-1].fields} {' '.join(rejected)} {self.folded().orders[order].why}"

    def kept(self, order: str) -> dict[str, str]:
        """Path -> text of what its last run had made until its end."""
        hub = Hub(self.state)
        commit = self.runs_of(order)[-1].fields["kept"]
        return {entry.path: hub.blob(entry.sha).decode("utf-8", "replace") for entry in hub.entries(commit)}

    def charged(self, order: str) -> list[float]:
        """What its runs were charged, in dollars. Fails the test when one was charged twice."""
        spent = self.events("budget_spent", work_order=order)
        assert len({event.run for event in spent}) == len(spent), "a run is charged twice"
        return [event.fields["cost"] for event in spent]

    def log(self, order: str) -> str:
        return "".join(
            path.read_text(encoding="utf-8") for path in sorted((self.state / "runs").glob(f"{order}.*/log"))
        )

    def agents(self) -> list[str]:
        """Every process that an agent is or has started, whatever its environment and its parents."""
        found: list[str] = []
        for process in psutil.process_iter():
            try:
                argv = process.cmdline()
            except psutil.Error:
                continue
            if self.token in argv and process.status() != psutil.STATUS_ZOMBIE:
                found.append(f"{process.pid}: {' '.join(argv)[-200:]}")
        return found

    def assert_nobody_left(self) -> None:
        self.wait_for(lambda: not self.agents(), f"the end of {self.agents()}")

    def assert_once_at_a_time(self) -> None:
        """Between the start of a run and its end no other run of its order is started; each ends once."""
        under_way: dict[str, str] = {}
        for event in self.events("run_started", "run_finished"):
            if event.kind == "run_started":
                assert event.work_order not in under_way, f"{event.run} beside {under_way[event.work_order]}"
                under_way[event.work_order] = event.run
            else:
                assert under_way.pop(event.work_order) == event.run
        assert under_way == {}
