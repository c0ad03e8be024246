"""Other runners of commands, installed on demand into an environment of their own, with the same twenty no-ops each."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import platformdirs

INSTALL_S = 300.0


@dataclass(frozen=True)
class Peer:
    """package: on the Python package index; "" for what the system has or has not. files: what it reads."""

    name: str
    package: str
    words: Sequence[str]
    files: Mapping[str, str]


def peers(count: int, script: str) -> list[Peer]:
    """Each runs `script` `count` times, one after the other, as separate entries where it has such."""
    numbers = range(1, count + 1)
    names = " ".join(f"noop{number}" for number in numbers)
    recipes = "\n".join(f"noop{number}:\n\t@{script}\n" for number in numbers)
    sessions = "\n".join(
        f"@nox.session(python=False)\ndef noop{number}(session):\n    session.run({script!r}, external=True)\n"
        for number in numbers
    )
    commands = "".join(f"    {script}\n" for _ in numbers)
    hooks = "".join(
        f"  - {{id: noop{number}, name: noop{number}, language: system, entry: {script}, always_run: true, "
        "pass_filenames: false}\n"
        for number in numbers
    )
    local = {".pre-commit-config.yaml": f"repos:\n- repo: local\n  hooks:\n{hooks}"}
    tox = (
        f"[tox]\nenv_list = noop\n[testenv:noop]\nskip_install = true\nallowlist_externals = *\ncommands =\n{commands}"
    )
    return [
        Peer("make", "", ("make", "-s", "all"), {"Makefile": f"all: {names}\n{recipes}.PHONY: all {names}\n"}),
        Peer("just", "rust-just", ("just", "-q", "all"), {"justfile": f"all: {names}\n{recipes}"}),
        Peer("prek", "prek", ("prek", "run", "--all-files"), local),
        Peer("nox", "nox", ("nox", "-s", *names.split()), {"noxfile.py": f"import nox\n{sessions}"}),
        Peer("pre-commit", "pre-commit", ("pre-commit", "run", "--all-files"), local),
        Peer("tox, one environment", "tox", ("tox", "-q"), {"tox.ini": tox}),
    ]


def installed(peer: Peer, *, install: bool) -> str | None:
    """The peer's program, installed first if that is allowed; None when it is not there."""
    if not peer.package:
        return shutil.which(peer.words[0])
    place = Path(platformdirs.user_cache_dir("swarm-bench")) / "peers"
    folder = place / ("Scripts" if sys.platform == "win32" else "bin")
    found = shutil.which(peer.words[0], path=str(folder))
    if found is not None or not install:
        return found
    python = folder / ("python.exe" if sys.platform == "win32" else "python")
    commands = [] if python.exists() else [[sys.executable, "-m", "venv", str(place)]]
    commands.append([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", peer.package])
    for words in commands:
        try:
            done = subprocess.run(words, capture_output=True, timeout=INSTALL_S, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return None
        if done.returncode != 0:
            return None
    return shutil.which(peer.words[0], path=str(folder))
