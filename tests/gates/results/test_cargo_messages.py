"""Diagnostics of the real cargo: errors are red, warnings are shown, and the log is for people."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gates.results.table import adapter
from tests.gates.results.launcher_source import source
from tests.gates.results.watched import crate, found, rust

CARGO = found("cargo")
CLIPPY = found("cargo-clippy")
launcher = source("launch_cargo_messages")


@pytest.mark.skipif(CARGO is None, reason="needs cargo, which is not installed")
@pytest.mark.slow
def test_errors_are_red_and_warnings_are_listed(tmp_path: Path) -> None:
    assert CARGO is not None
    watched = crate(tmp_path, "pub fn fine() {}\n")
    assert (watched.run("cargo-messages", CARGO.path, "build").problems, watched.exit_code) == ((), 0)
    watched.write({"src/lib.rs": "fn unused() {}\n"})
    assert watched.run("cargo-messages", CARGO.path, "build").problems == ()
    assert "function `unused` is never used" in watched.output
    assert "0 errors, 1 warnings" in watched.output
    assert '"reason"' not in watched.output
    watched.write({"src/lib.rs": "pub fn broken() -> u8 { missing() }\n"})
    seen = watched.run("cargo-messages", CARGO.path, "build", "--release")
    assert seen.problems == ("1 errors: src/lib.rs:1: cannot find function `missing` in this scope",)
    assert (seen.outcomes, watched.exit_code) == ({}, 1)
    watched.write({"Cargo.toml": "[package]\n"})
    assert "ended with exit code 101" in watched.run("cargo-messages", CARGO.path, "check").problems[0]


@pytest.mark.skipif(CARGO is None or CLIPPY is None, reason="needs cargo and clippy, which are not installed")
@pytest.mark.slow
def test_clippy_with_denied_warnings_is_red(tmp_path: Path) -> None:
    assert CARGO is not None
    watched = rust(tmp_path)
    words = ("clippy", "--all-targets", "--", "-D", "warnings")
    assert watched.run("cargo-messages", CARGO.path, *words).problems == (), watched.output
    path = watched.tree / "layout" / "src" / "lib.rs"
    path.write_text(path.read_text(encoding="utf-8") + "pub fn id(x: u8) -> u8 { return x; }\n", encoding="utf-8")
    assert "unneeded `return` statement" in watched.run("cargo-messages", CARGO.path, *words).problems[0]


@given(st.lists(st.one_of(st.binary(max_size=40), st.sampled_from([b"[]", b"{}", b"7", b"[" * 9999])), max_size=10))
def test_no_line_hides_an_error(noise: list[bytes]) -> None:
    said: list[str] = []
    seen = launcher.Diagnostics(said.append)
    error = {"level": "error", "message": "no", "rendered": "error: no\n", "spans": []}
    for line in [*noise, json.dumps({"reason": "compiler-message", "message": error}).encode(), *noise]:
        seen.take(line)
    assert (seen.errors, seen.finished) == (1, None)


def test_other_commands_are_refused() -> None:
    reader = adapter("cargo-messages")
    assert reader.problem(("cargo", "clippy", "--", "--message-format=x")) == ""
    assert "leave it out" in reader.problem(("cargo", "build", "--message-format=short"))
    assert "not written as" in reader.problem(("cargo", "test"))
    assert "not written as" in reader.problem(("make", "build"))
