"""Acceptance and repro: commands that are red before a change, for the right reason, and green after it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from engine.models.proof import CommandOutcome, ProofRun, ProvedCommand
from engine.models.roadmap import WorkOrder
from engine.models.settings import Gate
from engine.scope import in_scope
from engine.text.sanitise import sanitise_line
from gates.placeholders import python_placeholder
from gates.proof.helpers import helpers_of
from gates.proof.test_files import TestFiles, python_module
from gates.proof.trials import Trees, Trial, Trials
from gates.proof.versions import NOTHING
from gates.strength import program_name, weakness

REPRO_TIMEOUT_S = 60.0
_INTERPRETER = re.compile(
    r"^(python[0-9.]*w?|pypy[0-9.]*|py|node|deno|bun|ruby|perl|php|sh|bash|dash|zsh|ksh|pwsh|powershell|Rscript)$"
)
_PYTHON_VALUES = frozenset({"-W", "-X"})
_TAKES_A_VALUE = frozenset({"-r", "--require", "-I"})
_SCRIPT = re.compile(r"\.(py|[cm]?[jt]s|sh|bash|rb|pl|php|ps1|bat|cmd)$")
_SOURCE = re.compile(r"\.(py|pyi|rs|go|[cm]?[jt]sx?|rb|java|kt|cs|c|h|cc|cpp|hpp|swift|scala|php|pl|lua|zig|css|html)$")
_JUDGING = frozenset(
    {"acceptance", "check", "checks", "ci", "dev", "e2e", "hack", "judge", "judges", "qa", "scripts", "tools", "verify"}
)
"""Folders whose scripts look at the product and are no part of it."""
_MANIFESTS = frozenset({"Cargo.toml", "package.json", "pyproject.toml", "go.mod", "setup.py", "setup.cfg", "Makefile"})
_SPECIAL = frozenset({126, 127})
_ABSENT = re.compile(
    r"(can't open file|command not found|: not found\s*$|is not recognized as|Cannot find module '/"
    r"|No module named \S+\.__main__|no test target named|file or directory not found|^no tests ran\b"
    r"|No tests? (?:files? )?found|[Mm]issing script:?|^(?:=+ )?\d+ deselected in"
    r"|^\S*python\S*: (No module named|Error while finding module)|can't find '__main__')",
    re.MULTILINE,
)
_LAST_ERROR = re.compile(r"^(?:\w+\.)*(\w+(?:Error|Exception|Exit|Interrupt)): ?(.*)$", re.MULTILINE)
_MODULE = re.compile(
    r"No module named '([^']+)'|cannot import name '[^']+' from (?:partially initialized module )?'([^']+)'"
)


@dataclass(frozen=True)
class Command:
    """One command of an order as a gate. `judges`: files of main that decide, and folders (with a slash at the end) of
    such files; a change cannot bring them along."""

    name: str
    gate: Gate
    judges: tuple[str, ...]
    refused: str = ""
    """Why it is not run, one sentence."""


def commands_of(order: WorkOrder, trees: Trees, main: str) -> list[Command]:
    """The order's acceptance, then its repro. main: the tree that scripts are taken from."""
    found: list[Command] = []
    for number, one in enumerate(order.acceptance):
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", one.name)[:40] or str(number + 1)
        found.append(_command(order, trees, main, one.name, f"acceptance-{plain}", one.run, one.timeout))
    if order.repro:
        found.append(_command(order, trees, main, "repro", "repro", order.repro, REPRO_TIMEOUT_S))
    return found


async def prove_commands(
    order: WorkOrder, trees: Trees, trials: Trials, *, main: str, before: str, head: str | None
) -> tuple[list[ProvedCommand], list[ProofRun], list[str]]:
    """(each command on the tree that lacks the change and, unless None, on the one that has it; runs; reasons).

    main: where the commands' scripts come from. before: main, or the tree that has the fault.
    """
    proved: list[ProvedCommand] = []
    runs: list[ProofRun] = []
    reasons: list[str] = []
    for command in await asyncio.to_thread(commands_of, order, trees, main):
        if command.refused:
            proved.append(ProvedCommand(name=command.name, argv=command.gate.run, reason=command.refused))
            reasons.append(command.refused)
            continue
        tree = await asyncio.to_thread(_with_judges, trees, before, main, command.judges, order)
        trial = await trials(command.gate, tree, purpose="base")
        runs.append(run_of("base", command.gate, tree, trial))
        base, reason = await asyncio.to_thread(_before, order, trees, main, trial)
        log, after = trial.result.log, ""
        if head is not None:
            tree = await asyncio.to_thread(_with_judges, trees, head, main, command.judges, order)
            trial = await trials(command.gate, tree, purpose="head")
            runs.append(run_of("head", command.gate, tree, trial))
            log, after = trial.result.log, _outcome(trial)
            if after != "green":
                rows = await asyncio.to_thread(trees.changed, main, head)
                theirs = [row.path for row in rows if _is_judge(row.path, command.judges, order)]
                reason = f"it is {after} with the change" + (
                    f" and main's version of {theirs[0]}, which judges the change and is not the change's to rewrite"
                    if theirs
                    else ""
                )
        ok = base == "red" and (head is None or after == "green")
        what = _kind_of(command)
        said = "" if ok or not reason else f"{what} does not prove the goal: {reason.rstrip('.')}."
        proved.append(
            ProvedCommand(
                name=command.name, argv=command.gate.run, base=base, head=after or "", ok=ok, reason=said, log=log
            )
        )
        # Of several acceptance commands one that is green before is no fault, as long as another is red.
        wrong_before = base in ("error", "timeout") or (base == "green" and command.gate.name == "repro")
        if not ok and (wrong_before or (head is not None and after != "green")):
            reasons.append(said)
    return proved, runs, reasons


