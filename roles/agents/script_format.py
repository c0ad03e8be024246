"""The format of a script: what a scripted agent does, attempt by attempt. The player reads the same file by itself.

A script is `<scripts>/<work order>.toml`. The n-th `[[attempt]]` is played for attempt n, the last one for any later.
"""

from __future__ import annotations

import tomllib
from typing import Any, Literal

from pydantic import Base64Bytes, Field, ValidationError, model_validator

from engine.errors import UserError
from engine.models.base import Strict
from engine.models.units import Duration


class Edit(Strict):
    """A file below the workspace: its whole new `content` (or, for what is no text, `base64` of it), or `find` (must be
    there exactly once) and `replace`. `executable`: whether it may be run from now on."""

    path: str = Field(min_length=1)
    content: str | None = None
    base64: Base64Bytes | None = None
    find: str | None = Field(default=None, min_length=1)
    replace: str | None = None
    executable: bool | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Edit:
        ways = [way for way in (self.content, self.base64, self.find) if way is not None]
        if (self.find is None) != (self.replace is None) or len(ways) != 1:
            raise ValueError("an edit has either content, or base64, or find and replace")
        return self


class Append(Strict):
    """Text at the end of a file, which is made if it is not there."""

    path: str = Field(min_length=1)
    text: str


class Ask(Strict):
    """A dangerous operation that a person has to allow. The program ends here and goes on when there is an answer; if
    the answer is no, only with `anyway`."""

    argv: list[str] = Field(min_length=1)
    cwd: str = "."
    why: str = ""
    danger: str = "unknown"
    env: dict[str, str] = {}
    anyway: bool = False


class Spend(Strict):
    """Usage to be counted against the budgets, in tokens and in the currency of the settings."""

    tokens: int = Field(default=0, ge=0)
    cost: float = Field(default=0.0, ge=0)


class HandIn(Strict):
    """The handoff: the change is done."""

    summary: str = Field(min_length=1)
    risk: str = ""
    rollback: str = ""


class ScriptStep(Strict):
    """One step; exactly one key is given.

    `say` prints a line; `run` is an argv in the workspace that must exit with 0; `fail` ends with that exit code;
    `limit` ends the first run of the order at its provider's limit, over after so long, and is nothing in later ones;
    `hang` sleeps for ever and ignores the polite signal; `abort` hands in that the order cannot be done; `handoff`
    hands in exactly this object, of whatever role.
    """

    say: str | None = None
    edit: Edit | None = None
    append: Append | None = None
    delete: str | None = Field(default=None, min_length=1)
    run: list[str] | None = Field(default=None, min_length=1)
    sleep: Duration | None = None
    ask: Ask | None = None
    spend: Spend | None = None
    limit: Duration | None = None
    fail: int | None = Field(default=None, ge=1, le=255)
    hang: Literal[True] | None = None
    handin: HandIn | None = None
    abort: str | None = Field(default=None, min_length=1)
    handoff: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _one_thing(self) -> ScriptStep:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"a step has exactly one of {', '.join(type(self).model_fields)}")
        return self


class Attempt(Strict):
    """What is played for one attempt."""

    steps: list[ScriptStep] = Field(min_length=1)


class Script(Strict):
    """All of a script file."""

    schema_: Literal["script/1"] = Field(alias="schema")
    attempt: list[Attempt] = Field(min_length=1)

    def for_attempt(self, number: int) -> Attempt:
        """The attempt that is played as number `number` (from 1)."""
        return self.attempt[min(max(number, 1), len(self.attempt)) - 1]


def parse_script(text: str, name: str) -> Script:
    """The script in a TOML text; `name` is what an error calls it. Raises UserError."""
    try:
        return Script.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{name} is not TOML: {error}; correct the script.") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the script"
        raise UserError(f"{name}: {where}: {first['msg']}; correct the script.") from error
