"""The person's own editor, opened at a line. Which one is said by VISUAL or EDITOR, as programs of a terminal do."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from engine.errors import UserError

NO_EDITOR = "no editor is named: set VISUAL or EDITOR, such as EDITOR=nano"

_PLUS = frozenset(
    (
        "vi",
        "vim",
        "nvim",
        "gvim",
        "view",
        "nano",
        "pico",
        "emacs",
        "emacsclient",
        "micro",
        "kak",
        "joe",
        "jed",
        "mg",
        "ne",
    )
)
_COLON = frozenset({"hx", "helix", "subl", "zed"})
_GOTO = frozenset({"code", "codium", "code-insiders", "cursor", "windsurf"})


def editor_command(file: Path, line: int = 1, environ: Mapping[str, str] | None = None) -> list[str]:
    """The argv that opens `file`, at `line` if the editor is known to take one. No shell is involved.

    Raises UserError when no editor is named, what is named cannot be split into words, or there is no such program.
    """
    env = os.environ if environ is None else environ
    named = (env.get("VISUAL") or env.get("EDITOR") or "").strip()
    if not named:
        raise UserError(NO_EDITOR)
    try:
        words = shlex.split(named, posix=sys.platform != "win32")
    except ValueError as error:
        raise UserError(f"the editor {named!r} cannot be understood ({error}): mend VISUAL or EDITOR") from error
    program = words[0].strip('"') if words else ""
    found = shutil.which(program, path=env.get("PATH"))
    if found is None:
        raise UserError(f"the editor {program!r} was not found: mend VISUAL or EDITOR")
    return [found, *words[1:], *_at_line(Path(program).stem.lower(), file, line)]


def _at_line(editor: str, file: Path, line: int) -> list[str]:
    if editor in _PLUS:
        return [f"+{line}", str(file)]
    if editor in _COLON:
        return [f"{file}:{line}"]
    if editor in _GOTO:
        return ["--wait", "--goto", f"{file}:{line}"]
    return [str(file)]


def line_of_order(roadmap: Path, order: str) -> int:
    """The line of a work order in a roadmap, from 1; 1 when it is not there. Raises UserError when it is unreadable."""
    import tomllib

    from engine.toml_lines import key_lines, line_of

    try:
        text = roadmap.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{roadmap.name} cannot be read: {error}") from error
    try:
        rows = tomllib.loads(text).get("work_order", [])
        at = next((n for n, row in enumerate(rows) if isinstance(row, dict) and row.get("id") == order), None)  # pyright: ignore[reportUnknownVariableType,reportUnknownMemberType]
    except (tomllib.TOMLDecodeError, TypeError):
        # It does not parse, which may be why the editor is wanted: look for the id as it is usually written.
        wanted = f'"{order}"'
        return next((n for n, row in enumerate(text.splitlines(), 1) if "id" in row and wanted in row), 1)
    return 1 if at is None else line_of(key_lines(text), ("work_order", at)) or 1
