"""The demo's program on a terminal, run by the real flow runner."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from engine.loading import parse_settings
from engine.models.flow import Flow
from swarm_tui.demo import build
from tests.canary.worlds import World

GOLDEN = "canary/golden/terminal/three-views"
posix = pytest.mark.skipif(sys.platform == "win32", reason="flows on a terminal need a pseudo-terminal")


def flow_of(repo: Path) -> Flow:
    text = (repo / "canary" / "terminal.toml").read_text(encoding="utf-8")
    return parse_settings("", flows={"canary/terminal.toml": text}).canary.flow[0]


def world_of(demo, folder: Path) -> World:
    goldens = {f"{GOLDEN}.{name}.txt": (demo.repo / f"{GOLDEN}.{name}.txt").read_bytes() for name in ("linux", "macos")}
    world = World(folder / "world", goldens)
    shutil.copytree(demo.repo, world.ground.tree, dirs_exist_ok=True)
    return world


@posix
async def test_it_shows_what_its_golden_shows(demo, tmp_path: Path) -> None:
    outcome = await world_of(demo, tmp_path).run(flow_of(demo.repo))
    assert outcome.verdict == "PASS", outcome.reason


@posix
async def test_a_program_that_draws_otherwise_is_found(demo, tmp_path: Path) -> None:
    world = world_of(demo, tmp_path)
    surface = world.ground.tree / "tinykit" / "surface.py"
    text = surface.read_text(encoding="utf-8")
    assert '"+" + "-"' in text
    surface.write_text(text.replace('"+" + "-"', '"+" + "="'), encoding="utf-8")
    outcome = await world.run(flow_of(demo.repo))
    assert outcome.verdict == "FAIL"
    assert "three-views" in outcome.reason


def test_where_no_terminal_can_be_had_the_flow_is_left_out_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (build.build_demo(tmp_path / "with") / "canary" / "terminal.toml").exists() == (sys.platform != "win32")
    monkeypatch.setattr(build, "HAS_TERMINALS", False)
    repo = build.build_demo(tmp_path / "without")
    assert not (repo / "canary" / "terminal.toml").exists()
    assert "pseudo-terminal" in (repo / "README.md").read_text(encoding="utf-8")