def run_of(purpose: str, gate: Gate, tree: str, trial: Trial) -> ProofRun:
    """What one run cost, for the report."""
    result = trial.result
    return ProofRun(
        purpose=purpose, gate=gate.name, tree=tree, result=result.result, duration_s=result.duration_s,
        cached=result.cached,
    )  # fmt: skip


# ---- which files judge ---------------------------------------------------------------------------------------------


def _command(
    order: WorkOrder, trees: Trees, main: str, name: str, gate: str, argv: Sequence[str], timeout: float
) -> Command:
    judges, script = _judges(order, trees, main, argv)
    made = Gate(name=gate, run=list(argv), results="none", timeout=timeout)
    what = "its repro" if gate == "repro" else f'its acceptance "{sanitise_line(name)}"'
    found = weakness(argv)
    refused = ""
    if found is not None and found.level == "error":
        refused = f"{what} {found.what}, so it proves nothing: {found.do}."
    elif script and script not in judges:
        shown = sanitise_line(script)
        refused = (
            f"{what} runs {shown}, which is not on main: commit {shown} first, so that the agent does not write its "
            "own judge."
        )
    elif (
        script.endswith(".py")
        and python_placeholder((trees.read(main, script) or b"").decode("utf-8", "replace")) == "looks"
    ):
        shown = sanitise_line(script)
        refused = f"{what} runs {shown}, which only looks whether a file is there: let it check what the file does."
    elif absent := next((test for test in _tests_of(argv) if trees.read(main, test) is None), ""):
        shown = sanitise_line(absent)
        refused = (
            f"{what} runs {shown}, which is not on main: commit it first, or name it in tests, where it has to fail "
            "on the old code."
        )
    return Command(name, made, judges, refused)


def _kind_of(command: Command) -> str:
    return "the repro" if command.gate.name == "repro" else f'the acceptance "{sanitise_line(command.name)}"'


