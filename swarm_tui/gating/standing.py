"""An answer that stands: green gates whose every condition is as it was need nothing but to be said again.

Like a compiler cache's manifest, the note of an answer lists what to look at, and the answer holds while all of that
looks the same. It lies beside the other notes on reusable results, and an HMAC whose key lies with the signing keys,
outside of every sandbox, keeps others from writing one. Nothing but the standard library and a few small modules is
loaded here: loading what runs gates takes longer than the whole answer.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from engine.errors import SwarmError
from engine.folders import StateFolder, state_folder_for
from engine.git.door import UserGit
from engine.git.user_repository import root_of
from engine.process.environment import absolute_entries, allowed_environment
from swarm_tui.gating import words
from swarm_tui.gating.asked import Asked
from swarm_tui.gating.dirt import dirt

if TYPE_CHECKING:
    from engine.models.settings import Gate
    from engine.process.programs import Programs

_VERSION = 1
_RUST = frozenset({"cargo", "rustc", "rustdoc", "rustfmt", "cargo-fmt", "cargo-clippy", "clippy-driver"})
_MANAGED_BY = ("HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "CARGO_HOME", "PYENV_ROOT", "PYENV_VERSION", "PYENV_DIR")
_FILES = ("swarm.toml", "roadmap.toml")
_CODE = ("engine", "gates", "swarm_tui/gating")


@dataclass(frozen=True)
class Recipe:
    """What the answer depends on besides the machine: two revisions as they were asked for, the programs of its gates
    (name -> what it was resolved to), the file that may come to name a report about the base ("": there is one), and
    the variables that gates take from the person's environment."""

    revision: str
    base: str
    programs: Mapping[str, str]
    base_note: str = ""
    variables: Sequence[str] = ()


def recipe_for(
    asked: Asked, main: str, gates: Sequence[Gate], programs: Programs, base_note: str = ""
) -> Recipe | None:
    """None: it cannot be told without asking a program which program it would run. Blocking."""
    found: dict[str, str] = {}
    for gate in gates:
        if gate.flow:
            return None
        try:
            found[gate.run[0]] = str(programs.resolve(gate.run[0]).path)
        except SwarmError:
            return None
    if not all(_is_plain(name, path) for name, path in found.items()):
        return None
    variables = sorted({value[1:] for gate in gates for value in gate.env.values() if value.startswith("$")})
    return Recipe(asked.revision or "HEAD", asked.base or main, found, base_note, variables)


def look(recipe: Recipe, root: Path, folders: StateFolder) -> dict[str, Any]:
    """All that the answer depends on, as it is now. Raises GitError when a revision is not there. Blocking."""
    asked = ("--verify", "--quiet", "--end-of-options")
    git = UserGit(root)
    commits = [git.run("rev-parse", *asked, f"{rev}^{{commit}}").line for rev in (recipe.revision, recipe.base)]
    names = {*_FILES, *(f"canary/{path.name}" for path in sorted((root / "canary").glob("*.toml")))}
    variables = (*recipe.variables, *_MANAGED_BY)
    journal = folders.journal
    return {
        "commits": commits,
        "files": {name: _content(root / name) for name in sorted(names)},
        "environment": allowed_environment({}).values | {f"${name}": os.environ.get(name) for name in variables},
        "programs": {name: [*map(_stat, _files_of(name, path))] for name, path in recipe.programs.items()},
        "managers": {str(path): [_content(path), *_stat(path)] for path in _managers()},
        "machine": [sys.version, *_machine(), *map(_stat, _on_path("bwrap"))],
        "state": [
            _stat(folders.root / "sandbox.json"),
            _stat(recipe.base_note),
            *map(_stat, (journal, journal.with_name(f"{journal.name}-wal"))),
        ],
        "key": _stat(folders.keys / "public.pem"),
        "code": _code(),
    }


