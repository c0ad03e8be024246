"""What thinks for a role: one file an adapter, and the table of kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from engine.errors import UserError
from engine.ports import Agent, Executor
from engine.process.programs import Programs
from engine.text.redact import Redactor
from roles.agents.acp.agent import AcpAgent
from roles.agents.command import NOTHING_KNOWN, CommandAgent
from roles.agents.model import ModelAgent
from roles.agents.script import ScriptAgent

ADAPTERS: Mapping[str, Callable[[Executor, Programs, Path, Redactor], Agent]] = {
    "acp": lambda executor, programs, _repository, redactor: AcpAgent(executor, programs, redactor),
    "command": lambda executor, programs, _repository, redactor: CommandAgent(executor, programs, redactor),
    "model": lambda executor, _programs, _repository, redactor: ModelAgent(executor, redactor),
    "script": lambda executor, _programs, repository, redactor: ScriptAgent(executor, repository, redactor),
}
"""Kind of agent (`[agents.NAME] kind`) -> how its adapter is made. A new adapter is one file and one line here."""


def adapter_for(
    kind: str, executor: Executor, programs: Programs, repository: Path, redactor: Redactor = NOTHING_KNOWN
) -> Agent:
    """The adapter of a kind. Raises UserError for one that is not there.

    repository: the user's repository, to which the folder of a scripted agent is relative. redactor: hides secrets in
    what agents are told and hand in.
    """
    known = " or ".join(f'kind = "{name}"' for name in sorted(ADAPTERS))
    if kind not in ADAPTERS:
        raise UserError(f'there is no kind of agent "{kind}": use {known}.')
    return ADAPTERS[kind](executor, programs, repository, redactor)
