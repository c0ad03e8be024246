"""What a command left as its results: a file in the tree's folder, or its standard output kept by a launcher.

Either is text of outside origin. Whoever runs inside the command can write it: these results are as honest as the
command, not as the engine, and have no tripwire.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from engine.text.sanitise import sanitise_line
from gates.results.adapter import Launch, Watch
from gates.results.children import launch_outside
from gates.results.launched import believed, content

MAX_BYTES = 64_000_000
_NOTE = "left.json"
_STDOUT = "stdout"
_SHOWN = 120


@dataclass(frozen=True)
class Output:
    """The bytes, or why there are none, as one clause. fault: see `Seen.fault`."""

    raw: bytes = b""
    problem: str = ""
    fault: str = ""


def problem_with_path(path: str) -> str:
    """Why this cannot be the path of a results file, as one clause; empty when it can."""
    pure = PurePosixPath(path)
    if not path or pure.is_absolute() or ".." in pure.parts or "\\" in path or ":" in path or not path.isprintable():
        return f"its results are in {sanitise_line(path)!r}, which is no path inside the tree"
    return ""


def expect_file(path: str, watch: Watch) -> None:
    """Called before the command starts, and again when the run is adopted: notes what is at `path` by then."""
    note = watch.exchange.with_name(_NOTE)
    if note.exists():
        return
    there = os.path.lexists(watch.tree / path)
    note.write_text(json.dumps({"there": there}), encoding="utf-8")


def left_file(path: str, watch: Watch) -> Output:
    """The file at `path`, if this run wrote it: new, not there before, no link and behind none."""
    note, file = watch.exchange.with_name(_NOTE), watch.tree / path
    try:
        there = json.loads(note.read_text(encoding="utf-8"))["there"]
        begun = note.stat().st_mtime_ns
    except (OSError, ValueError, KeyError, TypeError):
        return Output(problem="it is not known what was there before the run")
    if there:
        return Output(problem=f"{path} was there before the run, so it is no result of it: take it out of the tree")
    parents = list(PurePosixPath(path).parents)[:-1]
    if any((watch.tree / parent).is_symlink() for parent in parents):
        return Output(problem=f"{path} lies behind a link")
    try:
        if not stat.S_ISREG(file.lstat().st_mode):
            return Output(problem=f"{path} is no plain file")
        if file.stat().st_mtime_ns < begun:
            return Output(problem=f"{path} is older than the run")
        raw = content(file, MAX_BYTES + 1)
    except FileNotFoundError:
        return Output(problem=f"the command left no {path}")
    except OSError:
        return Output(problem=f"{path} cannot be read")
    return Output(problem=f"{path} has more than {MAX_BYTES} bytes") if len(raw) > MAX_BYTES else Output(raw)


def launch_stream(argv: Sequence[str], watch: Watch) -> Launch:
    """The argv that runs the command and keeps its standard output."""
    return launch_outside("launch_stream.py", {"argv": list(argv)}, watch)


def streamed(exit_code: int, watch: Watch) -> Output:
    """The whole standard output, when the launcher vouches for it."""
    records, broken = believed(watch)
    for record in records:
        if record.get("kind") == "fault":
            return Output(fault=f"{sanitise_line(str(record.get('what')))}: mend run in swarm.toml.")
    told = {str(record.get("kind")): record for record in records}
    if broken:
        return Output(problem=broken)
    if "output" not in told or "finish" not in told:
        return Output(problem=f"the launcher ended with exit code {exit_code} before the command was finished")
    if told["finish"].get("status") != exit_code:
        return Output(problem=f"the launcher ended with exit code {exit_code} although it said another")
    if told["output"].get("cut"):
        return Output(problem=f"the output has more than {MAX_BYTES} bytes")
    try:
        raw = content(watch.exchange / _STDOUT, MAX_BYTES + 1)
    except OSError:
        return Output(problem="the output was taken away")
    if hashlib.sha256(raw).hexdigest() != told["output"].get("sha256"):
        return Output(problem="the output was changed after it was kept")
    return Output(raw)


def stream_so_far(exchange: Path) -> bytes:
    """What the command has said so far, for progress; b"" when that cannot be read."""
    try:
        return content(exchange / _STDOUT, 8_000_000)
    except OSError:
        return b""


def disagreement(exit_code: int, failed: bool, what: str) -> tuple[str, ...]:
    """The problem, if any, of an exit code that says something else than the results do. `what`: e.g. "a test"."""
    if exit_code == 0 and failed:
        return (f"the exit code is 0 although {what} failed",)
    if exit_code != 0 and not failed:
        return (f"the command ended with exit code {exit_code} although no {what.removeprefix('a ')} failed",)
    return ()


def unprintable(name: str) -> bool:
    """Whether a test's name has characters that a name must not have (control characters, surrogates, line ends)."""
    return not name.isprintable()


def shown(text: str) -> str:
    """Text of outside origin, short and in one line."""
    return sanitise_line(text.strip(), line_cap=_SHOWN)
