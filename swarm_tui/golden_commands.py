"""The commands below `swarm golden`."""

from __future__ import annotations

from typing import Annotated

import typer

from swarm_tui.options import Json, Repo, State

golden_app = typer.Typer(
    help="What canary runs propose to record as right: review it, accept it, reject it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@golden_app.command()
def review(
    repo: Repo = None,
    state: State = None,
    as_json: Json = False,
) -> None:
    """What waits for a person, oldest first, each with how it differs from what is recorded."""
    from swarm_tui.golden_review import review as print_review

    raise typer.Exit(print_review(repo, state, as_json=as_json))


@golden_app.command()
def accept(
    name: Annotated[str, typer.Argument(help="Its id, as `swarm golden review` shows it.")] = "",
    repo: Repo = None,
    state: State = None,
    every: Annotated[bool, typer.Option("--all", help="All that wait.")] = False,
    keyed: Annotated[
        bool, typer.Option("--keyed", help="For this operating system and renderer alone, in a file of its own.")
    ] = False,
) -> None:
    """The program is right: record what it showed. It lands like any change, with nothing else in it."""
    from swarm_tui.golden_review import accept as send_accept

    raise typer.Exit(send_accept(repo, state, name, every=every, keyed=keyed))


@golden_app.command()
def reject(
    name: Annotated[str, typer.Argument(help="Its id, path or flow, as `swarm golden review` shows it.")],
    repo: Repo = None,
    state: State = None,
    why: Annotated[str, typer.Option("--why", help="A sentence for the journal.")] = "",
) -> None:
    """The program is wrong: what is recorded stays, and exactly this is not proposed again."""
    from swarm_tui.golden_review import reject as send_reject

    raise typer.Exit(send_reject(repo, state, name, why))
