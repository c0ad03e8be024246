"""`swarm demo`: the whole product once, on a repository of its own, with scripted agents. No network, no model."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.text import Text

from engine.errors import UserError
from engine.git.removal import remove_tree
from engine.journal import JournalReader
from engine.models.status import Status
from swarm_tui.compose import make_host
from swarm_tui.demo.build import build_demo
from swarm_tui.demo.story import Chapter, told
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
        Console(highlight=False, markup=False, soft_wrap=True).print(
            _closing(chapters, status, folder if kept else None, time.monotonic() - started)
        )
    if interrupted:
        return EXIT_INTERRUPTED
    return 0 if all(chapter.happened for chapter in chapters) and status.health == "green" else EXIT_UNTOLD


def _closing(chapters: list[Chapter], status: Status, kept: Path | None, seconds: float) -> Text:
    text = Text("\nThe night in a screenful\n", style="bold")
    for chapter in chapters:
        text.append("  ✔ " if chapter.happened else "  ✘ ", style="green" if chapter.happened else "red")
        text.append(f"{chapter.name}\n")
        if chapter.evidence:
            text.append(f"      {chapter.evidence}\n", style="dim")
    healthy = status.work_orders.get("healthy", 0)
    text.append(f"\n{healthy} orders healthy, {status.rejected} rejected on the way, ")
    text.append(f"{status.reverted} reverted and healed, ")
    text.append(f"{status.parked} parked for a person; main is {status.health}; {seconds:.0f} s.\n")
    text.append(_where_to_look(status, kept), style="dim")
    return text


def _where_to_look(status: Status, kept: Path | None) -> str:
    if kept is None:
        return "It ran in a temporary folder, which is gone; `swarm demo --dir DIR` leaves everything to look at.\n"
    place = f"--repo {kept / 'repo'} --state {kept / 'state'}"
    lines = [f"git -C {kept / 'repo'} log", f"swarm status {place}", f"swarm verify main~3..main {place}"]
    lines += [f"swarm approve {approval.id} {place}" for approval in status.approvals[:1]]
    return "Look around:\n" + "".join(f"  {line}\n" for line in lines)
