"""What a tool call is about, put together from all that was said of it, and as a request for the broker.

Agents tell a call in parts: a `tool_call` first, `tool_call_update`s later, and the permission request may hold the id
alone. A later part replaces what it names and leaves the rest.
"""

from __future__ import annotations

import os
import re
import shlex
from collections import OrderedDict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from engine.approvals.broker import Request

CALLS_MAX = 2_000
"""Calls that are remembered; the oldest is forgotten."""
TEXT_MAX = 100_000
PATHS_MAX = 200
"""A call that names more is of no kind that the broker knows. So is a command of more than WORDS_MAX words."""
WORDS_MAX = 1_000
_PATHS = (
    "path", "file_path", "filePath", "filepath", "absolute_path", "abs_path", "absPath", "file", "filename", "fileName",
    "notebook_path", "dir_path", "old_path", "new_path", "source", "destination", "from", "to", "target",
)  # fmt: skip
_FOLDERS = ("cwd", "workdir", "working_directory", "directory", "dir", "dir_path")
_URL = re.compile(r"https?://[^\s\"'<>]+", re.IGNORECASE)
_CUTS = re.compile(r"[;&|<>()]+")


@dataclass(frozen=True)
class Call:
    """One tool call so far. `command` is a shell's line, `argv` one that came as a list."""

    ident: str
    kind: str = ""
    title: str = ""
    status: str = ""
    paths: tuple[str, ...] = ()
    command: str = ""
    argv: tuple[str, ...] = ()
    cwd: str = ""
    url: str = ""

    @property
    def signature(self) -> tuple[object, ...]:
        """Equal for calls that do the same."""
        return self.kind, self.title, self.paths, self.command, self.argv, self.cwd, self.url


class Calls:
    """The calls of one session by id."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Call] = OrderedDict()

    def merge(self, said: dict[str, Any], *, first: bool = False) -> Call:
        """What is known of the call that this part is about, this part included. first: it begins with this part,
        though its id was another's before; paths that were named stay."""
        ident = _text(said.get("toolCallId"))
        before = self._known.pop(ident, Call(ident))
        if first:
            before = Call(ident, paths=before.paths)
        raw = said.get("rawInput")
        given = cast("dict[str, Any]", raw) if isinstance(raw, dict) else {}
        parts = _parts(given.get("command") or given.get("cmd"))
        paths = (*_located(said), *(_text(given[name]) for name in _PATHS if isinstance(given.get(name), str)))
        call = replace(
            before,
            kind=_text(said.get("kind")) or before.kind,
            title=_text(said.get("title")) or before.title,
            status=_text(said.get("status")) or before.status,
            paths=tuple(dict.fromkeys((*before.paths, *(each for each in paths if each))))[: PATHS_MAX + 1],
            command=before.command if parts is None else parts if isinstance(parts, str) else "",
            argv=before.argv if parts is None else parts if isinstance(parts, tuple) else (),
            cwd=next((_text(given[name]) for name in _FOLDERS if isinstance(given.get(name), str)), before.cwd),
            url=_address(given) or before.url,
        )
        self._known[ident] = call
        while len(self._known) > CALLS_MAX:
            self._known.popitem(last=False)
        return call


def request_of(call: Call, workspace: Path) -> Request:
    """What the broker is asked. A call of a kind that it does not know is one."""
    if len(call.paths) > PATHS_MAX or len(call.argv) > WORDS_MAX:
        return Request("other")
    if call.kind == "execute":
        return Request("execute", argv=_words(call), cwd=call.cwd or ".")
    if call.kind == "fetch":
        return Request("fetch", host=_host(call.url))
    return Request(call.kind or "other", tuple(_local(path, workspace) for path in call.paths))


def command_of(call: Call) -> list[str]:
    """The argv that does what the call would do, as a person is asked about it."""
    if call.argv:
        return list(call.argv)
    try:
        words = shlex.split(call.command)
    except ValueError:
        words = []
    plain = words and not re.search(r"[;&|<>()$`*?\[\]{}~#\n!]", call.command) and "=" not in words[0]
    return words if plain else ["sh", "-c", call.command]


def folder_of(call: Call, workspace: Path) -> str:
    """The folder relative to the workspace, with `/`; what is outside of it stays as it is."""
    if not call.cwd:
        return "."
    given = Path(os.path.normpath(workspace / call.cwd))
    return given.relative_to(workspace).as_posix() if given.is_relative_to(workspace) else call.cwd


def _words(call: Call) -> tuple[str, ...]:
    """The words of a command, for the rules that look at them. A line that a shell would read differently from us is
    shown as one: the rules treat that as a script."""
    if call.argv or not call.command.strip():
        return call.argv
    if "\n" in call.command or re.search(r"\$\(|`|<<", call.command):
        return "sh", "-c", call.command
    lexer = shlex.shlex(call.command, posix=True, punctuation_chars=";&|<>()")
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        words = [word for word in lexer if not _CUTS.fullmatch(word)]
    except ValueError:
        return "sh", "-c", call.command
    # `| sh` and the like are seen in the line as it stands, which follows as the last word.
    return (*words, call.command) if re.search(r"\|\s*\S*sh\b", call.command) else tuple(words)


def _parts(value: Any) -> str | tuple[str, ...] | None:
    if isinstance(value, str) and value.strip():
        return value[:TEXT_MAX]
    if isinstance(value, list) and value:
        argv = tuple(_text(part) for part in cast("list[Any]", value)[: WORDS_MAX + 1])
        # Codex gives every line to a shell: what counts is the line.
        wrapped = len(argv) == 3 and re.search(r"(?:^|/)(?:ba|z)?sh$", argv[0]) and argv[1] in ("-c", "-lc")
        return argv[2] if wrapped else argv
    return None


def _located(said: dict[str, Any]) -> list[str]:
    """Paths of `locations`, and of the diffs in `content`."""
    found: list[str] = []
    for name in ("locations", "content"):
        rows = said.get(name)
        for row in cast("list[Any]", rows)[: PATHS_MAX + 1] if isinstance(rows, list) else []:
            path = cast("dict[str, Any]", row).get("path") if isinstance(row, dict) else None
            found += [_text(path)] if isinstance(path, str) else []
    return found


def _address(given: dict[str, Any]) -> str:
    """The first address that a fetch names: some agents give it in a sentence (Gemini CLI 0.61: `prompt`)."""
    for name in ("url", "uri", "prompt"):
        if isinstance(given.get(name), str) and (found := _URL.search(given[name])):
            return found[0][:TEXT_MAX]
    return ""


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        return f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname or ""
    except ValueError:
        return ""


def _local(path: str, workspace: Path) -> str:
    """A file's address as a path; a relative one is below the workspace. "" for what agents read in several ways: a
    home folder, spaces around it, an address of another machine or with more than a path."""
    if path.startswith("~") or path != path.strip():
        return ""
    if path.lower().startswith("file:"):
        try:
            parts = urlsplit(path)
        except ValueError:
            return ""
        if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
            return ""
        path = unquote(parts.path)
    return str(workspace / path)


def _text(value: Any) -> str:
    return value[:TEXT_MAX] if isinstance(value, str) else ""
