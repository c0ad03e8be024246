"""Reading `swarm.toml`, `roadmap.toml` and `canary/*.toml`, from disk or as committed.

`read_*` gives all that is wrong as a list; `parse_*` and `load_*` raise the first error as one sentence. Unknown keys,
wrong types and dangling names are errors, because a misspelt gate that is quietly ignored proves nothing.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from engine.checks import check_roadmap, check_settings
from engine.errors import UserError
from engine.models.flow import Flow
from engine.models.problem import Problem
from engine.models.roadmap import Roadmap
from engine.models.settings import Settings
from engine.toml_lines import Loc, key_lines, line_of
from engine.wording import problems_of

__all__ = [
    "Problem",
    "Reading",
    "check_roadmap",
    "check_settings",
    "load_definitions",
    "load_roadmap",
    "load_settings",
    "parse_roadmap",
    "parse_settings",
    "read_roadmap",
    "read_settings",
]

SETTINGS_FILE = "swarm.toml"
ROADMAP_FILE = "roadmap.toml"
FLOWS_FOLDER = "canary"

M = TypeVar("M", bound=BaseModel)
_AT_LINE = re.compile(r"^(.*?)\s*\(at (?:line (\d+), column \d+|end of document)\)$", re.DOTALL)


@dataclass(frozen=True)
class Reading(Generic[M]):
    """A file as it was understood. `value` is None when its syntax or its types are wrong."""

    value: M | None
    problems: tuple[Problem, ...]

    def sound(self) -> M:
        """The value, if nothing but warnings was found. Raises UserError with the first error."""
        for problem in self.problems:
            if problem.level == "error":
                raise UserError(str(problem))
        assert self.value is not None, "a reading without errors has a value"
        return self.value


def read_settings(text: str, name: str = SETTINGS_FILE, flows: Mapping[str, str] | None = None) -> Reading[Settings]:
    """The settings in `text`. `name` is what errors call the file; `flows` are texts of flow files by name."""
    source, problems = _source(text, name)
    settings = source.model(Settings, problems) if source else None
    written = len(settings.canary.flow) if settings else 0
    found: list[Flow] = []
    places: list[str] = []
    for flow_name in sorted(flows or {}):
        for flow, where in _flows((flows or {})[flow_name], flow_name, problems):
            found.append(flow)
            places.append(where)
    if settings is None or source is None or problems:
        return Reading(None, tuple(problems))
    if found:
        settings = settings.model_copy(
            update={"canary": settings.canary.model_copy(update={"flow": [*settings.canary.flow, *found]})}
        )

    def locate(loc: Loc) -> str:
        match loc:
            case ("canary", "flow", int(index), *_) if index >= written:
                return places[index - written]
            case _:
                return source.where(loc)

    return Reading(settings, tuple(_by_line(check_settings(settings, locate))))


def read_roadmap(
    text: str, name: str = ROADMAP_FILE, settings: Settings | None = None, files: Sequence[str] | None = None
) -> Reading[Roadmap]:
    """The roadmap in `text`. Gates are looked up in `settings`, scopes in `files` (of main), unless they are None."""
    source, problems = _source(text, name)
    roadmap = source.model(Roadmap, problems) if source else None
    if roadmap is None or source is None:
        return Reading(None, tuple(problems))
    return Reading(roadmap, tuple(_by_line(check_roadmap(roadmap, settings, files, source.where))))


def parse_settings(text: str, name: str = SETTINGS_FILE, flows: Mapping[str, str] | None = None) -> Settings:
    """Like `read_settings`. Raises UserError with the first error."""
    return read_settings(text, name, flows).sound()


def parse_roadmap(text: str, name: str = ROADMAP_FILE, settings: Settings | None = None) -> Roadmap:
    """Like `read_roadmap`. Raises UserError with the first error."""
    return read_roadmap(text, name, settings).sound()


def load_settings(path: Path) -> Settings:
    """The settings file at `path` with the flows of the folder `canary` beside it. Raises UserError."""
    folder = path.parent / FLOWS_FOLDER
    flows = (
        {f"{FLOWS_FOLDER}/{each.name}": _text_of(each) for each in sorted(folder.glob("*.toml"))}
        if folder.is_dir()
        else {}
    )
    return parse_settings(_text_of(path), path.name, flows)


def load_roadmap(path: Path, settings: Settings | None = None) -> Roadmap:
    """The roadmap at `path`; with `settings` its gates are checked too. Raises UserError."""
    return parse_roadmap(_text_of(path), path.name, settings)


def load_definitions(
    read: Callable[[str], bytes | None], list_files: Callable[[str], list[str]], revision: str = "main"
) -> Settings | None:
    """The settings and flows as committed at a revision; None if it has no `swarm.toml`.

    read: the bytes of a path of that revision, None if it has no such file; list_files: the paths below a folder of it,
    relative to the root. Raises UserError, whose places read like `main:swarm.toml:12`.
    """
    settings = read(SETTINGS_FILE)
    if settings is None:
        return None
    flows: dict[str, str] = {}
    for path in list_files(FLOWS_FOLDER):
        is_flow = path.startswith(f"{FLOWS_FOLDER}/") and path.endswith(".toml") and path.count("/") == 1
        if is_flow and (raw := read(path)) is not None:
            flows[f"{revision}:{path}"] = _decoded(raw, f"{revision}:{path}")
    name = f"{revision}:{SETTINGS_FILE}"
    return parse_settings(_decoded(settings, name), name, flows)


@dataclass(frozen=True)
class _Source:
    """One parsed file and where its keys stand."""

    name: str
    data: dict[str, Any]
    text: str

    @functools.cached_property
    def lines(self) -> Mapping[Loc, int]:
        # Only what is wrong has to be found, and a long roadmap has many keys.
        return key_lines(self.text.replace("\r\n", "\n"))

    def where(self, loc: Loc) -> str:
        line = line_of(self.lines, loc)
        return self.name if line is None else f"{self.name}:{line}"

    def model(self, model: type[M], problems: list[Problem]) -> M | None:
        try:
            return model.model_validate(self.data, strict=True)
        except ValidationError as error:
            problems += _by_line(problems_of(error, model, self.data, self.where))
            return None


def _source(text: str, name: str) -> tuple[_Source | None, list[Problem]]:
    text = text.removeprefix("\ufeff")  # editors on Windows write one
    try:
        return _Source(name, tomllib.loads(text), text), []
    except tomllib.TOMLDecodeError as error:
        return None, [_syntax_problem(str(error), text, name)]
    except RecursionError:
        return None, [Problem(where=name, what="values are nested too deeply", do="write them flatter")]


def _syntax_problem(message: str, text: str, name: str) -> Problem:
    found = _AT_LINE.match(message)
    said = found[1] if found else message
    line = int(found[2]) if found and found[2] else text.count("\n") + (not text.endswith("\n"))
    return Problem(
        where=f"{name}:{max(line, 1)}",
        what=f"this is not TOML: {said[:1].lower()}{said[1:]}",
        do="mend the syntax there",
    )


def _by_line(problems: list[Problem]) -> list[Problem]:
    """People mend a file from its top."""

    def line(problem: Problem) -> int:
        tail = problem.where.rpartition(":")[2]
        return int(tail) if tail.isdigit() else 0

    return sorted(problems, key=line)


def _flows(text: str, name: str, problems: list[Problem]) -> list[tuple[Flow, str]]:
    """The flows of a file with where each stands: the file's own keys are one flow, or each `[[flow]]` is one."""
    source, found = _source(text, name)
    problems += found
    if source is None:
        return []
    if "flow" not in source.data:
        flow = source.model(Flow, problems)
        return [(flow, source.where(("name",)))] if flow else []
    several = source.model(_FlowFile, problems)
    return [(flow, source.where(("flow", index))) for index, flow in enumerate(several.flow)] if several else []


class _FlowFile(BaseModel, extra="forbid"):
    flow: list[Flow]


def _text_of(path: Path) -> str:
    try:
        return _decoded(path.read_bytes(), path.name)
    except FileNotFoundError:
        raise UserError(f"there is no {path.name} in {path.parent}; run `swarm init` to write one") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); mend that and try again") from error


def _decoded(raw: bytes, name: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise UserError(f"{name}:{line}: this is not UTF-8; save the file as UTF-8") from error