def is_unchanged(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two looks saw the same. The first report of a state folder has its key made, which changes nothing."""
    made = len(before["key"]) == 1
    return {**before, "key": after["key"]} == after if made else before == after


def remember(
    asked: Asked, recipe: Recipe, facts: Mapping[str, Any], said: Mapping[str, Any], place: StateFolder
) -> None:
    """Note a green answer and the facts under which it holds. A disk that cannot take the note is no reason to fail."""
    gates = [{**gate, "cached": True, "duration_s": 0.0} for gate in said["gates"]]
    fields = {name: value for name, value in said.items() if name != "explained"} | {"gates": gates}
    with contextlib.suppress(OSError):
        key = _key(place, make=True)
        note = {"recipe": vars(recipe), "facts": _mac(key, facts), "said": fields}
        path = _path(place, asked)
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        fresh.write_text(json.dumps({"note": note, "mac": _mac(key, note)}), encoding="utf-8")
        fresh.replace(path)


def answer(asked: Asked) -> int | None:
    """Say the answer that stands, and give the exit code; None: there is none, and the gates have to be looked at."""
    root = root_of((asked.repo or Path.cwd()).resolve())
    folders = state_folder_for(root, asked.state)
    hints: list[str] = []
    looking = threading.Thread(target=_look_for_dirt, args=(root, hints), daemon=True)
    if not asked.revision:
        looking.start()
    said = _standing(asked, root, folders)
    if said is None:
        return None
    if not asked.revision:
        looking.join()
    for hint in hints:
        sys.stderr.write(f"{hint}\n")
    if asked.as_json:
        sys.stdout.write(json.dumps(said, indent=2) + "\n")
        return 0
    width = words.width_of([str(gate["name"]) for gate in said["gates"]])
    lines = [*(words.finished_row(gate, width) for gate in said["gates"]), "", *words.verdict(said)]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0


def _standing(asked: Asked, root: Path, folders: StateFolder) -> dict[str, Any] | None:
    try:
        key = _key(folders)
        written = cast("dict[str, Any]", json.loads(_path(folders, asked).read_text(encoding="utf-8")))
        note = cast("dict[str, Any]", written["note"])
        if not hmac.compare_digest(str(written["mac"]), _mac(key, note)):
            return None
        if not hmac.compare_digest(str(note["facts"]), _mac(key, look(Recipe(**note["recipe"]), root, folders))):
            return None
        said = cast("dict[str, Any]", note["said"])
        report = Path(said["report"]).read_bytes()
    except (OSError, ValueError, KeyError, TypeError, SwarmError):
        return None
    return said if f"sha256:{hashlib.sha256(report).hexdigest()}" == said["digest"] else None


def _look_for_dirt(root: Path, hints: list[str]) -> None:
    with contextlib.suppress(SwarmError):
        if hint := dirt(root):
            hints.append(hint)


# ---- the note


def _path(folders: StateFolder, asked: Asked) -> Path:
    said = json.dumps([_VERSION, asked.revision or "HEAD", asked.base, sorted(asked.gates)])
    return folders.root / "gate-cache" / "standing" / f"{hashlib.sha256(said.encode()).hexdigest()[:32]}.json"


def _key(folders: StateFolder, *, make: bool = False) -> bytes:
    path = folders.keys / "standing.key"
    if make and not path.exists():
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        with contextlib.suppress(FileExistsError), os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(secrets.token_bytes(32))
    key = path.read_bytes()
    if len(key) != 32:
        raise ValueError("not a key")
    return key


def _mac(key: bytes, data: Any) -> str:
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hmac.new(key, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


# ---- the facts


def _is_plain(name: str, resolved: str) -> bool:
    """Whether what can be looked at says which file is run: PATH, or the settings of rustup or pyenv."""
    if not Path(resolved).is_absolute() or Path(name).is_absolute() or name in _RUST:
        return True
    hits = list(_on_path(name))
    if not hits:
        return resolved == sys.executable
    if (root := _pyenv(hits[0])) is not None and resolved.startswith(str(root / "versions")):
        return True
    return os.path.realpath(resolved) in {os.path.realpath(hit) for hit in hits}


def _pyenv(hit: str) -> Path | None:
    """The root of the pyenv whose shim this is. It is asked from the top folder, so no tree's files have a say."""
    shims = Path(hit).parent
    return shims.parent if shims.name == "shims" and (shims.parent / "versions").is_dir() else None


def _managers() -> Iterator[Path]:
    """Where the version managers keep what they choose."""
    yield Path(os.environ.get("RUSTUP_HOME", "") or Path.home() / ".rustup") / "settings.toml"
    yield Path(Path.home().anchor) / ".python-version"
    for root in dict.fromkeys(_pyenv(hit) for name in ("python", "python3") for hit in _on_path(name)):
        yield from () if root is None else (root / "version", root / "plugins")


def _on_path(name: str) -> Iterator[str]:
    endings = ("", *os.environ.get("PATHEXT", "").lower().split(";")) if sys.platform == "win32" else ("",)
    for folder in absolute_entries(os.environ.get("PATH", "")).split(os.pathsep):
        for ending in endings:
            path = os.path.join(folder, name + ending)  # noqa: PTH118  (hundreds of them)
            if os.path.isfile(path):  # noqa: PTH113
                yield path


def _files_of(name: str, resolved: str) -> Iterator[str | Path]:
    """The files and folders that say what a program is: as `gates.toolchain` counts them."""
    if not Path(resolved).is_absolute():
        return  # a program of the tree
    yield from () if Path(name).is_absolute() else _on_path(name)
    if name in _RUST:
        yield from _on_path("rustc")
    yield resolved
    yield os.path.realpath(resolved)
    home = Path(resolved).parent.parent
    yield home / "pyvenv.cfg"
    yield from sorted([*home.glob("lib/python3*/site-packages"), *home.glob("Lib/site-packages")])


def _stat(path: str | Path) -> list[Any]:
    try:
        state = Path(path).stat()
    except OSError:
        return [str(path)]
    return [str(path), state.st_size, state.st_mtime_ns, state.st_ino]


def _content(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""


def _machine() -> list[str]:
    if sys.platform == "win32":
        return [sys.platform]
    boot = Path("/proc/sys/kernel/random/boot_id")
    return [*os.uname(), str(os.getuid()), boot.read_text(encoding="ascii") if boot.exists() else ""]


def _code() -> str:
    """Our own code: another version may judge otherwise."""
    top = Path(__file__).resolve().parents[2]
    seen = hashlib.sha256()
    for part in _CODE:
        for folder, inner, files in os.walk(top / part):
            inner[:] = sorted(name for name in inner if name != "__pycache__")
            for name in sorted(files):
                seen.update(repr(_stat(os.path.join(folder, name))).encode())  # noqa: PTH118
    return seen.hexdigest()
