"""The gates of a Rust workspace as the runner runs them, with and without a sandbox."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from engine.models.settings import SandboxSettings
from engine.ports import Sandbox
from engine.sandbox.choose import choose_sandbox
from engine.sandbox.none import NoSandbox
from tests.gates.bench import Bench, gate, only
from tests.gates.results.watched import FIXTURE, found

CARGO = found("cargo")
pytestmark = [pytest.mark.skipif(CARGO is None, reason="needs cargo, which is not installed"), pytest.mark.slow]
FILES = {path.relative_to(FIXTURE).as_posix(): path.read_text("utf-8") for path in FIXTURE.rglob("*") if path.is_file()}


@pytest.fixture(params=["none", "bubblewrap"])
def sandbox(request: pytest.FixtureRequest, tmp_path: Path) -> Sandbox:
    if request.param == "none":
        return NoSandbox()
    if sys.platform != "linux" or shutil.which("bwrap") is None:
        pytest.skip("needs Linux and bubblewrap")
    chosen = choose_sandbox(SandboxSettings(), tmp_path / "probe")
    if chosen.name != "bubblewrap":
        pytest.skip("bubblewrap does not work on this machine")
    return chosen


async def test_a_workspace_is_tested_and_linted_on_a_tree(tmp_path: Path, sandbox: Sandbox) -> None:
    assert CARGO is not None
    cargo = str(CARGO.path)
    (tmp_path / "bench").mkdir()
    bench = Bench(tmp_path / "bench", sandbox)
    tree = bench.change(FILES)
    tests = gate(run=(cargo, "test"), results="cargo-test")
    report = (await bench.gates(tree, tests)).report
    assert report.result == "green", report.reasons
    assert (only(report).passed, only(report).skipped) == (9, 1)
    build = gate(run=(cargo, "build"), results="cargo-messages")
    assert (await bench.gates(tree, build)).report.result == "green"
    if found("cargo-fmt") is not None:
        report = (await bench.gates(tree, gate(run=(cargo, "fmt", "--all", "--check"), results="none"))).report
        assert report.result == "green", report.reasons

    text = FILES["geometry/src/lib.rs"].replace("self.height.saturating_sub(2 * by)", "self.height")
    report = (await bench.gates(bench.change({**FILES, "geometry/src/lib.rs": text}), tests)).report
    assert report.result == "red"
    assert "geometry::test/insets::an_inset_keeps_the_rest" in only(report).failing
    report = (await bench.gates(bench.change({**FILES, "layout/src/lib.rs": "fn f() { missing() }\n"}), build)).report
    assert "cannot find function `missing`" in only(report).reason
