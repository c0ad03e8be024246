"""A canary flow as a user writes it (`[[canary.flow]]` or `canary/*.toml`).

The wing `canary/` runs flows; the model stands here because the settings hold flows too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, cast

from pydantic import BeforeValidator, Field, model_validator

from engine.models.base import Strict
from engine.models.flow_rules import what_is_wrong
from engine.models.units import Duration


class Isolate(Strict):
    """What a flow has for itself beside its home and temporary folder. `ports`: names of loopback ports that nobody
    else uses; `{port.NAME}` stands for one in argv, environment and addresses, `{port}` for the first."""

    ports: list[str] = []
    env: dict[str, str] = {}


class Ready(Strict):
    """When a started program counts as ready: a line in its output that contains `log`, an event of this kind, an
    answer below 400 at the path `http`, a port (by name) that takes connections, a file in its home, or a text on its
    screen."""

    log: str | None = None
    event: str | None = None
    http: str | None = None
    tcp: str | None = None
    file: str | None = None
    screen: str | None = None

    @model_validator(mode="after")
    def _some(self) -> Ready:
        _given(self, "ready", "log", "event", "http", "tcp", "file", "screen", most=6)
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


class HttpCall(Strict):
    """One request to the program. `path` begins with a slash; `text` or `json` is its body."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    path: str = Field(pattern=r"^/")
    headers: dict[str, str] = {}
    json_: Any = Field(default=None, alias="json")
    text: str | None = None
    port: str = ""
    within: Duration = 5.0


class Click(Strict):
    """A mouse click: on `selector` (browser), or on column `x` and row `y` (terminal, from 0) or pixel (browser)."""

    selector: str = ""
    x: int | None = Field(default=None, ge=0)
    y: int | None = Field(default=None, ge=0)
    button: Literal["left", "middle", "right"] = "left"

    @model_validator(mode="after")
    def _where(self) -> Click:
        if bool(self.selector) == (self.x is not None and self.y is not None):
            raise ValueError("click has either selector or x and y")
        return self


class Resize(Strict):
    """The new size: columns and rows of a terminal, or pixels of a browser's page."""

    w: int = Field(ge=1, le=10_000)
    h: int = Field(ge=1, le=10_000)


class Send(Strict):
    """Something given to the program: one JSON line, raw text on its standard input, keys (names such as `enter`, `up`,
    `ctrl+c`, or text), an HTTP request, a click, a new size, or (browser) a page to open."""

    json_: dict[str, Any] | None = Field(default=None, alias="json")
    stdin: str | None = None
    keys: list[str] | None = None
    text: str | None = None
    http: HttpCall | None = None
    click: Click | None = None
    resize: Resize | None = None
    open: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Send:
        _given(self, "send", "json_", "stdin", "keys", "text", "http", "click", "resize", "open")
        return self


class Until(Strict):
    """What a wait waits for: an event of a kind (with `where` as a subset of its fields), an output line, the exit, a
    text on the screen, or (browser) an element.

    Events are looked for after the one that the last wait found, and lines likewise, however early they came: what a
    wait finds depends on the order of events and never on timing."""

    event: str | None = None
    where: dict[str, Any] = {}
    log: str | None = None
    exit: int | None = None
    screen: str | None = None
    no_screen: str | None = None
    element: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Until:
        _given(self, "until", "event", "log", "exit", "screen", "no_screen", "element")
        return self


class Wait(Strict):
    until: Until
    within: Duration = 5.0


class Assert(Strict):
    """What must hold now. `event` with `where`: such an event has been seen; `no_log`: no output line has this text;
    `status`, `body`, `no_body`, `fields`: of the last HTTP answer; `screen`, `no_screen`: a text is, or is not, on
    it."""

    no_log: str | None = None
    log: str | None = None
    event: str | None = None
    no_event: str | None = None
    where: dict[str, Any] = {}
    exit: int | None = None
    screen: str | None = None
    no_screen: str | None = None
    element: str | None = None
    status: int | None = None
    body: str | None = None
    no_body: str | None = None
    fields: dict[str, Any] | None = None
    """A subset of the JSON object that the last HTTP answer is."""

    @model_validator(mode="after")
    def _one(self) -> Assert:
        names = ("no_log", "log", "event", "no_event", "exit", "screen", "no_screen", "element")
        _given(self, "assert", *names, "status", "body", "no_body", "fields")
        return self


class Sample(Strict):
    """Numbers of one kind, in `unit`: the field `path` of each event of kind `event`; or `from`: the milliseconds that
    each HTTP answer took (`http`), or what `path` leads to in each line of the JSON-lines file `from`, in its home."""

    name: str
    event: str = ""
    from_: str = Field(default="", alias="from")
    path: str = ""
    unit: str = ""
    better: Literal["lower", "higher"] = "lower"

    @model_validator(mode="after")
    def _one(self) -> Sample:
        if bool(self.event) == bool(self.from_):
            raise ValueError("sample has either event or from")
        if not self.path and self.from_ != "http":
            raise ValueError("sample needs path, the field that holds the number")
        return self


