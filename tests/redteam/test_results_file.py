"""What a test puts in the place of its results file neither hangs the engine nor fills its memory."""

from __future__ import annotations

import hmac
import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gates.results.adapter import Seen, Watch
from gates.results.unittest import UnittestResults

NONCE = "ab" * 32
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="FIFOs and devices of POSIX")


def watch(folder: Path) -> Watch:
    return Watch(folder, NONCE, folder)


def genuine(file: Path) -> None:
    rows = [{"kind": "test", "id": "a.b", "outcome": "passed"}, {"kind": "finish", "status": 0, "tests": 1}]
    lines: list[bytes] = []
    for seq, row in enumerate(rows, 1):
        body = json.dumps({**row, "seq": seq}, sort_keys=True, separators=(",", ":")).encode()
        lines.append(hmac.new(bytes.fromhex(NONCE), body, "sha256").hexdigest().encode() + b" " + body + b"\n")
    file.write_bytes(b"".join(lines))


def fifo(file: Path) -> None:
    if sys.platform != "win32":
        os.mkfifo(file)


def endless_device(file: Path) -> None:
    file.symlink_to("/dev/zero")


def link_to_genuine(file: Path) -> None:
    genuine(file.with_name("elsewhere"))
    file.symlink_to("elsewhere")


def sparse_terabyte(file: Path) -> None:
    with file.open("wb") as out:
        out.truncate(1 << 40)


def seen_of(folder: Path) -> tuple[Seen, tuple[int, int]]:
    """What the adapter reads; fails instead of hanging."""
    found: list[tuple[Seen, tuple[int, int]]] = []
    adapter = UnittestResults()
    reader = threading.Thread(
        target=lambda: found.append((adapter.read(0, watch(folder)), adapter.progress(folder))), daemon=True
    )
    reader.start()
    reader.join(20)
    assert found, "reading the results has no end"
    return found[0]


def test_control_a_genuine_file_is_believed(tmp_path: Path) -> None:
    genuine(tmp_path / "results.jsonl")
    seen, progress = seen_of(tmp_path)
    assert seen == Seen({"a.b": "passed"})
    assert progress == (1, 0)


@pytest.mark.parametrize("plant", [fifo, endless_device, link_to_genuine, sparse_terabyte, Path.mkdir])
def test_whatever_stands_in_its_place_is_red(tmp_path: Path, plant: Callable[[Path], None]) -> None:
    plant(tmp_path / "results.jsonl")
    seen, progress = seen_of(tmp_path)
    assert seen.problems
    assert not seen.outcomes
    assert progress == (0, 0)
