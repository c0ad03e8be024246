"""`swarm check`: what is wrong, weak or missing, before a night depends on it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from engine.errors import SwarmError, UserError
from engine.git.door import find_git, git_version
from engine.loading import FLOWS_FOLDER, ROADMAP_FILE, SETTINGS_FILE, Problem, read_roadmap, read_settings
from engine.models.settings import Settings
from engine.process.environment import allowed_environment
from engine.process.programs import ProgramMissing, Programs
from engine.sandbox.choose import choose_sandbox
from engine.text.sanitise import sanitise_line
from swarm_tui.place import Place, find_place


def check_repository(repo: Path | None, state: Path | None, *, as_json: bool) -> int:
    """Print what was found. Exit 0 when nothing is an error."""
    place = find_place(repo, state)
    problems: list[Problem] = []
    settings = _files(place, problems)
    facts = {"git": f"{find_git()} {'.'.join(map(str, git_version()))}", "state": str(place.folders.root)}
    if settings is not None:
        problems += _gates(settings) + _agents(settings, place) + _committed(place)
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
    sys.stdout.write("all is well\n" if not problems else f"{len(problems)} problem(s)\n")
    return 0 if ok else 1


def _files(place: Place, problems: list[Problem]) -> Settings | None:
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
    if ROADMAP_FILE in texts:
        problems += read_roadmap(texts[ROADMAP_FILE], ROADMAP_FILE, settings).problems
    return settings


def _programs() -> Programs:
    return Programs(allowed_environment({}).values.get("PATH", ""))


def _gates(settings: Settings) -> list[Problem]:
    from gates.definitions import problems as weaknesses

    found: list[Problem] = []
    programs = _programs()
    for gate in settings.gate:
        found += weaknesses(gate)
        if gate.run:
            try:
                programs.resolve(gate.run[0])
            except (ProgramMissing, UserError) as error:
                found.append(Problem(where=f"gate {gate.name}", what=str(error), do="install it, or mend run"))
    return found


def _agents(settings: Settings, place: Place) -> list[Problem]:
    found: list[Problem] = []
    programs = _programs()
    for agent_name, agent in settings.agents.items():
        where = f"agents.{agent_name}"
        try:
            if agent.kind == "command":
                programs.resolve(agent.run[0])
            allowed_environment(agent.env)
        except (ProgramMissing, UserError) as error:
            found.append(Problem(where=where, what=str(error), do="install it, or mend its settings"))
        if agent.kind in ("acp", "model"):
            found.append(
                Problem(
                    where=where,
                    what=f"agents of kind {agent.kind} come with a later version",
                    do='use kind = "command" for now',
                )
            )
        if agent.kind == "script" and not (place.repository.root / agent.scripts).is_dir():
            found.append(Problem(where=where, what=f"there is no folder {agent.scripts}", do="mend scripts"))
    return found


def _committed(place: Place) -> list[Problem]:
    from engine.git.door import UserGit

    listed = UserGit(place.repository.root).run("ls-files", "--", SETTINGS_FILE, ok=(0, 1)).stdout
    if listed.strip():
        return []
    what = "it is not committed, so the gates of the working copy count until it is"
    return [
        Problem(
            where=SETTINGS_FILE, what=what, do=f"git add {SETTINGS_FILE} {ROADMAP_FILE} and commit", level="warning"
        )
    ]


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
