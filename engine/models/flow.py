"""A canary flow as a user writes it (`[[canary.flow]]` or `canary/*.toml`).

The wing `canary/` runs flows; the model stands here because the settings hold flows too.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from engine.models.base import Strict
from engine.models.units import Duration


class Ready(Strict):
    """When a started program counts as ready: a line in its output that contains `log`, or an event of this kind."""

    log: str | None = None
    event: str | None = None

    @model_validator(mode="after")
    def _some(self) -> Ready:
        _given(self, "ready", "log", "event", most=2)
        return self


class Start(Strict):
    """The program under test. `run` is an argv; `within` bounds the wait for `ready`.

    Placeholders in `run`: `{artifact}` is the flow's artifact, `{cache}` the slot's build cache. `env` is taken as it
    is written: the user's own variables never reach a program that agents wrote.
    """

    run: list[str] = Field(min_length=1)
    ready: Ready | None = None
    within: Duration = 10.0
    env: dict[str, str] = {}


class Send(Strict):
    """Something given to the program: one JSON line, or raw text on its standard input."""

    json_: dict[str, Any] | None = Field(default=None, alias="json")
    stdin: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Send:
        _given(self, "send", "json_", "stdin")
        return self


class Until(Strict):
    """What a wait waits for: an event of a kind (with `where` as a subset of its fields), an output line, or the exit.

    Events are looked for after the one that the last wait found, and lines likewise, however early they came: what a
    wait finds depends on the order of events and never on timing.
    """

    event: str | None = None
    where: dict[str, Any] = {}
    log: str | None = None
    exit: int | None = None

    @model_validator(mode="after")
    def _one(self) -> Until:
        _given(self, "until", "event", "log", "exit")
        return self


class Wait(Strict):
    until: Until
    within: Duration = 5.0


class Assert(Strict):
    """What must hold now. `event` with `where`: such an event has been seen; `no_log`: no output line has this text."""

    no_log: str | None = None
    log: str | None = None
    event: str | None = None
    no_event: str | None = None
    where: dict[str, Any] = {}
    exit: int | None = None

    @model_validator(mode="after")
    def _one(self) -> Assert:
        _given(self, "assert", "no_log", "log", "event", "no_event", "exit")
        return self


class Sample(Strict):
    """A number taken from an event: the field `path` of each event of kind `event`, in `unit`."""

    name: str
    event: str
    path: str
    unit: str = ""
    better: Literal["lower", "higher"] = "lower"


class Step(Strict):
    """One step. Exactly one of its keys is given."""

    send: Send | None = None
    wait: Wait | None = None
    assert_: Assert | None = Field(default=None, alias="assert")
    sample: Sample | None = None

    @model_validator(mode="after")
    def _one(self) -> Step:
        given = [name for name in ("send", "wait", "assert_", "sample") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("a step has exactly one of send, wait, assert, sample")
        return self


class Stop(Strict):
    """How the program is ended: a JSON line or text, then `within` for it to exit; then its process tree is killed.

    Its standard input is closed behind what is sent. With `send`, a program that does not exit in time has failed.
    """

    send: Send | None = None
    within: Duration = 5.0


class Judge(Strict):
    """What decides. `golden`: path in the repository of the golden trace (JSON lines)."""

    golden: str | None = None
    mask: list[str] = ["t", "seq"]
    order: Literal["strict", "per-key", "multiset"] = "strict"


class Flow(Strict):
    """One canary flow.

    package: argv that builds the artifact in a fresh checkout, `package_within` for it to end. artifact: the file that
    it leaves, relative to the repository or `{cache}/…`; removed before, hashed after. timeout: from start to stop.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    driver: Literal["process"] = "process"
    package: list[str] = []
    package_within: Duration = 600.0
    artifact: str = ""
    start: Start
    steps: list[Step] = []
    stop: Stop = Stop()
    judge: Judge = Judge()
    timeout: Duration = 60.0

    @model_validator(mode="after")
    def _artifact(self) -> Flow:
        if any("{artifact}" in part for part in self.start.run) and not self.artifact:
            raise ValueError('start.run names {artifact}, so the flow needs artifact = "path"')
        parts = self.artifact.removeprefix("{cache}/").replace("\\", "/").split("/")
        if self.artifact and (".." in parts or parts[0] == "" or ":" in parts[0]):
            raise ValueError("artifact is a path inside the repository or the cache")
        if self.artifact and not self.package:
            raise ValueError("an artifact needs package = [...], which builds it: a stale one would prove nothing")
        return self


def _given(model: Strict, name: str, *fields: str, most: int = 1) -> None:
    """Raises ValueError unless one (at most `most`) of the fields is given."""
    count = sum(getattr(model, field) is not None for field in fields)
    if not 1 <= count <= most:
        words = ", ".join(field.rstrip("_") for field in fields)
        raise ValueError(f"{name} has {'one' if most == 1 else 'at least one'} of {words}")
