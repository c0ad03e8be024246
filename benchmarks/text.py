"""What it costs to make text from outside harmless and free of secrets."""

from __future__ import annotations

import base64
import hashlib
import random
import time
from collections.abc import Callable

from benchmarks.figure import Figure, Scale
from engine.text.redact import Redactor
from engine.text.sanitise import sanitise, sanitise_bytes

KNOWN = 25
LOG_BYTES = 5_000_000
CHUNK_BYTES = 65_536
WORDS = (
    "test", "compile", "error", "warning: unused", "src/main.rs", "ok", "running 12 tests", "assertion failed",
    "/usr/lib/python3.11/site-packages", "thread 'main'", "0x7fff2a", "├──", "deadbeefcafebabe1234", "GATES",
    "https://example.org/a%20b?x=y", "\x1b[32mgreen\x1b[0m",
)  # fmt: skip


def measure(scale: Scale) -> list[Figure]:
    """The log of a build, with colours, paths and addresses in it, and a known value in every thousandth line. Times
    are the processor's: nothing here waits for anything else."""
    size = LOG_BYTES if scale.repeats > 1 else 20_000
    secrets = {f"KEY_{number}": _value(number) for number in range(KNOWN)}
    log = _log(size, list(secrets.values()))
    lines = log.decode("utf-8", "replace").split("\n")
    redactor = Redactor(secrets)

    def in_chunks() -> None:
        stream = redactor.stream()
        for at in range(0, len(log), CHUNK_BYTES):
            stream.feed(log[at : at + CHUNK_BYTES])
        stream.finish()

    def line_by_line() -> None:
        for line in lines:
            sanitise(redactor.redact(line))

    def in_one_go() -> None:
        sanitise_bytes(redactor.redact_bytes(log))

    def rate(work: Callable[[], None]) -> list[float]:
        return [len(lines) / each for each in _seconds(work, scale.repeats)]

    what = f"{size / 1e6:g} MB log, {KNOWN} known values"
    return [
        Figure(f"{what}: redacted", "s", _seconds(lambda: redactor.redact_bytes(log), scale.repeats), goal=1.0),
        Figure("… as a stream of 64 KiB, as it is written", "s", _seconds(in_chunks, scale.repeats), goal=1.0),
        Figure("redacted and sanitised, a call a line", "lines/s", rate(line_by_line), goal=100_000, at_least=True),
        Figure("redacted and sanitised, all at once", "lines/s", rate(in_one_go), goal=100_000, at_least=True),
    ]


def _seconds(work: Callable[[], object], repeats: int) -> list[float]:
    found: list[float] = []
    for _ in range(repeats):
        begun = time.process_time()
        work()
        found.append(time.process_time() - begun)
    return found


def _value(number: int) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(str(number).encode()).digest()[:24]).decode()


def _log(size: int, values: list[str]) -> bytes:
    chance = random.Random(1)
    lines: list[str] = []
    left = size
    while left > 0:
        words = [chance.choice(WORDS) for _ in range(chance.randint(2, 14))]
        if len(lines) % 1000 == 999:
            words.append(chance.choice(values))
        lines.append(" ".join(words))
        left -= len(lines[-1].encode()) + 1
    return "\n".join(lines).encode()
