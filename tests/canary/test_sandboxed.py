"""A flow in a real sandbox: it can be spoken to, and may write to its own folders alone."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from engine.models.settings import SandboxSettings
from engine.process.tree import find_marked
from engine.sandbox.choose import choose_sandbox
from tests.canary.worlds import World, flow, resize

WRITE = """
    import json, os, pathlib
    def attempt(path):
        try:
            path.write_text("x")
        except OSError:
            return False
        return True
    home, tmp, tree = pathlib.Path.home(), pathlib.Path(os.environ["TMPDIR"]), pathlib.Path.cwd()
    where = {"home": home, "tmp": tmp, "tree": tree, "beside": tree.parent}
    print(json.dumps({"kind": "wrote", **{name: attempt(path / "new") for name, path in where.items()}}), flush=True)
"""


@pytest.fixture
def world(tmp_path: Path) -> World:
    if sys.platform != "linux" or shutil.which("bwrap") is None:
        pytest.skip("needs bubblewrap")
    sandbox = choose_sandbox(SandboxSettings(), tmp_path)
    if sandbox.name == "none":
        pytest.skip("bubblewrap does not work here")
    return World(tmp_path, sandbox=sandbox)


async def test_a_good_program_passes(world: World) -> None:
    outcome = await world.run(flow(steps=resize(900)))
    assert outcome.verdict == "PASS", outcome.reason
    assert find_marked(world.ground.marker) == []


async def test_it_writes_to_its_own_folders_alone(world: World) -> None:
    told = flow(WRITE, start={"ready": {"event": "wrote"}}, stop={})
    (inside,) = world.trace(await world.run(told))
    assert [inside[name] for name in ("home", "tmp", "tree")] == [True, True, False]
    assert not (world.root / "new").exists()
    bare = World(world.root / "bare")
    (outside,) = bare.trace(await bare.run(told))
    assert outside["tree"] is True
    assert outside["beside"] is True


async def test_a_program_that_hangs_is_killed_inside_too(world: World) -> None:
    hang = 'import time; print("ready", flush=True); time.sleep(600)'
    outcome = await world.run(flow(hang, stop={"within": "50ms"}))
    assert outcome.verdict == "PASS", outcome.reason
    assert find_marked(world.ground.marker) == []
