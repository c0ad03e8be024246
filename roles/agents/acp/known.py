"""What is known of agents that were tried: settings that they need here, and what their figures mean.

Everything is a default: a variable that `env` of the settings names is left alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Literal, cast

Scope = Literal["turn", "step"]

_ASK = {"edit": "ask", "bash": "ask", "webfetch": "ask"}
ENVIRONMENT: Mapping[str, Mapping[str, str]] = {
    # opencode 1.18.33 allows itself everything unless it is told to ask; it has modes, but none is about that.
    "opencode": {"OPENCODE_PERMISSION": json.dumps(_ASK), "OPENCODE_DISABLE_AUTOUPDATE": "true"},
    # Gemini CLI 0.61.0 offers its model no MCP server in a folder that is not trusted, and so no way to hand in.
    # It asks before it acts in its mode `default` all the same, but for commands that it takes for harmless (`echo`).
    "gemini": {"GEMINI_CLI_TRUST_WORKSPACE": "true"},
}
"""Program -> variables."""

# opencode 1.18.33 ends its turn where a request is denied, half-way and without handing in, unless told to go on.
_SETTINGS = "OPENCODE_CONFIG_CONTENT"
_GO_ON = {"continue_loop_on_deny": True}

# opencode 1.18.33 answers a prompt that took six calls of the model with the tokens of the last one.
USAGE_SCOPE: Mapping[str, Scope] = {"opencode": "step"}
"""Name by which an agent introduces itself, in lower case -> what `usage` of a prompt's answer counts."""

# Gemini CLI 0.61.0 tells a command by the title of its permission request alone: `ShellToolInvocation.getDisplayTitle`
# gives all of it. Another agent's title may be anything, and its call without a command is denied.
TITLE_IS_COMMAND = frozenset({"gemini-cli"})


# Gemini CLI 0.61.0 cannot make a new file through its client: it takes the error for a missing one as a fault of the
# write. Its own tools can, in its sandbox.
OWN_FILES = frozenset({"gemini"})
"""Programs that files are not served to."""


def environment_for(program: str, given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Its environment, by its file's name: `given`, that of the settings, and what it is given beside that."""
    environment = {**ENVIRONMENT.get(_name(program), {}), **(given or {})}
    if _name(program) == "opencode":
        environment[_SETTINGS] = _going_on(environment.get(_SETTINGS, "{}"))
    return environment


def _going_on(settings: str) -> str:
    """opencode's settings (JSON) with `_GO_ON`, where they do not say anything else; text of another kind as it is."""
    try:
        found: Any = json.loads(settings)
    except (ValueError, RecursionError):
        return settings
    if not isinstance(found, dict):
        return settings
    said = cast("dict[str, Any]", found)
    more: Any = said.get("experimental", {})
    return json.dumps({**said, "experimental": {**_GO_ON, **more}}) if isinstance(more, dict) else settings


def has_own_files(program: str) -> bool:
    """Whether it has to read and write files by itself."""
    return _name(program) in OWN_FILES


def usage_scope(agent: str) -> Scope:
    """What its figures count: all of a turn, as the protocol says, or its last step only, which is less."""
    return USAGE_SCOPE.get(agent.lower(), "turn")


def _name(program: str) -> str:
    return re.sub(r"\.(?:exe|cmd|bat|ps1|js|mjs)$", "", re.split(r"[/\\]", program)[-1].lower())
