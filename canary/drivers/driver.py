"""What a driver offers to a flow: a started program that can be spoken to, watched, and always ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar, runtime_checkable

from engine.models.flow import Click
from engine.ports import Quota

T = TypeVar("T")


class ProgramFault(Exception):
    """The program under test did not do its part. The message is half a sentence: `it closed its standard input`."""


@dataclass(frozen=True)
class Launch:
    """A program to start. `argv` is already wrapped by the sandbox, `env` is complete, `marker` is in it.

    quota: beyond it the program is killed. writable: the folders that it may fill. home: the flow's own folder.
    ports: name -> loopback port; each can be reached at 127.0.0.1 while the flow runs, also into a sandbox with a
    network of its own. size: columns and rows of a terminal, or pixels of a page; None: the driver's own. brought:
    argv begins with a file of the commit itself, which is to blame when the system cannot run it.
    """

    argv: tuple[str, ...]
    cwd: Path
    env: Mapping[str, str]
    marker: str
    quota: Quota = field(default_factory=Quota)
    writable: tuple[Path, ...] = ()
    home: Path | None = None
    ports: Mapping[str, int] = field(default_factory=dict[str, int])
    size: tuple[int, int] | None = None
    brought: bool = False


@dataclass(frozen=True)
class SeenEvent:
    """One event of the program: a JSON object with a `kind`. `arrived_s`: seconds after the start."""

    arrived_s: float
    fields: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return self.fields["kind"]


@dataclass(frozen=True)
class LogLine:
    """One line of output, also when it is an event. `arrived_s`: seconds after the start."""

    arrived_s: float
    stream: Literal["out", "err"]
    text: str


class Session(Protocol):
    """One started program and all that came of it."""

    @property
    def events(self) -> Sequence[SeenEvent]:
        """What it reported, in order of arrival."""
        ...

    @property
    def log(self) -> Sequence[LogLine]:
        """All that it printed, in order of arrival."""
        ...

    @property
    def exit_code(self) -> int | None:
        """The exit code of a program that ended by itself; negative: by that signal. None: it runs, or was killed."""
        ...

    @property
    def ended(self) -> bool:
        """Nothing more will come: it exited and its output was read."""
        ...

    @property
    def overflow(self) -> str:
        """How it printed more than is ever read or used more than it may, or "". Nothing more is read from then on."""
        ...

    async def send(self, text: str) -> None:
        """Give it `text`. Raises ProgramFault when it takes nothing any more."""
        ...

    async def settle(self) -> None:
        """Until everything that it had printed before this call has been read."""
        ...

    async def until(self, look: Callable[[], T | None], within_s: float) -> T | None:
        """The first answer of `look` that is not None. None when the time is over, or when nothing more will come."""
        ...

    async def end_input(self) -> None:
        """Tell it that nothing more will be sent."""
        ...

    async def kill(self) -> int:
        """Kill all that is left of it, daemons too; how many processes there were. Safe to call again."""
        ...


@dataclass(frozen=True)
class Picture:
    """What was shown. `text`: lines in UTF-8, without spaces at their ends; `png`: an image."""

    kind: Literal["text", "png"]
    content: bytes


@runtime_checkable
class Screen(Protocol):
    """What a session of a program with a screen does beside `Session`. All of it raises ProgramFault when the program
    takes nothing any more, or cannot do such a thing."""

    def screen_text(self) -> str:
        """What stands on it, as it was seen last: `settle` looks again, and so does `until` before each look."""
        ...

    async def press(self, keys: Sequence[str]) -> None:
        """Press keys one after the other: names such as `enter`, `up`, `f5`, `ctrl+c`, `shift+tab`, or characters."""
        ...

    async def type(self, text: str) -> None: ...

    async def click(self, click: Click) -> None: ...

    async def resize(self, w: int, h: int) -> None: ...

    async def open(self, url: str) -> None:
        """Go to a page (browser): a whole address, or a path below the program's own."""
        ...

    async def shot(self) -> Picture: ...

    async def element(self, selector: str) -> bool:
        """Whether such an element is visible (browser)."""
        ...


class Driver(Protocol):
    async def start(self, launch: Launch) -> Session:
        """Start the program. Raises InfrastructureFault when the machine cannot, and Miss (INCONCLUSIVE) when it lacks
        what this driver needs."""
        ...
