"""The quick way of `swarm status` and the room: it takes what is plainly written, and leaves the rest to the parser."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from swarm_tui.cli import Plain, plainly


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        ("status", Plain("status")),
        ("status --json", Plain("status", flag=True)),
        ("status --repo r --state=s", Plain("status", Path("r"), Path("s"))),
        ("status --repo a --repo b", Plain("status", Path("b"))),
        ("", Plain("")),
        ("--read-only --repo=r", Plain("", Path("r"), flag=True)),
        ("--json", None),
        ("status --read-only", None),
        ("--no-ui", None),
        ("where", None),
        ("--repo r status", None),
        ("status --help", None),
        ("status --nope", None),
        ("status --repo", None),
        ("status --repo=", None),
        ("status --repo --json", None),
        ("status more", None),
    ],
)
def test_only_what_is_plainly_written_is_taken(words: str, meant: Plain | None) -> None:
    assert plainly(words.split()) == meant


@pytest.mark.parametrize("words", [("status", "--repo"), ("--log=", "status", "--repo")])
def test_both_ways_say_mistakes_in_the_same_manner(words: tuple[str, ...], tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "swarm_tui.cli", *words, str(tmp_path / "nowhere")]
    done = subprocess.run(argv, env=os.environ, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 2
    assert done.stderr == f"swarm: {tmp_path / 'nowhere'} is not a folder: name a git repository with --repo.\n"


def test_status_does_without_the_parser(tmp_path: Path) -> None:
    program = (
        "import sys; from swarm_tui.cli import main; sys.argv = ['swarm', 'status', '--repo', sys.argv[1]]\n"
        "try: main()\nexcept SystemExit: print('typer' in sys.modules, 'asyncio' in sys.modules)"
    )
    argv = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(argv, capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "False False"
