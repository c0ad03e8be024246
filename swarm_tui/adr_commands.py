"""The commands below `swarm adr`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from swarm_tui.options import Json, Repo, State

adr_app = typer.Typer(
    help="The repository's architecture decision records.", no_args_is_help=True, rich_markup_mode=None
)


def _root(repo: Path | None) -> Path:
    from engine.git.user_repository import root_of

    return root_of((repo or Path.cwd()).resolve())


@adr_app.command("list")
def list_records(repo: Repo = None, state: State = None, as_json: Json = False) -> None:
    """Number, status and title of each."""
    from swarm_tui.adrs import folder_of, records

    root = _root(repo)
    found = records(root)
    if as_json:
        import json
        from dataclasses import asdict

        typer.echo(json.dumps([asdict(each) for each in found], indent=2))
        return
    for each in found:
        typer.echo(f"{each.number:>5}  {each.title}" + (f"  ({each.status})" if each.status else ""))
    if not found:
        typer.echo(f"there is no decision record in {folder_of(root)}: `swarm adr new TITLE` begins one")


@adr_app.command()
def show(
    number: Annotated[str, typer.Argument(help="As `swarm adr list` shows it.")],
    repo: Repo = None,
    state: State = None,
) -> None:
    """The text of one."""
    from swarm_tui.adrs import show as text_of

    typer.echo(text_of(_root(repo), number))


@adr_app.command()
def new(
    title: Annotated[str, typer.Argument(help="What is decided, in a line.")],
    repo: Repo = None,
    state: State = None,
) -> None:
    """Begin one under the next number, where the repository keeps them. It is yours to write and to commit."""
    from swarm_tui.adrs import new as begin

    typer.echo(begin(_root(repo), title).path)
