"""The token for a forge: from the environment, or from the forge's own command line tool. It goes into one header.

It is never in an argv, an address, a log or a sandbox: agents' environments are made from an allowlist, and the values
of these variables are hidden in every sink.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from engine.errors import UserError
from engine.process.environment import absolute_entries

_GITHUB_COM = ("GH_TOKEN", "GITHUB_TOKEN")
_GITHUB_ELSEWHERE = ("GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN")
_VARIABLES = {"gitlab": ("GITLAB_TOKEN",), "gitea": ("GITEA_TOKEN", "FORGEJO_TOKEN")}
VARIABLES = (*_GITHUB_COM, *_GITHUB_ELSEWHERE, *(name for names in _VARIABLES.values() for name in names))
"""Every variable that may hold one; their names sound secret, so `known_secrets` hides their values."""

_TOOLS = {
    "github": ("gh", "auth", "token", "--hostname"),
    "gitlab": ("glab", "config", "get", "token", "--host"),
}
TOOL_S = 15.0


def token_for(forge: str, host: str, source: Mapping[str, str] | None = None) -> str:
    """The token for a host. Raises UserError, which says where one can come from. Blocking."""
    source = os.environ if source is None else source
    names = _VARIABLES.get(forge) or (_GITHUB_COM if host == "github.com" else _GITHUB_ELSEWHERE)
    for name in names:
        if value := source.get(name, "").strip():
            return _checked(value, f"${name}")
    if (tool := _TOOLS.get(forge)) and (value := _asked(tool, host, source)):
        return _checked(value, " ".join(tool[:3]))
    also = f", or log in with `{tool[0]} auth login`" if tool else ""
    raise UserError(f"There is no token for {host}: set {' or '.join(names)}{also}, and start the swarm again.")


def _checked(value: str, where: str) -> str:
    """A token is one word of ASCII: anything else would break the header, and be shown in the error."""
    if not (value.isascii() and value.isprintable()) or " " in value:
        raise UserError(f"The token from {where} is not one word: set it again.")
    return value


def _asked(tool: tuple[str, ...], host: str, source: Mapping[str, str]) -> str:
    program = _program(tool[0], source)
    if program is None:
        return ""
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NO_WINDOW
    try:
        done = subprocess.run(
            [str(program), *tool[1:], host],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TOOL_S,
            cwd=program.parent,
            env={**source, "GH_PROMPT_DISABLED": "1", "NO_PROMPT": "1"},
            creationflags=flags,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace").strip() if done.returncode == 0 else ""


def _program(name: str, source: Mapping[str, str]) -> Path | None:
    """Never from the current folder: a repository may bring its own `gh`."""
    file = f"{name}.exe" if sys.platform == "win32" else name
    for folder in absolute_entries(source.get("PATH", "")).split(os.pathsep):
        program = Path(folder, file)
        if folder and program.is_file() and os.access(program, os.X_OK):
            return program
    return None
