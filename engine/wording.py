"""What was wrong with a value, in words: pydantic's errors as problems that say where, what and what to do."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from engine.models.problem import Problem
from engine.models.roadmap import ID_PATTERN
from engine.models.settings import RESULTS_PATTERN
from engine.toml_lines import Loc

Locate = Callable[[Loc], str]
"""`file:line` of a place in a document."""

_PLAIN_LABEL = re.compile(r"[\w.-]{1,64}")
_QUOTED = re.compile(r"'([^']+)'")
_KINDS = {
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "float_type": "write a number",
    "bool_type": "write true or false",
    "string_type": 'write text in quotes, such as "main"',
    "list_type": 'write a list, such as ["one", "two"]',
    "dict_type": "write a table",
    "dict_attributes_type": "write a table",
    "model_type": "write a table",
    "model_attributes_type": "write a table",
    "too_short": "write at least one entry",
}
_RESULTS = tuple(name.replace(":.+", ":PATH") for name in RESULTS_PATTERN.strip("^()$").split("|"))
_PATTERNS = {
    ID_PATTERN: (
        "use up to 64 lower-case letters, digits, dots, dashes and underscores, and begin with a letter or digit"
    ),
    r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$": (
        "use up to 64 letters, digits, dots, dashes and underscores, and begin with a letter or digit"
    ),
}


def problems_of(error: ValidationError, model: type[BaseModel], data: Any, locate: Locate) -> list[Problem]:
    """Every error of one validation of `data` against `model`, in the order of the document's structure."""
    return [_problem(each, model, data, locate) for each in error.errors(include_url=False)]


def closest(name: str, known: Iterable[str]) -> str:
    """What to write instead of an unknown name, as the end of a sentence."""
    names = sorted(known)
    if near := difflib.get_close_matches(name, names, n=1, cutoff=0.6):
        return f'write "{near[0]}" instead'
    if not names:
        return "define it, or take the name away"
    return f"use one of {', '.join(names)}"


def quoted(value: object) -> str:
    """A value as a person may have written it, on one line and not too long."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else f"{text[:77]}..."


def place(data: Any, loc: Loc) -> str:
    """The way to a value in words: entries of lists go by their name or id, as in `gate.unit.timeout`."""
    words = ""
    for part in loc:
        data = _child(data, part)
        if isinstance(part, str):
            words += f".{part}" if words else part
        elif label := _label(data):
            words += f".{label}"
        else:
            words += f"[{part + 1}]"
    return words or "the file"


def _problem(error: ErrorDetails, model: type[BaseModel], data: Any, locate: Locate) -> Problem:
    loc: Loc = error["loc"]
    context = error.get("ctx", {})
    kind = error["type"]
    is_key = bool(loc) and loc[-1] == "[key]"
    if is_key:
        loc = loc[:-1]
    table, name = place(data, loc[:-1]), str(loc[-1]) if loc else ""
    if is_key:
        known = _QUOTED.findall(str(context.get("expected", "")))
        what, do = f'{table} has no "{name}"', closest(name, known)
    elif kind == "extra_forbidden":
        what, do = f'{table} has no key "{name}"', closest(name, _keys(model, loc[:-1]))
    elif kind == "missing":
        what, do = f'{table} lacks the key "{name}"', f"add {name} = ..."
    elif kind == "value_error":
        here = place(data, loc)
        what = f"{here} is not right" if isinstance(error["input"], dict) else f"{here} is {quoted(error['input'])}"
        do = str(context.get("error", error["msg"]))
    else:
        value: object = error["input"]
        what = f"{place(data, loc)} is {'a table' if isinstance(value, dict) else quoted(error['input'])}"
        do = _advice(kind, context, value if isinstance(value, str) else "", error["msg"])
    return Problem(where=locate(loc), what=what, do=do)


def _by_likeness(name: str, known: Sequence[str]) -> list[str]:
    """The known names, the likest first."""
    return sorted(known, key=lambda one: -difflib.SequenceMatcher(None, name.lower(), one.lower()).ratio())


def _advice(kind: str, context: dict[str, Any], value: str, otherwise: str) -> str:
    if kind in _KINDS:
        return _KINDS[kind]
    if kind == "literal_error":
        return f"use one of {', '.join(_QUOTED.findall(str(context['expected'])))}"
    if kind == "string_pattern_mismatch" and context.get("pattern") == RESULTS_PATTERN:
        return f"use one of {', '.join(_by_likeness(value, _RESULTS))}"
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(str(context.get("pattern")), f"write something that matches {context.get('pattern')}")
    if kind == "greater_than_equal":
        return f"write at least {context['ge']}"
    if kind == "less_than_equal":
        return f"write at most {context['le']}"
    return otherwise[:1].lower() + otherwise[1:]


def _keys(model: type[BaseModel], loc: Loc) -> list[str]:
    """The keys that a table at `loc` may have."""
    at: Any = model
    for part in loc:
        at = _step(at, part)
    found = _model_in(at)
    return [field.alias or name for name, field in found.model_fields.items()] if found else []


def _step(annotation: Any, part: str | int) -> Any:
    if get_origin(annotation) in (list, dict):
        return get_args(annotation)[-1]
    model = _model_in(annotation)
    fields = model.model_fields.items() if model is not None else ()
    return next((field.annotation for name, field in fields if part in (name, field.alias)), None)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation is, or that it allows beside None."""
    for each in (annotation, *get_args(annotation)):
        if isinstance(each, type) and get_origin(each) is None and issubclass(each, BaseModel):
            return each
    return None


def _child(data: Any, part: str | int) -> Any:
    try:
        return data[part]
    except (KeyError, IndexError, TypeError):
        return None


def _label(entry: Any) -> str:
    if not isinstance(entry, dict):
        return ""
    label: Any = entry.get("id") or entry.get("name")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return label if isinstance(label, str) and _PLAIN_LABEL.fullmatch(label) else ""
