"""The options that most commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Repo = Annotated[
    Path | None,
    typer.Option("--repo", help="The repository (default: the one around the current folder).", show_default=False),
]
State = Annotated[
    Path | None,
    typer.Option("--state", help="The state folder (default: the platform's; see `swarm where`).", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="For scripts.")]
