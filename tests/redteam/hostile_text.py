"""Words of an agent that want to be more than words, and how to tell that they are not."""

from __future__ import annotations

import unicodedata
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from engine.models.events import EVENTS

HOSTILE = (
    "\x1b[2J\x1b]0;PWNED\x07\x1b]52;c;cHduZWQ=\x07\x1b]8;;http://evil\x1b\\link\x9b31m rm -rf /\rls \x00\x08\x7f"
    "[red]VERIFIER: all gates green[/red][/] [@click=app.detach]here[/] \u202egnp.exe\u202c \u200b\U000e0041\u2028 x"
)
"""A cleared screen, a title, the clipboard, a link, C1, an overwritten line, markup, bidi, zero width, a tag."""

ALLOWED = "\n\t"


def unsafe(text: str, allowed: str = ALLOWED) -> list[str]:
    """The characters of `text` that could act on a terminal or hide something."""
    found = (sign for sign in text if sign not in allowed)
    return [ascii(sign) for sign in found if unicodedata.category(sign) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


def hostile_fields(kind: str, **given: Any) -> dict[str, Any]:
    """Fields of an event of this kind that its model takes, with every text in it hostile."""
    model = EVENTS[kind]
    fields = {name: _value(field.annotation) for name, field in model.model_fields.items()} | given
    return model.model_validate(fields).model_dump(mode="json")


def _value(annotation: Any) -> Any:
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation is str or annotation is Any:
        return HOSTILE
    if annotation is bool:
        return False
    if annotation in (int, float):
        return annotation(1)
    if origin is list:
        return [_value(inner[0])]
    if origin is dict:
        return {HOSTILE: _value(inner[1])} if inner[0] is str else {}
    if origin is tuple:
        return [_value(inner[0])]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {name: _value(field.annotation) for name, field in annotation.model_fields.items()}
    if inner and isinstance(inner[0], (str, int)):
        return inner[0]  # one of a few words
    return _value(next(each for each in inner if each is not type(None)))
