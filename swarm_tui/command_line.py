"""All commands of `swarm`. Each is thin: it parses, calls one function of the face, and turns its answer into an exit
code.

Modules are imported where they are used, so that each command starts with what it needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.errors import UserError
from swarm_tui.adr_commands import adr_app
from swarm_tui.bisect_command import bisect
from swarm_tui.golden_commands import golden_app
from swarm_tui.options import Json, Repo, State
from swarm_tui.terminal import Asked

app = typer.Typer(
    name="swarm",
    help="A control room for a swarm of coding agents on one git repository: work orders in, proved merges out.",
    no_args_is_help=False,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
roadmap_app = typer.Typer(
    help="The roadmap: what is on it, and the JSON Schemas of every file.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(roadmap_app, name="roadmap")
app.add_typer(golden_app, name="golden")
app.add_typer(adr_app, name="adr")

Log = Annotated[
    str, typer.Option("--log", help="Raise a category of the engine's own log, e.g. canary=debug,git=info.")
]


@app.callback(invoke_without_command=True)
def swarm(
    context: typer.Context,
    repo: Repo = None,
    state: State = None,
    no_ui: Annotated[bool, typer.Option("--no-ui", help="Run headless: a line an event.")] = False,
    until: Annotated[str, typer.Option("--until", help="When to end: idle, or after a duration such as 8h.")] = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="With --no-ui: one event a line, and a last line with the summary.")
    ] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Plain lines instead of the room, for screen readers; ctrl+c leaves.")
    ] = False,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Only look: starts no engine, sends no command.")
    ] = False,
    attach: Annotated[bool, typer.Option("--attach", help="Attach, but start no engine when none runs.")] = False,
    log: Log = "",
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    """The control room: attaches to the engine of the repository, or starts one."""
    if version:
        from swarm_tui.compose import VERSION

        typer.echo(VERSION)
        raise typer.Exit
    if context.invoked_subcommand is not None:
        return
    from swarm_tui.running import run_engine
    from swarm_tui.terminal import can_show_a_room

    if no_ui or as_json:
        raise typer.Exit(run_engine(repo, state, until=until, as_json=as_json, log_levels=log))
    asked = Asked(repo, state, until=until, log_levels=log, read_only=read_only, only_attach=attach)
    if plain:
        from swarm_tui.plain import run_plain

        raise typer.Exit(run_plain(asked))
    if not can_show_a_room():
        if asked.attach:
            raise UserError("there is no terminal for a room: use `swarm status` or `swarm events -f`")
        typer.echo("no terminal that can show the room: this is the headless run, as with --no-ui", err=True)
        raise typer.Exit(run_engine(repo, state, until=until, as_json=as_json, log_levels=log))
    from swarm_tui.opening import run_room

    raise typer.Exit(run_room(asked))


@app.command()
def demo(
    no_ui: Annotated[bool, typer.Option("--no-ui", help="Headless: a line an event, instead of the room.")] = False,
    as_json: Json = False,
    directory: Annotated[
        Path | None, typer.Option("--dir", help="Leave DIR/repo and DIR/state for looking around.", show_default=False)
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Other timings, the same story.")] = 0,
) -> None:
    """A whole night on a built-in repository with scripted agents: no network, no model, about half a minute."""
    from swarm_tui.demo.night import run_demo

    raise typer.Exit(run_demo(directory, seed=seed, as_json=as_json, no_ui=no_ui))


@app.command()
def init(repo: Repo = None, state: State = None) -> None:
    """Write swarm.toml and roadmap.toml with a comment at each key. Changes nothing else."""
    from swarm_tui.starting import write_initial_files

    for line in write_initial_files(repo or Path.cwd()):
        typer.echo(line)


@app.command()
def check(repo: Repo = None, state: State = None, as_json: Json = False) -> None:
    """Validate settings and roadmap, probe tools, sandbox and agents, and say what is missing."""
    from swarm_tui.checking import check_repository

    raise typer.Exit(check_repository(repo, state, as_json=as_json))


@app.command()
def status(repo: Repo = None, state: State = None, as_json: Json = False) -> None:
    """Main, its health, last good, work orders, runs, the train, approvals, budgets."""
    from swarm_tui.inspecting import print_status

    print_status(repo, state, as_json=as_json)


@app.command()
def metrics(repo: Repo = None, state: State = None, as_json: Json = False) -> None:
    """Lead times, failures, restores, flakes, cost: the figures of all nights in the journal."""
    from swarm_tui.figures import print_metrics

    print_metrics(repo, state, as_json=as_json)


@app.command()
def train(repo: Repo = None, state: State = None, as_json: Json = False) -> None:
    """Each change on its way to main: what it waits for, what is assumed, and why."""
    from swarm_tui.trains import print_train

    print_train(repo, state, as_json=as_json)


@app.command()
def where(repo: Repo = None, state: State = None, as_json: Json = False) -> None:
    """Where the state, the hub, the artifacts and the public key of this repository are."""
    from swarm_tui.inspecting import print_where

    print_where(repo, state, as_json=as_json)


@app.command()
def log(
    subject: Annotated[str, typer.Argument(help="A run or a work order; without one the engine's own log.")] = "",
    repo: Repo = None,
    state: State = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as it grows.")] = False,
) -> None:
    """What a run's agent printed, or the engine's own log."""
    from swarm_tui.inspecting import print_log

    print_log(repo, state, subject, follow=follow)


@app.command()
def events(
    repo: Repo = None,
    state: State = None,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as it grows.")] = False,
    as_json: Json = False,
    after: Annotated[int, typer.Option("--after", help="Only events after this seq.")] = 0,
    verify: Annotated[
        bool, typer.Option("--verify", help="Print no event: check the hash chain and its signed head.")
    ] = False,
) -> None:
    """The journal: everything that happened, in order."""
    if verify:
        from swarm_tui.journal_check import print_chain

        raise typer.Exit(print_chain(repo, state, as_json=as_json))
    from swarm_tui.inspecting import print_events

    print_events(repo, state, follow=follow, as_json=as_json, after=after)


@app.command()
def replay(
    night: Annotated[
        str, typer.Argument(help="Its number, or a state folder, a journal.db or a file of `swarm events --json`.")
    ] = "",
    repo: Repo = None,
    state: State = None,
    speed: Annotated[int, typer.Option("--speed", help="1, 2, 5, 10, 20, 50 or 100 times as fast as it was.")] = 1,
    as_list: Annotated[bool, typer.Option("--list", help="Say which nights there are.")] = False,
    plain: Annotated[bool, typer.Option("--plain", "--no-ui", help="Plain lines instead of the room.")] = False,
    skip_quiet: Annotated[
        bool, typer.Option("--skip-quiet/--keep-quiet", help="Skip stretches of a minute or more without any event.")
    ] = True,
) -> None:
    """Play a recorded night again, the newest unless one is named. Changes nothing."""
    from swarm_tui.replaying import run_replay

    raise typer.Exit(run_replay(repo, state, night, speed=speed, plain=plain, as_list=as_list, quiet=skip_quiet))


@app.command()
def record(
    night: Annotated[
        str, typer.Argument(help="Its number, as `swarm replay --list` shows it (default: the newest).")
    ] = "",
    repo: Repo = None,
    state: State = None,
    out: Annotated[Path, typer.Option("--out", help="A new folder for the recording.")] = Path("recorded"),
    speed: Annotated[float, typer.Option("--speed", help="How many times as fast as they were the agents play.")] = 1.0,
) -> None:
    """Keep what the agents of a night did as scripts, with the repository as it was: to play it without any model."""
    from swarm_tui.recording import run_record

    raise typer.Exit(run_record(repo, state, night, out, speed=speed))


@app.command()
def serve(
    repo: Repo = None,
    state: State = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="On 127.0.0.1; 0 takes any.")] = 8765,
    allow_commands: Annotated[
        bool, typer.Option("--allow-commands", help="Print a random token; who has it gets a room that may command.")
    ] = False,
    token_file: Annotated[
        Path | None,
        typer.Option("--token-file", help="As --allow-commands, with the token of a file.", show_default=False),
    ] = None,
) -> None:
    """The room in a browser, for a phone or a second screen. Read-only unless a token is given.

    It listens on this machine alone. From another one, reach it through a tunnel:
    ssh -L 8765:127.0.0.1:8765 this-machine, then http://127.0.0.1:8765/ there.
    ?fontsize=12 makes the text smaller. Needs the extra swarm-tui[web].
    """
    from swarm_tui.serving import run_serve

    raise typer.Exit(run_serve(repo, state, port=port, allow_commands=allow_commands, token_file=token_file))


def _command(repo: Path | None, state: Path | None, name: str, **args: str) -> None:
    from swarm_tui.inspecting import send_command

    raise typer.Exit(send_command(repo, state, name, args))


@app.command()
def approve(
    approval: Annotated[str, typer.Argument(help="Its id, as `swarm status` shows it.")],
    repo: Repo = None,
    state: State = None,
    typed: Annotated[
        str | None,
        typer.Option("--type", help="The name that the highest class wants typed; asked for on a terminal."),
    ] = None,
) -> None:
    """Say yes to one pending operation, exactly as it was asked."""
    from swarm_tui.approving import run_approve

    raise typer.Exit(run_approve(repo, state, approval, typed))


@app.command()
def deny(
    approval: Annotated[str, typer.Argument(help="Its id, as `swarm status` shows it.")],
    repo: Repo = None,
    state: State = None,
    why: Annotated[str, typer.Option("--why", help="A sentence for its agent.")] = "",
) -> None:
    """Say no to one pending operation."""
    _command(repo, state, "deny", id=approval, why=why)


@app.command()
def pause(repo: Repo = None, state: State = None) -> None:
    """Start no new runs; what runs goes on."""
    _command(repo, state, "pause")


@app.command()
def resume(repo: Repo = None, state: State = None) -> None:
    """Start new runs again."""
    _command(repo, state, "resume")


@app.command()
def stop(
    repo: Repo = None,
    state: State = None,
    finish: Annotated[bool, typer.Option("--finish", help="Finish what runs first.")] = False,
) -> None:
    """Stop the engine; interrupted runs keep their files and run again at the next start."""
    _command(repo, state, "drain" if finish else "stop")


@app.command()
def retry(work_order: str, repo: Repo = None, state: State = None) -> None:
    """Give a parked work order fresh attempts."""
    _command(repo, state, "retry", work_order=work_order)


@app.command()
def cancel(work_order: str, repo: Repo = None, state: State = None) -> None:
    """Take a work order off the road; what its agents wrote is kept."""
    _command(repo, state, "cancel", work_order=work_order)


@app.command()
def gates(
    revision: Annotated[str, typer.Argument(help="The commit to gate (default: HEAD).", show_default=False)] = "",
    repo: Repo = None,
    state: State = None,
    base: Annotated[str, typer.Option("--base", help="What it would land on (default: main).")] = "",
    gate: Annotated[
        list[str] | None, typer.Option("--gate", help="Only this gate (and what it needs); repeatable.")
    ] = None,
    as_json: Json = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Say why each gate runs or its earlier result stands, and what it cost.")
    ] = False,
    keep_going: Annotated[
        bool, typer.Option("--keep-going/--fail-fast", help="Go on after a gate that is not green, or stop there.")
    ] = True,
    watch: Annotated[
        bool, typer.Option("--watch", help="Gate each new commit, and the working tree as it changes; ctrl+c ends it.")
    ] = False,
    sabotage: Annotated[
        int, typer.Option("--sabotage", min=0, metavar="N", help="Break N changed lines, one at a time: who notices?")
    ] = 0,
    seed: Annotated[int, typer.Option("--seed", help="Which lines --sabotage breaks, and how.")] = 0,
) -> None:
    """The local CI on one commit: run its gates, write a signed report. Exit 0 only if all is green."""
    from swarm_tui.gating.asked import Asked as AskedGates
    from swarm_tui.gating.command import run_gates

    asked = AskedGates(
        repo, state, revision, base, tuple(gate or ()), as_json=as_json, explain=explain, keep_going=keep_going,
        watch=watch, sabotage=sabotage, seed=seed,
    )  # fmt: skip
    raise typer.Exit(run_gates(asked))


@app.command()
def verify(
    subject: Annotated[str, typer.Argument(help="A report file, a commit, or a range such as main~20..main.")],
    repo: Repo = None,
    state: State = None,
    rerun: Annotated[
        bool, typer.Option("--rerun", help="Run the gates again in a clean clone: the strongest proof.")
    ] = False,
    key: Annotated[
        Path | None, typer.Option("--key", help="Public key (PEM) of the swarm that signed, if it is another's.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check signatures, tree and base of reports, and say how to check them without us."""
    from swarm_tui.verifying import verify_subject

    raise typer.Exit(verify_subject(repo, state, subject, as_json=as_json, rerun=rerun, public_key=key))


