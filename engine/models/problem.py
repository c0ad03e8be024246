"""One thing that is wrong with what a person wrote: an entry of `swarm check --json`."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Problem(BaseModel):
    """`where` is `file:line` where a line is known; `what` and `do` are the two halves of one sentence."""

    model_config = ConfigDict(extra="ignore", frozen=True)
    where: str
    what: str
    do: str
    level: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.do}"
