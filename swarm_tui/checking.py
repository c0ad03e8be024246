"""`swarm check`: what is wrong, weak or missing, before a night depends on it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.errors import SwarmError, UserError
from engine.git.door import find_git, git_version
from engine.loading import FLOWS_FOLDER, ROADMAP_FILE, SETTINGS_FILE, Problem, read_roadmap, read_settings
from engine.models.roadmap import WorkOrder
from engine.models.settings import Settings
from engine.process.environment import allowed_environment
from engine.sandbox.choose import choose_sandbox
from engine.text.sanitise import sanitise_line
from swarm_tui.place import Place, find_place
from swarm_tui.wanted import missing_programs, wanted_programs


def check_repository(repo: Path | None, state: Path | None, *, as_json: bool) -> int:
    """Print what was found. Exit 0 when nothing is an error."""
    place = find_place(repo, state)
    problems: list[Problem] = []
    settings, orders = _files(place, problems)
    facts = {"git": f"{find_git()} {'.'.join(map(str, git_version()))}", "state": str(place.folders.root)}
    if settings is not None:
        problems += _gates(settings) + _orders(orders) + _programs(settings) + _agents(settings, place)
        problems += _committed(place, settings, orders)
        facts.update(_sandbox(settings, place, problems))
    ok = not any(problem.level == "error" for problem in problems)
    if as_json:
        said = {"ok": ok, "problems": [p.model_dump(mode="json") for p in problems], "facts": facts}
        sys.stdout.write(json.dumps(said, indent=2) + "\n")
        return 0 if ok else 1
    for name, value in facts.items():
        sys.stdout.write(f"{name:<10}{sanitise_line(value)}\n")
    for problem in problems:
        mark = "✘ error  " if problem.level == "error" else "! warning"
        sys.stdout.write(f"{mark} {sanitise_line(str(problem))}\n")
    sys.stdout.write(_total(problems) + "\n")
    return 0 if ok else 1


def _total(problems: Sequence[Problem]) -> str:
    errors = sum(problem.level == "error" for problem in problems)
    counts = ((errors, "error"), (len(problems) - errors, "warning"))
    return ", ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in counts if n) or "all is well"


def _files(place: Place, problems: list[Problem]) -> tuple[Settings | None, list[WorkOrder]]:
    root = place.repository.root
    texts: dict[str, str] = {}
    for name in (SETTINGS_FILE, ROADMAP_FILE):
        try:
            texts[name] = (root / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            problems.append(Problem(where=name, what="it is not there", do="run `swarm init` to write one"))
        except (OSError, UnicodeDecodeError) as error:
            problems.append(Problem(where=name, what=f"it cannot be read ({error})", do="save it as readable UTF-8"))
    folder = root / FLOWS_FOLDER
    flows = (
        {f"{FLOWS_FOLDER}/{p.name}": p.read_text(encoding="utf-8") for p in sorted(folder.glob("*.toml"))}
        if folder.is_dir()
        else {}
    )
    settings = None
    if SETTINGS_FILE in texts:
        reading = read_settings(texts[SETTINGS_FILE], SETTINGS_FILE, flows)
        problems += reading.problems
        settings = reading.value
    orders: list[WorkOrder] = []
    if ROADMAP_FILE in texts:
        roadmap = read_roadmap(texts[ROADMAP_FILE], ROADMAP_FILE, settings)
        problems += roadmap.problems
        orders = list(roadmap.value.work_order) if roadmap.value is not None else []
    return settings, orders


def _gates(settings: Settings) -> list[Problem]:
    """Which gates are weak, and why."""
    from gates.definitions import problems as wrong_with
    from gates.strength import gate_weakness

    found: list[Problem] = []
    for gate in settings.gate:
        weak = gate_weakness(gate)
        found += [problem for problem in wrong_with(gate) if weak is None or problem.level == "error"]
        found += [weak] if weak is not None and weak not in found else []
    return found


def _orders(orders: Sequence[WorkOrder]) -> list[Problem]:
    """Which work orders name a proof that proves nothing."""
    from gates.strength import order_weaknesses

    return [problem for order in orders for problem in order_weaknesses(order)]


def _programs(settings: Settings) -> list[Problem]:
    found: list[Problem] = []
    for whose, error in missing_programs(settings, list(settings.agents)):
        what, _, do = str(error).rpartition(": ")
        found.append(Problem(where=whose, what=what or do, do=do))
    return found


def _agents(settings: Settings, place: Place) -> list[Problem]:
    found: list[Problem] = []
    for name, agent in settings.agents.items():
        where = f"agent {name}"
        try:
            allowed_environment(agent.env)
        except UserError as error:
            found.append(Problem(where=where, what=str(error), do="mend its env"))
        if agent.kind in ("acp", "model"):
            what = f"agents of kind {agent.kind} come with a later version"
            found.append(Problem(where=where, what=what, do='use kind = "command" for now'))
        if agent.kind == "script" and not (place.repository.root / agent.scripts).is_dir():
            found.append(Problem(where=where, what=f"there is no folder {agent.scripts}", do="mend scripts"))
    return found


def _committed(place: Place, settings: Settings, orders: Sequence[WorkOrder]) -> list[Problem]:
    """What counts only once it is committed: the definitions, and the scripts that gates, agents and proofs name."""
    found: list[Problem] = []
    if differs := _not_in_head(place, [SETTINGS_FILE]):
        what = f"{differs[SETTINGS_FILE]}, so main's gates are not those of the working copy"
        do = f"git add {SETTINGS_FILE} {ROADMAP_FILE} and commit"
        found.append(Problem(where=SETTINGS_FILE, what=what, do=do, level="warning"))
    named = [*wanted_programs(settings, list(settings.agents))]
    named += [(f"work order {order.id}", one.run) for order in orders for one in order.acceptance]
    named += [(f"work order {order.id}", order.repro) for order in orders if order.repro]
    root = place.repository.root
    scripts = {word for _, argv in named for word in argv if _is_file_of(root, word)}
    differs = _not_in_head(place, sorted({Path(word).as_posix() for word in scripts}))
    for whose, argv in named:
        for word in argv:
            if word in scripts and (why := differs.get(Path(word).as_posix())):
                what = f"it names {word}, but {why}, and what runs is what is committed"
                found.append(Problem(where=whose, what=what, do=f"git add {word} and commit", level="warning"))
    return found


def _is_file_of(root: Path, word: str) -> bool:
    path = Path(word)
    if not word or path.is_absolute() or ".." in path.parts or "\0" in word:
        return False
    try:
        return (root / path).is_file()
    except OSError:  # no name for a file, but some other word of an argv
        return False


def _not_in_head(place: Place, paths: Sequence[str]) -> dict[str, str]:
    """Those of the files that HEAD does not have as they lie in the working tree, with what is the matter."""
    from engine.git.door import UserGit

    if not paths:
        return {}
    git, plainly = UserGit(place.repository.root), {"GIT_LITERAL_PATHSPECS": "1"}

    def listed(*command: str) -> set[str]:
        done = git.run(*command, "-z", "HEAD", "--", *paths, env=plainly)
        return set(done.stdout.decode("utf-8", "surrogateescape").split("\0"))

    there, changed = listed("ls-tree", "-r", "--name-only"), listed("diff", "--name-only", "--no-renames")
    said = {path: "it is not committed" for path in paths if path not in there}
    return said | {path: "it was changed since it was committed" for path in paths if path in there & changed}


def _sandbox(settings: Settings, place: Place, problems: list[Problem]) -> dict[str, str]:
    try:
        place.folders.create()
        sandbox = choose_sandbox(settings.sandbox, place.folders.root)
    except SwarmError as error:
        problems.append(Problem(where="sandbox", what=str(error), do="see [sandbox] in swarm.toml"))
        return {"sandbox": "not usable"}
    holds = [name for name, held in sandbox.guarantees.items() if held]
    lacks = [name for name, held in sandbox.guarantees.items() if not held]
    if sandbox.name == "none":
        what = "there is none: agents and gates run with your own rights"
        problems.append(
            Problem(where="sandbox", what=what, do="install bubblewrap (Linux), or use WSL2 (Windows)", level="warning")
        )
    return {
        "sandbox": f"{sandbox.name}: guarantees {', '.join(holds) or 'nothing'}"
        + (f"; not {', '.join(lacks)}" if lacks else "")
    }
