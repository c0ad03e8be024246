"""Which programs the settings name, and which of them are not there."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from engine.errors import UserError
from engine.models.settings import Settings
from engine.process.environment import allowed_environment
from engine.process.programs import Programs


def wanted_programs(settings: Settings, agents: Collection[str]) -> Iterator[tuple[str, list[str]]]:
    """(whose, argv) of every gate and of those of the agents that are commands, e.g. ("gate unit", ["pytest"])."""
    yield from ((f"gate {gate.name}", gate.run) for gate in settings.gate if gate.run)
    for name in agents:
        agent = settings.agents.get(name)
        if agent is not None and agent.kind == "command":
            yield f"agent {name}", agent.run


def missing_programs(settings: Settings, agents: Collection[str]) -> Iterator[tuple[str, UserError]]:
    """Of `wanted_programs`, those whose program is not there, with why."""
    programs = Programs(allowed_environment({}).values.get("PATH", ""))
    for whose, argv in wanted_programs(settings, agents):
        try:
            programs.resolve(argv[0])
        except UserError as error:
            yield whose, error
