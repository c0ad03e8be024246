"""Plays a script as a coding agent: `python -I -S script_player.py SCRIPT.toml` in the workspace. Stdlib alone.

The contract is that of any command agent: SWARM_TASK is the task (JSON), SWARM_HANDOFF where the handoff goes.
SWARM_ASK is where an operation goes that needs a person (exit 75), and SWARM_USAGE where usage so far is written.
Exit: 0 done, 1 a step failed, 2 script or task cannot be read, 3 a person said no, 75 asked; or what `fail` says.
`roles/agents/script_format.py` describes the format.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

EXIT_FAILED = 1
EXIT_UNREADABLE = 2
EXIT_DENIED = 3
EXIT_ASKED = 75
YES = frozenset({"approved", "approve", "allow", "allowed", "granted", "yes"})
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)")


class StepFailed(Exception):
    """A step that cannot be played; the message says why."""


def say(text: str) -> None:
    """One line of output, at once: silence is what gets an agent stopped."""
    print(text, flush=True)


class Player:
    """Plays the steps of one attempt in `workspace`. Ends the process where a step says so."""

    def __init__(
        self, workspace: Path, task: dict[str, Any], handoff: Path, ask: Path | None, usage: Path | None
    ) -> None:
        self._workspace = workspace
        self._task = task
        self._handoff, self._ask_file, self._usage_file = handoff, ask, usage
        self._tokens, self._cost = 0, 0.0
        self._steps: dict[str, Callable[[Any], None]] = {
            "say": say,
            "edit": self._edit,
            "append": self._append,
            "delete": self._delete,
            "run": self._run,
            "sleep": self._sleep,
            "ask": self._ask,
            "spend": self._spend,
            "limit": self._limit,
            "fail": self._fail,
            "hang": self._hang,
            "handin": self._hand_in,
            "abort": self._abort,
            "handoff": self._give,
        }

    def play(self, steps: list[dict[str, Any]]) -> None:
        """Play the steps in order; after an answered question only what comes after it. Raises StepFailed."""
        for step in steps[self._resume_at(steps) :]:
            ((name, value),) = step.items()
            act = self._steps.get(name)
            if act is None:
                raise StepFailed(f"there is no step {name}")
            act(value)

    def _resume_at(self, steps: list[dict[str, Any]]) -> int:
        """The index of the first step to play: the workspace already has the edits made before an answered question."""
        for index in reversed(range(len(steps))):
            question = steps[index].get("ask")
            if question is None:
                continue
            for granted in self._task.get("granted", []):
                if granted["operation"]["argv"] == question["argv"]:
                    self._take_answer(granted, bool(question.get("anyway")))
                    return index + 1
        return 0

    def _take_answer(self, granted: dict[str, Any], anyway: bool) -> None:
        """Go on after a yes. An operation that was allowed but not yet carried out is carried out here."""
        operation = granted["operation"]
        words = " ".join(operation["argv"])
        if str(granted["answer"]).lower() not in YES:
            say(f"the answer is {granted['answer']}: {words} stays undone")
            if anyway:
                return
            raise SystemExit(EXIT_DENIED)
        say(f"the answer is {granted['answer']}: {words}")
        if granted.get("exit_code") is None:
            self._run(operation["argv"], self._inside(operation.get("cwd", ".")))
        elif granted["exit_code"] != 0:
            raise StepFailed(f"{words} was allowed and failed with {granted['exit_code']}")

    def _inside(self, name: str) -> Path:
        """The path of `name` below the workspace; refuses any way out of it, links included."""
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts or "\\" in name or ":" in name:
            raise StepFailed(f"{name} is not a path below the workspace")
        path = self._workspace.joinpath(*pure.parts)
        if not path.resolve().is_relative_to(self._workspace.resolve()):
            raise StepFailed(f"{name} leads out of the workspace")
        return path

    def _read(self, name: str) -> str:
        try:
            return self._inside(name).read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StepFailed(f"{name} cannot be read: {error}") from error

    def _write(self, name: str, content: str | bytes) -> None:
        path = self._inside(name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
        except OSError as error:
            raise StepFailed(f"{name} cannot be written: {error}") from error

    def _edit(self, edit: dict[str, Any]) -> None:
        name = edit["path"]
        if "content" in edit:
            self._write(name, edit["content"])
        elif "base64" in edit:
            try:
                self._write(name, base64.b64decode(edit["base64"], validate=True))
            except ValueError as error:
                raise StepFailed(f"the new content of {name} is no base64: {error}") from error
        else:
            old = self._read(name)
            found = old.count(edit["find"])
            if found != 1:
                raise StepFailed(f"the text to replace is {found} times in {name}, not once")
            self._write(name, old.replace(edit["find"], edit["replace"]))
        if "executable" in edit:
            path = self._inside(name)
            mode = path.stat().st_mode
            path.chmod(mode | (mode & 0o444) >> 2 if edit["executable"] else mode & ~0o111)
        say(f"edited {name}")

    def _append(self, append: dict[str, str]) -> None:
        name = append["path"]
        old = self._read(name) if self._inside(name).exists() else ""
        self._write(name, old + append["text"])
        say(f"appended to {name}")

    def _delete(self, name: str) -> None:
        try:
            self._inside(name).unlink()
        except OSError as error:
            raise StepFailed(f"{name} cannot be deleted: {error}") from error
        say(f"deleted {name}")

    def _run(self, argv: list[str], cwd: Path | None = None) -> None:
        # The word "python" means this very interpreter: scripts must not depend on how a machine calls it.
        program = sys.executable if argv[0] in ("python", "python3") else argv[0]
        say(f"$ {' '.join(argv)}")
        try:
            done = subprocess.run(
                [program, *argv[1:]], cwd=cwd or self._workspace, stdin=subprocess.DEVNULL, check=False
            )
        except OSError as error:
            raise StepFailed(f"{argv[0]} cannot be started: {error}") from error
        if done.returncode != 0:
            raise StepFailed(f"{' '.join(argv)} exited with {done.returncode}")

    def _sleep(self, text: str) -> None:
        found = _DURATION.fullmatch(text)
        if found is None:
            raise StepFailed(f"{text!r} is no duration")
        time.sleep(float(found[1]) * _SECONDS[found[2]])

    def _ask(self, question: dict[str, Any]) -> NoReturn:
        if self._ask_file is None:
            raise StepFailed("this script asks for something, but SWARM_ASK names no file for the question")
        say(f"asks: {' '.join(question['argv'])}")
        said = {name: value for name, value in question.items() if name != "anyway"}
        operation = {"cwd": ".", "why": "", "danger": "unknown", **said}
        self._ask_file.write_text(json.dumps(operation), encoding="utf-8")
        raise SystemExit(EXIT_ASKED)

    def _spend(self, spend: dict[str, Any]) -> None:
        self._tokens += int(spend.get("tokens", 0))
        self._cost += float(spend.get("cost", 0.0))
        if self._usage_file is not None:
            self._usage_file.write_text(json.dumps({"tokens": self._tokens, "cost": self._cost}), encoding="utf-8")

    def _limit(self, reset: str) -> None:
        # A limit costs no attempt, so the same steps are played again: a later run has another number in its mark.
        if os.environ.get("SWARM_RUN", "").endswith(".1"):
            say(f"error 429: the rate limit is reached, try again in {reset}")
            raise SystemExit(EXIT_FAILED)

    def _fail(self, code: int) -> NoReturn:
        say(f"fails with {code}")
        raise SystemExit(code)

    def _hang(self, _true: bool) -> NoReturn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say("hangs")
        while True:
            time.sleep(3600)

    def _hand_in(self, handoff: dict[str, str]) -> None:
        full = {"risk": "", "rollback": "", **handoff, "tokens": self._tokens, "cost": self._cost}
        self._handoff.write_text(json.dumps(full), encoding="utf-8")
        say(f"hands in: {handoff['summary']}")

    def _give(self, handoff: dict[str, Any]) -> None:
        self._handoff.write_text(json.dumps(handoff), encoding="utf-8")
        say("hands in")

    def _abort(self, why: str) -> NoReturn:
        self._handoff.write_text(json.dumps({"abort": why}), encoding="utf-8")
        say(f"gives up: {why}")
        raise SystemExit(0)


def main(arguments: list[str]) -> int:
    """Play the script for the task in the environment; the exit code."""
    if len(arguments) != 1:
        print("usage: script_player.py SCRIPT.toml", file=sys.stderr)
        return EXIT_UNREADABLE
    try:
        script = tomllib.loads(Path(arguments[0]).read_bytes().decode("utf-8"))
        task = json.loads(Path(os.environ["SWARM_TASK"]).read_bytes())
        handoff = Path(os.environ["SWARM_HANDOFF"])
        attempts = script["attempt"]
        steps = attempts[min(max(int(task["attempt"]), 1), len(attempts)) - 1]["steps"]
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        print(f"the script or the task cannot be read: {type(error).__name__}: {error}", file=sys.stderr)
        return EXIT_UNREADABLE
    ask, usage = os.environ.get("SWARM_ASK"), os.environ.get("SWARM_USAGE")
    player = Player(Path.cwd(), task, handoff, Path(ask) if ask else None, Path(usage) if usage else None)
    try:
        player.play(steps)
    except StepFailed as error:
        print(f"a step failed: {error}", file=sys.stderr, flush=True)
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    # The pipe's encoding follows the machine; what an agent says must never kill it.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")  # type: ignore[union-attr]
    sys.exit(main(sys.argv[1:]))
