"""`swarm check`: what is wrong, weak or missing, before a night depends on it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from engine.egress.way_out import enforces_hosts
from engine.errors import SwarmError, UserError
from engine.executors.limits import probe_limits
from engine.git.door import find_git, git_version
from engine.loading import FLOWS_FOLDER, ROADMAP_FILE, SETTINGS_FILE, Problem, read_roadmap, read_settings
from engine.models.roadmap import WorkOrder
from engine.models.settings import Settings
from engine.ports import Sandbox
from engine.process.environment import allowed_environment
from engine.process.programs import Programs
from engine.sandbox.choose import choose_sandbox
from engine.sandbox.meanings import UNTESTED, described, promises
from engine.text.sanitise import sanitise_line
from swarm_tui.checking_remote import remote_problems
from swarm_tui.place import Place, find_place
from swarm_tui.shaking_hands import Handshakes, shake_hands
from swarm_tui.wanted import missing_programs, needed_agents, wanted_programs


def check_repository(repo: Path | None, state: Path | None, *, as_json: bool) -> int:
    """Print what was found. Exit 0 when nothing is an error."""
    place = find_place(repo, state)
    problems: list[Problem] = []
    sandbox: Sandbox | None = None
    settings, orders = _files(place, problems)
    facts = {"git": f"{find_git()} {'.'.join(map(str, git_version()))}", "state": str(place.folders.root)}
    if settings is not None:
        problems += _gates(settings, place) + _orders(orders) + _programs(settings) + _agents(settings, place)
        problems += _committed(place, settings, orders) + remote_problems(settings, place)
        sandbox = _sandbox(settings, place, problems)
        facts["sandbox"] = sandbox.name if sandbox is not None else "not usable"
        facts |= _gitleaks(settings, place, problems)
    hands = Handshakes()
    if settings is not None and sandbox is not None:
        hands = shake_hands(settings, place.folders, place.repository.root, sandbox)
        named = {problem.where for problem in problems}
        problems += [problem for problem in hands.problems(settings) if problem.where not in named]
    ok = not any(problem.level == "error" for problem in problems)
    if as_json:
        said: dict[str, object] = {"ok": ok, "problems": [p.model_dump(mode="json") for p in problems], "facts": facts}
        if sandbox is not None:
            said["sandbox"] = described(sandbox)
            said["agents"] = hands.as_json()
        sys.stdout.write(json.dumps(said, indent=2) + "\n")
        return 0 if ok else 1
    for name, value in facts.items():
        sys.stdout.write(f"{name:<10}{sanitise_line(value)}\n")
    for line in _sandbox_lines(sandbox) if sandbox is not None else ():
        sys.stdout.write(f"{sanitise_line(line)}\n")
    if hands.agents:
        sys.stdout.write("\n".join(("agents", *map(sanitise_line, hands.lines()))) + "\n")
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


def _gates(settings: Settings, place: Place) -> list[Problem]:
    """Which gates are weak, and why."""
    from engine.git.door import UserGit
    from gates.definitions import problems as wrong_with
    from gates.strength import gate_weakness, inputs_weaknesses

    found: list[Problem] = []
    if any(gate.inputs for gate in settings.gate):
        listed = UserGit(place.repository.root).run("ls-files", "-z").stdout.decode("utf-8", "surrogateescape")
        paths = [path for path in listed.split("\0") if path]
        found += [problem for gate in settings.gate for problem in inputs_weaknesses(gate, paths)]
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
    """An error for a gate, and for an agent that some role needs."""
    found: list[Problem] = []
    idle = {f"agent {name}" for name in settings.agents} - {f"agent {name}" for name in needed_agents(settings)}
    for whose, error in missing_programs(settings, list(settings.agents)):
        what, _, do = str(error).rpartition(": ")
        found.append(Problem(where=whose, what=what or do, do=do, level="warning" if whose in idle else "error"))
    return found


def _gitleaks(settings: Settings, place: Place, problems: list[Problem]) -> dict[str, str]:
    """Its version, where it is installed and looks for secrets beside our own guard."""
    from gates.guards.gitleaks import EXCEPTIONS, PROGRAM, SETTINGS, GitleaksFault, installed_gitleaks

    def text(name: str) -> bytes | None:
        path = place.repository.root / name
        return path.read_bytes() if path.is_file() else None

    gitleaks = installed_gitleaks(Programs(allowed_environment({}).values.get("PATH", "")))
    if gitleaks is None or not settings.guards.secrets:
        return {}
    try:
        gitleaks.find({"a.txt": b"nothing\n"}, text(SETTINGS), text(EXCEPTIONS))
        return {PROGRAM: f"{gitleaks.version()}, beside the guard secrets"}
    except (GitleaksFault, OSError) as fault:
        do = "no change lands like this: mend it, install a newer one, or take it off the PATH"
        problems.append(Problem(where=PROGRAM, what=str(fault), do=do))
        return {PROGRAM: "does not work"}


def _agents(settings: Settings, place: Place) -> list[Problem]:
    found: list[Problem] = []
    for name, agent in settings.agents.items():
        where = f"agent {name}"
        try:
            allowed_environment(agent.env)
        except UserError as error:
            found.append(Problem(where=where, what=str(error), do="mend its env"))
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


def _sandbox(settings: Settings, place: Place, problems: list[Problem]) -> Sandbox | None:
    """The sandbox that agents and gates get; None when it is not enough for the settings."""
    try:
        place.folders.create()
        sandbox = choose_sandbox(settings.sandbox, place.folders.root, limits=probe_limits)
    except SwarmError as error:
        problems.append(Problem(where="sandbox", what=str(error), do="see [sandbox] in swarm.toml"))
        return None
    reason = sandbox.reason
    better = "install bubblewrap (Linux), or use WSL2 (Windows)"
    if sandbox.name == "none":
        what = f"there is none ({reason}): agents and gates run with your own rights"
        problems.append(Problem(where="sandbox", what=what, do=better, level="warning"))
    elif reason:
        what = f"{reason}, so it is {sandbox.name}, which holds less"
        problems.append(Problem(where="sandbox", what=what, do=better, level="warning"))
    if UNTESTED in sandbox.weak:
        what = f"{sandbox.name} is {UNTESTED}: what it holds is what the probe has just seen"
        problems.append(
            Problem(where="sandbox", what=what, do="use Linux or WSL2 for what you do not trust", level="warning")
        )
    if not enforces_hosts(sandbox):
        for name, agent in settings.agents.items():
            if agent.network:
                what = f"its network is open or shut as a whole: the sandbox {sandbox.name!r} cannot tell hosts apart"
                problems.append(Problem(where=f"agent {name}", what=what, do=better, level="warning"))
    return sandbox


def _sandbox_lines(sandbox: Sandbox) -> list[str]:
    """What it holds and what it does not, a line each."""
    lines = [
        f"  {'✔' if held else '✘'} {name:<11}{'' if held else 'not held: '}{meaning}"
        for name, held, meaning in promises(sandbox)
    ]
    return lines + [f"  ! {sentence}" for sentence in sandbox.weak]
