"""Which programs the settings name, and which of them are not there."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from engine.errors import UserError
from engine.models.settings import Settings
from engine.process.environment import allowed_environment
from engine.process.programs import Programs
from engine.providers import candidates


def needed_agents(settings: Settings) -> list[str]:
    """The agents that roles have, and those that stand in for them."""
    return list(dict.fromkeys(name for role in settings.roles for name in candidates(settings, role)))


def wanted_programs(settings: Settings, agents: Collection[str]) -> Iterator[tuple[str, list[str]]]:
    """(whose, argv) of every gate and of those of the agents that are programs, e.g. ("gate unit", ["pytest"])."""
    yield from ((f"gate {gate.name}", gate.run) for gate in settings.gate if gate.run)
    for name in agents:
        agent = settings.agents.get(name)
        if agent is not None and agent.kind in ("command", "acp"):
            yield f"agent {name}", agent.run


def missing_programs(settings: Settings, agents: Collection[str]) -> Iterator[tuple[str, UserError]]:
    """Of `wanted_programs`, those whose program is not there, with why."""
    programs = Programs(allowed_environment({}).values.get("PATH", ""))
    for whose, argv in wanted_programs(settings, agents):
        try:
            programs.resolve(argv[0])
        except UserError as error:
            yield whose, error