@app.command()
def canary(
    revision: Annotated[str, typer.Argument(help="The commit to judge.")] = "HEAD",
    repo: Repo = None,
    state: State = None,
    as_json: Json = False,
) -> None:
    """Really run the program of one commit through every canary flow. Exit 0 only on PASS."""
    from swarm_tui.proving import run_canary

    raise typer.Exit(run_canary(repo, state, revision, as_json=as_json))


app.command()(bisect)


@roadmap_app.command("show")
def roadmap_show(repo: Repo = None, state: State = None, as_json: Json = False) -> None:
    """Items and work orders, and where each stands."""
    from swarm_tui.inspecting import print_roadmap

    print_roadmap(repo, state, as_json=as_json)


@roadmap_app.command("schema")
def roadmap_schema(
    out: Annotated[
        Path | None, typer.Option("--out", help="Write one file a schema into this folder.", show_default=False)
    ] = None,
    repo: Repo = None,
    state: State = None,
) -> None:
    """JSON Schemas of settings, roadmap, flows, scripts, tasks, handoffs, events, reports, status and metrics."""
    from swarm_tui.inspecting import print_schemas

    print_schemas(out)


_UsageError: type[Exception] = typer.BadParameter.__bases__[0]
"""What every mistake on the command line is. typer brings its own click and has no public name for it."""


def run() -> int | None:
    """Do what the command line says; the exit code. Raises UserError also for mistakes on the command line."""
    try:
        return app(prog_name="swarm", standalone_mode=False)
    except _UsageError as error:
        raise UserError(_usage(error)) from error
    except typer.Abort:
        raise KeyboardInterrupt from None


def _usage(error: Exception) -> str:
    """click's words as one sentence that says where to look."""
    said = str(getattr(error, "message", "") or error).strip().rstrip(".")
    said = said.removesuffix(", unable to parse string as an integer")
    said = f"{said[:1].lower()}{said[1:]}"
    options: list[str] = getattr(getattr(error, "param", None), "opts", [])
    if said.startswith("input should be ") and options:
        return f"{options[-1]} {said.replace('input should be', 'has to be', 1)}"
    return f"{said}: `swarm --help` lists what there is"
