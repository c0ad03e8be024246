"""The command line of `swarm bisect`."""

from __future__ import annotations

from typing import Annotated

import typer

from swarm_tui.options import Repo, State


def bisect(
    good: Annotated[str, typer.Argument(help="A commit on which the command is green, an ancestor of BAD.")],
    bad: Annotated[str, typer.Argument(help="A commit on which it is red.")],
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="-- CMD…", help="Ends with 0: good, 125: cannot tell, 1 to 127: bad.", show_default=False
        ),
    ] = None,
    repo: Repo = None,
    state: State = None,
    jobs: Annotated[
        int,
        typer.Option(
            "--jobs", min=1, max=64, help="Runs at a time. 1 needs the fewest; more pay only where runs idle."
        ),
    ] = 1,
    timeout: Annotated[
        float | None, typer.Option("--timeout", min=0.1, help="Seconds; a longer run is bad.", show_default=False)
    ] = None,
    first_parent: Annotated[
        bool, typer.Option("--first-parent", help="Only merges themselves, not what was merged.")
    ] = False,
    resume_: Annotated[
        bool, typer.Option("--resume/--fresh", help="Go on where the same command was ended, or begin anew.")
    ] = True,
    false_red: Annotated[
        float | None,
        typer.Option(
            "--false-red",
            min=0,
            max=0.99,
            help="How often a good commit is red; learned if not given.",
            show_default=False,
        ),
    ] = None,
    false_green: Annotated[
        float | None,
        typer.Option(
            "--false-green",
            min=0,
            max=0.99,
            help="How often a bad commit is green; learned likewise.",
            show_default=False,
        ),
    ] = None,
    confidence: Annotated[
        float, typer.Option("--confidence", min=0.5, max=0.999999, help="How sure a verdict must be.")
    ] = 0.98,
    as_json: Annotated[
        bool, typer.Option("--json", help="The verdict as one line of JSON; progress on stderr.")
    ] = False,
) -> None:
    """Find the commit that turned a command red, also where runs flake or do not build. Your files are not touched.

    swarm bisect v1.0 main -- pytest -x tests/test_it.py

    Exit 0: found. 1: a range, nobody, or unresolved. The same command line goes on after ctrl+c or a crash.
    """
    from swarm_tui.bisecting import Asked, run_bisect

    asked = Asked(
        good, bad, tuple(command or ()), repo, state, jobs=jobs, timeout_s=timeout, first_parent=first_parent,
        fresh=not resume_, false_red=false_red, false_green=false_green, confidence=confidence, as_json=as_json,
    )  # fmt: skip
    raise typer.Exit(run_bisect(asked))
