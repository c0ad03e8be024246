"""Records with a right signature that no launcher writes: who found the nonce in the process gets a red gate by them,
and the engine no exception."""

from __future__ import annotations

import hmac
import json
from pathlib import Path
from typing import Any

import pytest

from gates.results.adapter import Seen, Watch
from gates.results.table import adapter

NONCE = "ab" * 32
TEST = {"kind": "test", "id": "a.b", "outcome": "passed"}
FINISH = {"kind": "finish", "status": 0, "tests": 1}


def read(folder: Path, results: str, *rows: dict[str, Any]) -> Seen:
    lines: list[bytes] = []
    for seq, row in enumerate(rows, 1):
        body = json.dumps({**row, "seq": seq}, sort_keys=True, separators=(",", ":")).encode()
        lines.append(hmac.new(bytes.fromhex(NONCE), body, "sha256").hexdigest().encode() + b" " + body + b"\n")
    (folder / "results.jsonl").write_bytes(b"".join(lines))
    return adapter(results).read(0, Watch(folder, NONCE, folder))


@pytest.mark.parametrize("results", ["pytest", "unittest", "cargo-test", "go-test", "nextest"])
@pytest.mark.parametrize(
    "odd",
    [
        {"kind": "finish"},
        {"kind": "finish", "status": "x", "tests": 1},
        {"kind": "finish", "status": None, "tests": 1},
        {"kind": "planned", "ids": 5},
        {"kind": "test", "id": "a.c", "outcome": ["passed"]},
    ],
    ids=["no status", "a word as status", "null as status", "a number of ids", "a list as outcome"],
)
def test_a_record_that_no_launcher_writes_is_red(tmp_path: Path, results: str, odd: dict[str, Any]) -> None:
    assert not read(tmp_path, results, TEST, FINISH).problems, "the honest twin"
    assert any("does not write" in problem for problem in read(tmp_path, results, TEST, odd, FINISH).problems)


def test_a_kind_that_is_no_word_is_red_where_output_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, "tap", {"kind": ["output"]}, FINISH).problems