def _as_tuple(value: Any) -> Any:
    """TOML has lists alone."""
    if not isinstance(value, (list, tuple)):
        raise ValueError("a mask is a list of rectangles [x, y, w, h]")
    return tuple(cast("list[Any]", value))


_Cell = Annotated[int, Field(ge=0)]
Rectangle = Annotated[tuple[_Cell, _Cell, _Cell, _Cell], BeforeValidator(_as_tuple)]


class Shot(Strict):
    """A picture of what is shown now, compared with the golden of this name. `mask`: rectangles [x, y, w, h] that do
    not count, in cells (terminal) or pixels. The tolerances are for pixels: how many may differ, and the largest
    blob."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    mask: list[Rectangle] = []
    changed: float = Field(default=0.001, ge=0, le=1)
    """Share of the pixels that may differ."""
    blob: int = Field(default=16, ge=0)
    """Pixels that hang together and may differ."""


class Step(Strict):
    """One step. Exactly one of its keys is given."""

    send: Send | None = None
    wait: Wait | None = None
    assert_: Assert | None = Field(default=None, alias="assert")
    sample: Sample | None = None
    shot: Shot | None = None

    @model_validator(mode="after")
    def _one(self) -> Step:
        given = [name for name in ("send", "wait", "assert_", "sample", "shot") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("a step has exactly one of send, wait, assert, sample, shot")
        return self


class Stop(Strict):
    """How the program is ended: a JSON line or text, then `within` for it to exit; then its process tree is killed.

    Its standard input is closed behind what is sent. With `send`, a program that does not exit in time has failed.
    """

    send: Send | None = None
    within: Duration = 5.0


class Tolerance(Strict):
    """How far a number of a golden trace may be off: by so much, by such a share, or (`count`) in so many places."""

    path: str
    absolute: float = Field(default=0.0, ge=0)
    relative: float = Field(default=0.0, ge=0)
    count: int = Field(default=0, ge=0)


class Budget(Strict):
    """A hard bound of a sample's median in one run, as a number in its unit (`max`, `min`), or as a share of last
    good's (`worse`: 0.1 is a tenth)."""

    sample: str
    max: float | None = None
    min: float | None = None
    worse: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _one(self) -> Budget:
        _given(self, "budget", "max", "min", "worse", most=3)
        return self


class Judge(Strict):
    """What decides. `golden`: path in the repository of the golden trace (JSON lines).

    repeat: runs of the flow in a row that have to be green. slower: what happens to a change that makes a sample worse:
    a bug work order, or (`revert`) as if it had failed.
    """

    golden: str | None = None
    mask: list[str] = ["t", "seq"]
    order: Literal["strict", "per-key", "multiset"] = "strict"
    tolerances: list[Tolerance] = []
    repeat: int = Field(default=1, ge=1, le=20)
    budgets: list[Budget] = []
    slower: Literal["bug", "revert"] = "bug"


class Flow(Strict):
    """One canary flow. It has `start` with steps, or `run`: an argv that is the whole flow, for anything else. Its exit
    code is the word: 0 is PASS, 125 is INCONCLUSIVE, all others are FAIL.

    package: argv that builds the artifact in a fresh checkout, `package_within` for it to end. artifact: the file that
    it leaves, relative to the repository or `{cache}/…`; removed before, hashed after. timeout: from start to stop.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    driver: Literal["process", "http", "terminal", "browser"] = "process"
    isolate: Isolate = Isolate()
    size: Resize | None = None
    """Of the terminal (80 by 24) or the browser's page (1280 by 720)."""
    package: list[str] = []
    package_within: Duration = 600.0
    artifact: str = ""
    start: Start | None = None
    run: list[str] = []
    steps: list[Step] = []
    stop: Stop = Stop()
    judge: Judge = Judge()
    timeout: Duration = 60.0

    @model_validator(mode="after")
    def _sound(self) -> Flow:
        for wrong in what_is_wrong(self):
            raise ValueError(wrong)
        return self

    @property
    def argv(self) -> list[str]:
        """The program under test."""
        return self.start.run if self.start is not None else self.run

    def with_ports(self, ports: Mapping[str, int]) -> Flow:
        """The same with `{port}` and `{port.NAME}` replaced, in every text of it."""
        if not ports:
            return self
        numbers = {f"{{port.{name}}}": str(port) for name, port in ports.items()}
        numbers["{port}"] = str(next(iter(ports.values())))

        def filled(value: Any) -> Any:
            if isinstance(value, str):
                for name, number in numbers.items():
                    value = value.replace(name, number)
                return value
            if isinstance(value, list):
                return [filled(each) for each in cast("list[Any]", value)]
            if isinstance(value, dict):
                return {name: filled(each) for name, each in cast("dict[str, Any]", value).items()}
            return value

        return Flow.model_validate(filled(self.model_dump(by_alias=True, exclude_unset=True)))


def _given(model: Strict, name: str, *fields: str, most: int = 1) -> None:
    """Raises ValueError unless one (at most `most`) of the fields is given."""
    count = sum(getattr(model, field) is not None for field in fields)
    if not 1 <= count <= most:
        words = ", ".join(field.rstrip("_") for field in fields)
        raise ValueError(f"{name} has {'one' if most == 1 else 'at least one'} of {words}")
