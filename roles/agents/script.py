"""The scripted agent: a command agent whose program is the player, with one script per work order."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from engine.ports import AgentResult, AgentRun, Executor
from engine.text.redact import Redactor
from roles.agents import command

PLAYER = Path(__file__).with_name("script_player.py")
EXIT_NO_SCRIPT = 2


class ScriptAgent:
    """Implements `engine.ports.Agent` for `kind = "script"`. `settings.scripts` is relative to `repository`.

    The player is a process of its own under the same sandbox and limits as any other agent.
    """

    def __init__(self, executor: Executor, repository: Path, redactor: Redactor = command.NOTHING_KNOWN) -> None:
        self._executor = executor
        self._repository = repository
        self._redactor = redactor

    async def perform(self, run: AgentRun) -> AgentResult:
        """Play the script of the run's work order. Without such a file the attempt fails and says so."""
        script = self._repository / run.settings.scripts / f"{run.task.work_order.id}.toml"
        script = await asyncio.to_thread(script.resolve)
        if not await asyncio.to_thread(script.is_file):
            note = f"there is no script {script}: write it, or give the work order to another agent"
            return AgentResult("failed", EXIT_NO_SCRIPT, 0.0, note=note)
        # The interpreter itself, not a virtual environment's: the player needs nothing but the standard library.
        python = str(getattr(sys, "_base_executable", "") or sys.executable)
        argv = (python, "-I", "-S", str(PLAYER), str(script))
        prefixes = dict.fromkeys((Path(sys.base_prefix), Path(sys.base_exec_prefix)))
        readable = (PLAYER, script, *(prefix for prefix in prefixes if prefix != Path(prefix.anchor)))
        return await command.perform(self._executor, run, command.Command(argv, readable), self._redactor)
