"""Which values of the user's environment are secrets: those that agents are given, and those named like one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from engine.models.settings import AgentSettings

MIN_CHARACTERS: Final = 12
"""A shorter value of a variable that only sounds secret is left alone: it may be an ordinary word."""
_SOUNDS_SECRET: Final = re.compile(
    r"(?i)(?:^|_)(?:key|token|secret|password|passwd|passphrase|credentials?|auth|pat)(?:$|_(?:id|key|value|secret)$)"
)
_PLAIN: Final = re.compile(r"[/~.]|[A-Za-z]:[\\/]|[A-Za-z_-]+$")
"""A path or a word is no secret, whatever its variable is called."""


def known_secrets(agents: Mapping[str, AgentSettings], environment: Mapping[str, str]) -> dict[str, str]:
    """Name -> value of everything that is hidden in every sink.

    That is what agents get by `$NAME` (under the name that the agent knows it by), and every value of `environment`
    whose name sounds like a secret: settings may be changed in the night, and a person's shell holds more than agents
    are given.
    """
    found: dict[str, str] = {}
    for agent, settings in agents.items():
        for name, said in settings.env.items():
            value = environment.get(said[1:], "") if said.startswith("$") else ""
            if value:
                found[name if found.get(name, value) == value else f"{agent}.{name}"] = value
    given = set(found.values())
    for name, value in environment.items():
        sounds_secret = _SOUNDS_SECRET.search(name) and len(value) >= MIN_CHARACTERS and not _PLAIN.match(value)
        if sounds_secret and value not in given:
            found.setdefault(name, value)
    return found
