"""`swarm record`: a night as a repository and scripts, so that it can be played again without any model.

`OUT/repo` is the user's repository as it was when the first run of the night began, with the orders of that night on
its roadmap and the `script` agent in every role; `OUT/scripts` has what the agents did (`swarm_tui.recorded_actions`).
This is how the demo lies on disk too.
"""

from __future__ import annotations

import base64
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from engine.artifacts import ArtifactStore
from engine.errors import UserError
from engine.git.door import Git, UserGit
from engine.git.hub import Hub
from engine.git.stores import fetch
from engine.loading import ROADMAP_FILE, SETTINGS_FILE, parse_settings, read_roadmap
from engine.models.roadmap import Item, Roadmap, WorkOrder
from engine.models.settings import RoleName, Settings
from engine.text.known import known_secrets
from engine.text.redact import Redactor
from engine.text.sanitise import sanitise_line
from roles.agents.script_format import parse_script
from roles.agents.script_writer import Step, script_text, toml_of
from swarm_tui.place import find_place
from swarm_tui.recorded_actions import Actions, Recorder, actions_of
from swarm_tui.room.recording import JournalRecording, Night, nights_of

REPO, SCRIPTS = "repo", "scripts"
AGENT = "recorded"
FASTEST = 1_000.0
LEAST_IDLE_S = 4.0
MESSAGE = "Play a recorded night"
NAME, MAIL = "swarm record", "record@swarm.invalid"
SHOWN = 10


@dataclass(frozen=True)
class Recorded:
    """What was written, and to where. changed: whether the repository needed a commit to be played."""

    folder: Path
    night: int
    actions: Actions
    changed: bool

    def lines(self) -> list[str]:
        """For people: what there is, what is not, how it is played."""
        scripts, repo = self.folder / SCRIPTS, self.folder / REPO
        count, attempts = len(self.actions.scripts), sum(len(each) for each in self.actions.scripts.values())
        on_top = ", and one commit on top that sets the scripts to work" if self.changed else ""
        said = [
            f"night {self.night}: {attempts} attempts of {count} work orders, as scripts in {scripts}",
            f"the repository as it was before, at {self.actions.start[:10]}, in {repo}{on_top}",
        ]
        left = self.actions.left_out
        said += [f"left out: {sanitise_line(each)}" for each in left[:SHOWN]]
        said += [f"and {len(left) - SHOWN} more"] if len(left) > SHOWN else []
        return [*said, f"play it: cd {repo}; swarm --no-ui --until idle --state ../state"]


def run_record(repo: Path | None, state: Path | None, night: str, out: Path, *, speed: float) -> int:
    """Record a night and say what was recorded; the exit code. `night`: "" (the newest) or its number. Raises
    UserError."""
    for line in record(repo, state, night, out, speed=speed).lines():
        sys.stdout.write(f"{line}\n")
    return 0


def record(repo: Path | None, state: Path | None, night: str, out: Path, *, speed: float = 1.0) -> Recorded:
    """Write `out/repo` and `out/scripts`. An engine may be running. Raises UserError: no such night, nothing in it, or
    a folder that is in use."""
    if not 1 <= speed <= FASTEST:
        raise UserError(f"--speed takes 1 to {FASTEST:g}, not {speed:g}")
    if night and not (night.isascii() and night.isdecimal()):
        raise UserError(f"{sanitise_line(night)} is no number of a night: `swarm replay --list` lists them")
    out = out.resolve()
    for path in (out / REPO, out / SCRIPTS):
        if path.exists():
            raise UserError(f"{path} is already there: name another folder with --out, or delete it")
    place = find_place(repo, state)
    hub = Hub(place.folders.root)
    recording = JournalRecording(place.folders)
    try:
        told = _night(nights_of(recording), int(night) if night else None)
        settings = _settings(place.repository.root)
        limits = settings.limits
        idle_s = max(min(limits.run_idle, LEAST_IDLE_S), limits.run_idle / speed)
        recorder = Recorder(hub, ArtifactStore(place.folders.artifacts), speed, limits, idle_s)
        actions = actions_of(recorder, recording.events(0), told.first, told.last)
    finally:
        recording.close()
    if not actions.scripts:
        raise UserError(f"no agent ended a run in night {told.number}, so there is nothing to record")
    _write_scripts(out / SCRIPTS, actions, told, settings)
    changed = _write_repository(out / REPO, hub, actions, settings, idle_s)
    return Recorded(out, told.number, actions, changed)


def _night(nights: Sequence[Night], number: int | None) -> Night:
    if not nights:
        raise UserError("nothing is recorded yet: start the engine once with `swarm`")
    if number is not None and not 1 <= number <= len(nights):
        raise UserError(f"there is no night {number}: `swarm replay --list` lists the {len(nights)} there are")
    return nights[-1 if number is None else number - 1]