def _judges(order: WorkOrder, trees: Trees, main: str, argv: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """(the files of main that this command is judged by, the script that it runs: "" when it is no file of a tree).

    Every argument that is a file counts, but not sources that the order may change and manifests: these are what is
    judged (`mypy src/a.py`). The script itself counts wherever it is, and in a folder of tests or tools all that lies
    beside it: a script imports and reads from there first. In any other folder what it imports from there counts,
    where it looks at something elsewhere.
    """

    def exists(path: str) -> bool:
        return _inside(path) and trees.read(main, path) is not None

    script = _script_of(argv, exists)
    files = TestFiles()
    found = [script] if script and exists(script) else []
    folder = PurePosixPath(script).parent
    if found and (files.part(script) in ("test", "support") or _JUDGING.intersection(folder.parts)):
        found.append(f"{folder}/" if folder.parts else script)
    elif found and script.endswith(".py"):
        beside = helpers_of(script, lambda path: trees.read(main, path) if _inside(path) else None)
        found += [path for path in beside if not (order.allow and in_scope(path, order.allow, order.deny))]
    found += [path for path in _tests_of(argv) if exists(path)]
    for word in argv[1:]:
        path = _plain(word.rpartition("=")[2] if word.startswith("--") else word).partition("::")[0]
        if not exists(path) or path in found or PurePosixPath(path).name in _MANIFESTS:
            continue
        subject = (
            _SOURCE.search(path) and files.part(path) in ("", "inline") and in_scope(path, order.allow, order.deny)
        )
        if not subject:
            found.append(path)
    return tuple(found), script


def _script_of(argv: Sequence[str], exists: object) -> str:
    """The path, as it would be in a tree, of what the command runs; "" for a tool of the machine."""
    program = argv[0] if argv else ""
    if not _INTERPRETER.match(program_name(program)):
        path = _plain(program)
        return path if "/" in path and _inside(path) else ""
    values = _PYTHON_VALUES if program_name(program).startswith("py") else _TAKES_A_VALUE
    at = 1
    while at < len(argv) and argv[at].startswith("-") and argv[at] not in ("-m", "-c", "-e"):
        at += 2 if argv[at] in values else 1
    if at >= len(argv) or argv[at] in ("-c", "-e"):
        return ""
    if argv[at] == "-m":
        known = exists if callable(exists) else lambda _path: False
        return python_module(argv[at + 1], lambda path: bool(known(path))) if at + 1 < len(argv) else ""
    path = _plain(argv[at])
    return path if _inside(path) and (_SCRIPT.search(path) or "/" in path) else ""


def _plain(word: str) -> str:
    return word.replace("\\", "/").removeprefix("./")


def _inside(path: str) -> bool:
    """Whether this can be a file of a tree: relative, and nowhere above."""
    return bool(path) and not path.startswith(("/", "-", "~")) and ":" not in path and ".." not in path.split("/")


def _tests_of(argv: Sequence[str]) -> list[str]:
    """The files of tests that a command names, as paths or as modules (`-m unittest tests.test_a.Case`)."""
    files, by_module = TestFiles(), list(argv[1:3]) == ["-m", "unittest"]
    found: list[str] = []
    for word in argv[1:]:
        paths = [_plain(word).partition("::")[0]]
        if by_module and re.fullmatch(r"\w+(\.\w+)+", word):
            parts = word.split(".")
            paths = ["/".join(parts[:count]) + ".py" for count in range(2, len(parts) + 1)]
        found += [path for path in paths if _inside(path) and files.part(path) == "test"][:1]
    return found


def _is_judge(path: str, judges: Sequence[str], order: WorkOrder) -> bool:
    if path in judges:
        return True
    subject = bool(order.allow) and in_scope(path, order.allow, order.deny)
    return not subject and any(folder.endswith("/") and path.startswith(folder) for folder in judges)


def _with_judges(trees: Trees, tree: str, main: str, judges: Sequence[str], order: WorkOrder) -> str:
    """The tree with main's version of these files, and without what main does not have beside them."""
    rows: Mapping[str, tuple[str, str] | None] = {
        row.path: None if row.new_mode == NOTHING else (row.new_mode, row.new_sha)
        for row in trees.changed(tree, main)
        if _is_judge(row.path, judges, order)
    }
    return trees.compose(tree, dict(rows)) if rows else tree


# ---- red for the right reason --------------------------------------------------------------------------------------


def _outcome(trial: Trial) -> CommandOutcome:
    result = trial.result
    if result.result in ("green", "timeout"):
        return "green" if result.result == "green" else "timeout"
    # Red with exit code 0: it changed tracked files.
    if result.result != "red" or result.exit_code in _SPECIAL or not result.exit_code:
        return "error"
    return "red"


def _before(order: WorkOrder, trees: Trees, main: str, trial: Trial) -> tuple[CommandOutcome, str]:
    """What the command says of the tree without the change, and why that is not red for the right reason.

    A program or script that is not there, a script that is no Python and a timeout say nothing about the fault. So
    does an import that fails: the command ended before it looked. It counts for a feature alone, and only where what
    is missing is the project's own, since that is how something that is not there yet looks like; for a fix the
    faulty code is there, so a repro that cannot import it is wrong.
    """
    outcome = _outcome(trial)
    if outcome == "green":
        return outcome, "it is green without the change"
    if outcome == "timeout":
        return outcome, "it runs into its timeout without the change, which shows no fault: make it fail sooner"
    if outcome == "error":
        ended = trial.result.reason or f"it ended with exit code {trial.result.exit_code}"
        return outcome, f"it cannot be run ({sanitise_line(ended).rstrip('.')})"
    # A module that a script cannot find is said in a traceback; what the interpreter itself says has none.
    if (found := _ABSENT.search(trial.output)) is not None and "Traceback (most recent" not in trial.output:
        return "error", f"what it runs is not there ({sanitise_line(found[0].strip())[:120]})"
    last = None
    if "Traceback (most recent call last)" in trial.output or "SyntaxError" in trial.output:
        last = next(reversed(list(_LAST_ERROR.finditer(trial.output))), None)
    if last is not None and last[1] in ("SyntaxError", "IndentationError", "TabError"):
        return "error", f"it is no Python that can be run ({sanitise_line(last[0])[:160]})"
    if last is not None and last[1] in ("ImportError", "ModuleNotFoundError"):
        return _import(order, trees, main, last[2], sanitise_line(last[0])[:160])
    return "red", ""


def _import(order: WorkOrder, trees: Trees, main: str, message: str, shown: str) -> tuple[CommandOutcome, str]:
    named = _MODULE.search(message)
    top = ((named[1] or named[2]) if named else "").partition(".")[0]
    places = [f"{folder}{top}{tail}" for folder in ("", "src/") for tail in (".py", "/__init__.py")]
    own = bool(top) and any(
        trees.read(main, path) is not None or (bool(order.allow) and in_scope(path, order.allow, order.deny))
        for path in places
    )
    if own and order.kind == "feature":
        return "red", ""
    if own:
        return "error", f"it ends before it looks ({shown}), and a fix needs a command that sees the fault"
    return "error", f"it needs something that is not installed ({shown})"
