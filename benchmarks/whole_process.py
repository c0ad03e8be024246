"""Timing commands as a person waits for them: from before the start of the process until it is gone."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from pathlib import Path


def once_ms(words: Sequence[str], cwd: Path, env: dict[str, str]) -> float:
    started = time.perf_counter()
    subprocess.run(words, cwd=cwd, env=env, check=True, stdin=subprocess.DEVNULL, capture_output=True)
    return (time.perf_counter() - started) * 1000


def in_turn_ms(commands: Sequence[Sequence[str]], repeats: int, cwd: Path, env: dict[str, str]) -> list[list[float]]:
    """Milliseconds of every run of every command. A B C A B C …, so that a drift of the machine meets all of them; one
    round before it is not counted."""
    for words in commands:
        once_ms(words, cwd, env)
    rounds = [[once_ms(words, cwd, env) for words in commands] for _ in range(repeats)]
    return [[each[at] for each in rounds] for at in range(len(commands))]