def _settings(root: Path) -> Settings:
    try:
        return parse_settings((root / SETTINGS_FILE).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{root / SETTINGS_FILE} cannot be read: mend that and record again") from error


# -- scripts -----------------------------------------------------------------------------------------------------------


def _write_scripts(folder: Path, actions: Actions, night: Night, settings: Settings) -> None:
    secrets = known_secrets(settings.agents, os.environ)
    redactor = Redactor(secrets)
    folder.mkdir(parents=True)
    at = time.strftime("%Y-%m-%d", time.gmtime(night.start))
    for order, attempts in actions.scripts.items():
        head = f"What was done for {order} in the night of {at}, kept by `swarm record`."
        text = script_text(attempts, head)
        bare = [[_bare(step, redactor) for step in steps] for steps in attempts]
        if bare != attempts or redactor.known_in(text):
            text = redactor.redact(script_text(bare, head))
            actions.left_out.append(f"{order}: a secret of yours, which an agent wrote down")
        parse_script(text, f"{order}.toml")
        (folder / f"{order}.toml").write_text(text, encoding="utf-8", newline="\n")


def _bare(step: Step, redactor: Redactor) -> Step:
    """The step without secrets in what is no text: in the script a piece of it would leave no base64."""
    packed = step["edit"].get("base64") if "edit" in step else None
    data = base64.b64decode(packed) if packed else b""
    if not redactor.known_in(data.decode("utf-8", "surrogateescape")):
        return step
    return {"edit": {**step["edit"], "base64": base64.b64encode(redactor.redact_bytes(data)).decode("ascii")}}


# -- the repository ----------------------------------------------------------------------------------------------------


def _write_repository(repo: Path, hub: Hub, actions: Actions, settings: Settings, idle_s: float) -> bool:
    """Main as it was, and what is needed to play on it; whether that took a commit."""
    repo.mkdir(parents=True)
    user = UserGit(repo)
    object_format = hub.git.run("rev-parse", "--show-object-format").line
    user.run("init", "-q", f"--object-format={object_format}", "--initial-branch=main", "--template=")
    # Nothing may turn line ends on the way in or out.
    user.run("config", "core.autocrlf", "false")
    git = Git(repo / ".git", index=repo / ".git" / "index", work_tree=repo)
    fetch(git, hub.path, actions.start)
    git.run("update-ref", "refs/heads/main", actions.start, "")
    git.run("read-tree", "-m", "-u", actions.start)
    texts = {SETTINGS_FILE: _played_settings(repo, settings, idle_s), ROADMAP_FILE: _played_roadmap(repo, actions)}
    changed = {name: text for name, text in texts.items() if text is not None}
    for name, text in changed.items():
        (repo / name).write_text(text, encoding="utf-8", newline="\n")
    if changed:
        person = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in _IDENTITY.items()}
        # Of a file that the repository ignores the engine reads the working copy.
        ignored = user.run("check-ignore", "--no-index", "--", *changed, ok=(0, 1)).line
        tracked = [name for name in changed if name not in ignored.splitlines()]
        user.run("add", "--", *tracked)
        user.run("commit", "-q", "--no-verify", "--no-gpg-sign", "--allow-empty", "-m", MESSAGE, env=person)
    return bool(changed)


_IDENTITY = {"NAME": NAME, "EMAIL": MAIL}


def _played_settings(repo: Path, settings: Settings, idle_s: float) -> str | None:
    """swarm.toml with scripted agents and nothing outside of the folder; None: it is so already."""
    import tomlkit

    path = repo / SETTINGS_FILE
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    was = parse_settings(text)
    played = {was.agents[name].scripts for name in was.roles.values() if name in was.agents}
    inside = was.project.publish in ("none", "local") and was.merge.land_via == "push"
    if was.roles and played == {f"../{SCRIPTS}"} and inside and was.limits.run_idle == idle_s:
        return None
    document = cast("dict[str, Any]", tomlkit.parse(text))
    roles = sorted({*was.roles, *settings.roles, cast("RoleName", "implementer")})
    document["roles"] = dict.fromkeys(roles, AGENT)
    document["agents"] = {AGENT: {"kind": "script", "scripts": f"../{SCRIPTS}"}}
    document.pop("providers", None)  # of agents that are not asked
    document.setdefault("limits", {})["run_idle"] = f"{idle_s:g}s"
    if not inside:
        document.setdefault("project", {})["publish"] = "local"
        document.setdefault("merge", {})["land_via"] = "push"
    return tomlkit.dumps(cast("Any", document))


def _played_roadmap(repo: Path, actions: Actions) -> str | None:
    """roadmap.toml with the orders of the night; those that nobody worked on are drafts. None: it has them already."""
    path = repo / ROADMAP_FILE
    there = read_roadmap(path.read_text(encoding="utf-8")).value if path.is_file() else None
    names = {order.id for order in actions.orders}
    orders = [
        order.model_copy(
            update={
                "depends_on": [each for each in order.depends_on if each in names],
                "draft": order.draft or order.id not in actions.scripts,
            }
        )
        for order in actions.orders
    ]
    known = {order.id: order for order in there.work_order} if there is not None else {}
    if known == {order.id: order for order in orders}:
        return None
    return _roadmap_text(orders, actions.items, there)


def _roadmap_text(orders: Sequence[WorkOrder], items: Mapping[str, Item], there: Roadmap | None) -> str:
    parts = ['schema = "roadmap/1"\n']
    rows: list[tuple[str, dict[str, Any]]] = []
    for name in dict.fromkeys(order.item for order in orders if order.item):
        known = items.get(name, Item(id=name, title=name))
        rows.append(("item", known.model_dump()))
    rows += [("limitation", each.model_dump()) for each in (there.limitation if there is not None else [])]
    rows += [("work_order", order.model_dump(mode="json", exclude_defaults=True)) for order in orders]
    for name, fields in rows:
        parts.append(f"\n[[{name}]]\n")
        parts += [f"{key} = {toml_of(value)}\n" for key, value in fields.items() if value is not None]
    return "".join(parts)
