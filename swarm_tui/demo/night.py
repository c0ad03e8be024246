"""`swarm demo`: the whole product once, on a repository of its own, with scripted agents. No network, no model."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from engine.errors import UserError
from engine.git.removal import remove_tree
from engine.journal import JournalReader
from swarm_tui.compose import make_host
from swarm_tui.demo.build import build_demo
from swarm_tui.demo.closing import TOLD, closing
from swarm_tui.demo.story import told
from swarm_tui.headless import run_headless
from swarm_tui.place import find_place
from swarm_tui.terminal import can_show_a_room

EXIT_UNTOLD = 1
EXIT_INTERRUPTED = 130


def run_demo(directory: Path | None, *, seed: int, as_json: bool, no_ui: bool) -> int:
    """Play the night until idle, in a room if there is a terminal for one. Exit 0 when its whole story happened."""
    in_room = not no_ui and not as_json and can_show_a_room()
    # Gates and agents of the demo are Python programs: they run with the interpreter that runs this.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    if directory is not None:
        directory.mkdir(parents=True, exist_ok=True)
        return _play(directory.resolve(), seed, as_json, kept=True, in_room=in_room)
    folder = Path(tempfile.mkdtemp(prefix="swarm-demo-"))
    try:
        return _play(folder.resolve(), seed, as_json, kept=False, in_room=in_room)
    finally:
        remove_tree(folder)


def _play(folder: Path, seed: int, as_json: bool, *, kept: bool, in_room: bool) -> int:
    if (folder / "state").exists() and not (folder / "repo").exists():
        raise UserError(f"{folder / 'state'} is there without a repository: name another folder with --dir")
    again = (folder / "repo").exists() and (folder / "state").exists()
    repo = folder / "repo" if again else build_demo(folder, seed)
    started = time.monotonic()
    place = find_place(repo, folder / "state")
    if in_room:
        from swarm_tui.demo.room import play_in_room

        status, interrupted = play_in_room(place)
    else:
        host = make_host(place)
        status, interrupted = run_headless(host, place.folders, until_idle=True, duration_s=None, as_json=as_json)
    reader = JournalReader(place.folders.journal)
    chapters = told([event.as_json() for event in reader.events()])
    reader.close()
    if not as_json:
        where, seconds = folder if kept else None, time.monotonic() - started
        if where is not None:
            whole = closing(chapters, status, where, seconds, None).plain.lstrip()
            (where / TOLD).write_text(whole, encoding="utf-8", newline="\n")
        console = Console(highlight=False, markup=False, soft_wrap=True)
        columns = console.width if sys.stdout.isatty() else None
        console.print(closing(chapters, status, where, seconds, columns), end="")
    if interrupted:
        return EXIT_INTERRUPTED
    return 0 if all(chapter.happened for chapter in chapters) and status.health == "green" else EXIT_UNTOLD
