"""What the engine asks of a forge, whichever it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, cast

Status = Literal["open", "merged", "closed"]
Ci = Literal["", "pending", "green", "red"]


@dataclass(frozen=True)
class Request:
    """A pull request as the forge tells it. `head`: the commit of its branch. `ci`: "" where nothing runs, or where the
    token may not see it; only `look` asks for it."""

    number: int
    url: str
    status: Status
    branch: str
    head: str
    title: str = ""
    ci: Ci = ""


class Forge(Protocol):
    """Every call raises ForgeFault. `branch` is the key: there is at most one open pull request of a branch."""

    async def find(self, branch: str) -> Request | None:
        """The newest pull request of this branch of ours, whatever became of it."""
        ...

    async def create(self, branch: str, title: str, body: str) -> Request:
        """Open one. If there is one already (an answer was lost), gives that."""
        ...

    async def look(self, number: int) -> Request:
        """One of them now, with what its checks say."""
        ...

    async def comment(self, number: int, text: str) -> None: ...

    async def close(self, number: int) -> None: ...

    async def end(self) -> None:
        """No more calls are to come."""
        ...


def part(row: dict[str, Any], name: str) -> dict[str, Any]:
    """An object within an answer; empty where there is none."""
    value: object = row.get(name)
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def worst(states: list[Ci]) -> Ci:
    """What several checks say together: red before pending before green."""
    order: tuple[Ci, ...] = ("red", "pending", "green")
    found: Ci = ""
    for state in reversed(order):
        found = state if state in states else found
    return found
