"""gitleaks (8.19 or newer) beside the guard "secrets", where it is installed: its rules on the files of a change.

What a change says about gitleaks itself does not count: settings and exceptions are those of the base, and a
`gitleaks:allow` beside a line means nothing.
"""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import SwarmError
from engine.process.environment import allowed_environment
from engine.process.programs import ProgramMissing, Programs
from engine.text.sanitise import sanitise_line
from gates.guards.devices import WINDOWS_DEVICES

PROGRAM = "gitleaks"
SETTINGS, EXCEPTIONS = ".gitleaks.toml", ".gitleaksignore"
OWN_RULES = b"[extend]\nuseDefault = true\n"
TIMEOUT_S = 120.0
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")


class GitleaksFault(SwarmError):
    """It did not look, so nothing is known. One sentence."""


@dataclass(frozen=True)
class Leak:
    """What looks like a secret, in lines `first` to `last` (from 1) of a file. rule: gitleaks' name of it."""

    path: str
    first: int
    last: int
    rule: str


@dataclass(frozen=True)
class Gitleaks:
    """The program at this path. It gets an environment without the user's home and settings."""

    program: Path
    timeout_s: float = TIMEOUT_S

    def version(self) -> str:
        """Its own word, "8.28.0". Raises GitleaksFault."""
        with _room(), tempfile.TemporaryDirectory(prefix="swarm-gitleaks-") as name:
            said = self._run(["version"], Path(name), Path(name)).decode("utf-8", "replace").strip()
        return sanitise_line(said.removeprefix("v"), line_cap=80)

    def find(self, files: Mapping[str, bytes], settings: bytes | None, exceptions: bytes | None) -> list[Leak]:
        """What it finds in these files (path from the tree's root -> content), with these contents of `.gitleaks.toml`
        and `.gitleaksignore`. Raises GitleaksFault."""
        if settings is not None and _extends(settings):
            raise GitleaksFault(
                f"{SETTINGS} extends another file, which is not followed here: write its rules into {SETTINGS}"
            )
        with _room(), tempfile.TemporaryDirectory(prefix="swarm-gitleaks-") as name:
            root = Path(name)
            tree, beside, report = root / "tree", root / "beside", root / "report.json"
            tree.mkdir()
            beside.mkdir()
            if exceptions is not None:
                (beside / EXCEPTIONS).write_bytes(exceptions)
            # Always named: where nothing is, it looks for settings among the files of the change, by several names.
            (beside / SETTINGS).write_bytes(OWN_RULES if settings is None else settings)
            options = [
                *("--no-banner", "--no-color", "--redact", "--exit-code=0", "--ignore-gitleaks-allow"),
                *("--report-format=json", f"--report-path={report}", f"--gitleaks-ignore-path={beside}"),
                f"--config={beside / SETTINGS}",
            ]
            written = {_write(tree, path, content): path for path, content in files.items()}
            self._run(["dir", *options, "."], tree, root)
            try:
                rows: Any = json.loads(report.read_bytes())
                return [_leak(row, written) for row in rows or ()]
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise GitleaksFault(f"gitleaks' report cannot be read ({_short(str(error))})") from error

    def _run(self, words: Sequence[str], folder: Path, home: Path) -> bytes:
        try:
            done = subprocess.run(
                [str(self.program), *words],
                cwd=folder,
                env=allowed_environment({"HOME": str(home)}).values,
                start_new_session=True,  # ctrl-c at the terminal is not for it; ignored on Windows
                creationflags=subprocess.CREATE_NO_WINDOW if sys.platform == "win32" else 0,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self.timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise GitleaksFault(f"gitleaks was not done after {self.timeout_s:g} s") from error
        except OSError as error:
            raise GitleaksFault(f"gitleaks cannot be run ({_short(str(error))})") from error
        if done.returncode != 0:
            lines = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
            said = _short(next((line for line in lines if line.strip()), "it said nothing"))
            raise GitleaksFault(f"gitleaks ended with {done.returncode} ({said}); 8.19 or newer is needed")
        return done.stdout


@contextmanager
def _room() -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise GitleaksFault(f"there is no room for gitleaks to work ({_short(str(error))})") from error


def installed_gitleaks(programs: Programs) -> Gitleaks | None:
    """The one that these programs know, if any."""
    try:
        return Gitleaks(programs.resolve(PROGRAM).path)
    except ProgramMissing:
        return None


def _write(tree: Path, path: str, content: bytes) -> str:
    """Where it lies in the tree, with slashes: at its own path, so that rules and exceptions for paths hold; aside
    where some system could take that for anything else, or gitleaks for its settings."""
    if _is_plain(path):
        with suppress(OSError):  # it differs only in case from another, or is too long for this system
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            with (tree / path).open("xb") as file:
                file.write(content)
            return path
    aside = f"{secrets.token_hex(8)}/of-{_UNSAFE.sub('_', path.rpartition('/')[2])[-80:]}"
    (tree / aside).parent.mkdir()
    (tree / aside).write_bytes(content)
    return aside


def _is_plain(path: str) -> bool:
    parts = path.split("/")
    if not path.isascii() or not path.isprintable() or set(path) & set('\\:*?"<>|'):
        return False
    if any(part in ("", ".", "..") or WINDOWS_DEVICES.match(part.lower().partition(".")[0].rstrip()) for part in parts):
        return False
    return not any(part.lower().startswith(f".{PROGRAM}") for part in parts)


def _leak(row: Mapping[str, Any], written: Mapping[str, str]) -> Leak:
    place = str(row["File"]).replace("\\", "/").removeprefix("./")
    first = int(row["StartLine"])
    return Leak(written[place], first, max(first, int(row["EndLine"])), str(row["RuleID"]))


def _extends(settings: bytes) -> bool:
    try:
        extend: Any = tomllib.loads(settings.decode("utf-8", "replace")).get("extend")
    except tomllib.TOMLDecodeError:
        return False  # gitleaks says itself what is wrong with it
    return isinstance(extend, dict) and "path" in extend


def _short(text: str) -> str:
    return sanitise_line(text, line_cap=200)
