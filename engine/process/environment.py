"""The environment of processes: built from an allowlist, never inherited.

What a person has in his shell (tokens, proxies with passwords, `GIT_*`, `PYTHON*`, `RUSTFLAGS`) reaches neither agents
nor gates: it could leak, and it would make a gate's result depend on who started the engine.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import UserError

ALLOWED = ("PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR")
ALLOWED_PREFIXES = ("LC_",)
ALLOWED_ON_WINDOWS = (
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "WINDIR",
    "COMSPEC",
    "PATHEXT",
    "TEMP",
    "TMP",
    "NUMBER_OF_PROCESSORS",
    "PROCESSOR_ARCHITECTURE",
    "PROCESSOR_IDENTIFIER",
    "OS",
    "PROGRAMFILES",
    "PROGRAMFILES(X86)",
    "PROGRAMW6432",
    "COMMONPROGRAMFILES",
    "PROGRAMDATA",
)
_REFERENCE = re.compile(r"^\$([A-Za-z_][A-Za-z0-9_]*)$")


@dataclass(frozen=True)
class Environment:
    """`values` is complete. `secrets` are those of them (name -> value) that must be hidden wherever they show up."""

    values: dict[str, str]
    secrets: dict[str, str] = field(default_factory=dict[str, str], repr=False)


def allowed_environment(extra: Mapping[str, str], *, source: Mapping[str, str] | None = None) -> Environment:
    """The allow-listed part of `source` (default: this process's environment) with `extra` on top.

    A value of `extra` that is `$NAME` is taken from `source` and counted as a secret. HOME is never the user's: the
    caller gives one in `extra`, and on Windows USERPROFILE follows it. Raises UserError when `$NAME` is not set.
    """
    source = os.environ if source is None else source
    values: dict[str, str] = {}
    for name, value in source.items():
        if _is_allowed(name):
            values[name] = value
    if "PATH" in values:
        values["PATH"] = absolute_entries(values["PATH"])
    if sys.platform == "win32":
        # Otherwise a program of the same name in the work tree would be run before the one on PATH.
        values["NoDefaultCurrentDirectoryInExePath"] = "1"
    secrets: dict[str, str] = {}
    for name, value in extra.items():
        if reference := _REFERENCE.match(value):
            if reference[1] not in source:
                raise UserError(
                    f"{name} is taken from ${reference[1]}, which is not set: set it or remove {name} in the settings"
                )
            value = source[reference[1]]
            secrets[name] = value
        values[name] = value
    if sys.platform == "win32" and "HOME" in values:
        values.setdefault("USERPROFILE", values["HOME"])
    return Environment(values, secrets)


def absolute_entries(path: str) -> str:
    """A PATH without empty and relative entries: those mean the current folder, where agents write."""
    return os.pathsep.join(entry for entry in path.split(os.pathsep) if entry and Path(entry).is_absolute())


def _is_allowed(name: str) -> bool:
    if sys.platform == "win32":
        upper = name.upper()  # names are case-insensitive there
        return upper in ALLOWED or upper in ALLOWED_ON_WINDOWS or upper.startswith(ALLOWED_PREFIXES)
    return name in ALLOWED or name.startswith(ALLOWED_PREFIXES)
