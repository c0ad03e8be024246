"""Makes the demo's repository: tinykit, its gates and flows, its roadmap, and the scripts of its agents.

The same seed makes the same commit and the same scripts. The seed changes how long agents take, never what they do.
Where there are no pseudo-terminals, the flow that needs one is left out: it could only blame the machine.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from engine.errors import UserError
from engine.process.environment import allowed_environment

REPOSITORY = Path(__file__).with_name("repository")
SCRIPTS = Path(__file__).with_name("scripts")
IGNORED = "__pycache__/\n*.pyc\n"
PERSON = "Ada Tiny"
ADDRESS = "ada@tinykit.example"
COMMIT_DATE = "2025-01-06T09:00:00+00:00"
SHORTEST, LONGEST = 0.7, 1.3
"""How far the seed may stretch a sleep."""
HAS_TERMINALS = sys.platform != "win32"
TERMINAL_FLOW = "canary/terminal.toml"
NO_TERMINALS = "This system has no pseudo-terminal, so the flow that presses keys is left out."
_SLEEP = re.compile(r'^sleep = "(\d+)ms"$', re.MULTILINE)


def build_demo(folder: Path, seed: int = 0) -> Path:
    """Make `folder/repo` (one clean commit on main) and `folder/scripts`; the repository's path.

    Raises UserError when `folder` already holds a demo or git is missing or refuses.
    """
    repo, scripts = folder / "repo", folder / "scripts"
    for path in (repo, scripts):
        if path.exists():
            raise UserError(f"{path} is already there: name an empty folder with --dir, or delete it.")
    _copy_text(REPOSITORY, repo)
    (repo / ".gitignore").write_bytes(IGNORED.encode("utf-8"))
    if not HAS_TERMINALS:
        (repo / TERMINAL_FLOW).unlink()
        with (repo / "README.md").open("ab") as readme:
            readme.write(f"\n{NO_TERMINALS}\n".encode())
    _commit(repo)
    _copy_text(SCRIPTS, scripts)
    for script in sorted(scripts.glob("*.toml")):
        paced = _paced(script.read_bytes().decode("utf-8"), random.Random(f"{seed}:{script.name}"))
        script.write_bytes(paced.encode("utf-8"))
    return repo


def _copy_text(source: Path, target: Path) -> None:
    """Copy a folder of text files with plain line feeds, whatever an installer or a checkout made of them."""
    for path in _files(source):
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes().replace(b"\r\n", b"\n"))


def _files(folder: Path) -> Iterator[Path]:
    """All files below, in order. Installers compile what looks like a program: what they leave is not ours."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            yield path


def _paced(script: str, chance: random.Random) -> str:
    """The script with each sleep a little shorter or longer."""

    def stretched(found: re.Match[str]) -> str:
        return f'sleep = "{round(int(found[1]) * chance.uniform(SHORTEST, LONGEST))}ms"'

    return _SLEEP.sub(stretched, script)


def _commit(repo: Path) -> None:
    _git(repo, "init", "-q", "-b", "main", "--template=")
    # Nothing may turn line ends on the way in or out: the goldens are compared byte by byte.
    _git(repo, "config", "core.autocrlf", "false")
    _git(repo, "add", "-A", "--", ".")
    _git(repo, "commit", "-q", "--no-gpg-sign", "--no-verify", "-m", "tinykit: a view host, a layout and a compositor")


def _git(repo: Path, *arguments: str) -> None:
    program = shutil.which("git")
    if program is None:
        raise UserError("the demo needs git: install it and see that it is on PATH.")
    person = {f"GIT_{role}_{what}": value for role in ("AUTHOR", "COMMITTER") for what, value in _identity()}
    # The system's and the user's settings stay out: they could sign, template, or rewrite line ends.
    closed = {
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
    }
    done = subprocess.run(
        [program, *arguments],
        cwd=repo,
        env=allowed_environment({"HOME": str(repo), **closed, **person}).values,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", errors="replace").strip()[:300]
        raise UserError(f"git {arguments[0]} failed in {repo} ({words}): the demo needs git 2.38 or newer.")


def _identity() -> tuple[tuple[str, str], ...]:
    return (("NAME", PERSON), ("EMAIL", ADDRESS), ("DATE", COMMIT_DATE))
