"""Programs that a night depends on are looked for before it begins."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from engine.errors import UserError
from engine.models.settings import AgentSettings, Settings
from swarm_tui import checking
from swarm_tui.compose import refuse_missing_programs

HERE = AgentSettings(kind="command", run=[sys.executable])
GONE = "no-such-agent"


@pytest.mark.parametrize("kind", ["acp", "command"])
@pytest.mark.parametrize("whose", ["its own", "the one that stands in", "one that nobody needs"])
def test_an_agent_that_is_not_there_is_said_before_the_night(kind: Any, whose: str) -> None:
    gone = AgentSettings(kind=kind, run=[GONE])
    agents = {
        "its own": {"a": gone},
        "the one that stands in": {"a": HERE.model_copy(update={"instead": "b"}), "b": gone},
        "one that nobody needs": {"a": HERE, "b": gone},
    }[whose]
    settings = Settings(roles={"scribe": "a"}, agents=agents)
    if whose == "one that nobody needs":
        refuse_missing_programs(settings)
        return
    with pytest.raises(UserError, match=GONE):
        refuse_missing_programs(settings)


@pytest.mark.parametrize(("roles", "level"), [({"scribe": "a"}, "error"), ({"scribe": "b"}, "warning")])
def test_a_program_that_is_missing_is_an_error_where_a_role_needs_it(roles: Any, level: str) -> None:
    agents = {"a": HERE.model_copy(update={"instead": "gone"}), "b": HERE}
    agents["gone"] = AgentSettings(kind="acp", run=[GONE])
    (problem,) = checking._programs(Settings(roles=roles, agents=agents))  # pyright: ignore[reportPrivateUsage]
    assert (problem.where, problem.level) == ("agent gone", level)
