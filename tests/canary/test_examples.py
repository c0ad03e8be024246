"""The examples of docs/canary.md: each is run on its program, and on a broken twin of it, which it has to find."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from engine.loading import parse_settings
from tests.canary.worlds import World

EXAMPLES = Path(__file__).parent / "examples"
GUIDE = Path(__file__).parents[2] / "docs" / "canary.md"
BREAK = {
    "total": ("total.py", "sum(", "-sum("),
    "total-of-words": ("total.py", "return 2", "raise"),
    "notes": ("notes.py", '"count": len(NOTES)}', '"count": 0}'),
    "resize-drag": ("engine.py", 'emit("bye")', "pass"),
    "smoke": ("total.py", "sum(", "1 + sum("),
}
"""Flow -> the file, what stands there, and the mistake."""


def world_of(folder: Path) -> World:
    golden = (EXAMPLES / "resize-drag.jsonl").read_bytes()
    world = World(folder, {"canary/golden/resize-drag.jsonl": golden})
    for program in EXAMPLES.glob("*.py"):
        shutil.copy(program, world.ground.tree)
    return world


FLOWS = {
    flow.name: flow
    for path in sorted(EXAMPLES.glob("*.toml"))
    for flow in parse_settings("", flows={f"canary/{path.name}": path.read_text(encoding="utf-8")}).canary.flow
    if flow.driver in ("process", "http")
}


@pytest.mark.parametrize("name", sorted(FLOWS))
async def test_the_example_passes_on_its_program_and_finds_the_mistake_in_its_twin(name: str, tmp_path: Path) -> None:
    world = world_of(tmp_path)
    sound = await world.run(FLOWS[name])
    assert sound.verdict == "PASS", sound.reason
    file, right, wrong = BREAK[name]
    path = world.ground.tree / file
    text = path.read_text(encoding="utf-8")
    assert right in text
    path.write_text(text.replace(right, wrong), encoding="utf-8")
    broken = await world.run(FLOWS[name])
    assert broken.verdict == "FAIL", broken.reason


def test_the_guide_shows_the_examples_as_they_are_run() -> None:
    shown = re.findall(r"```toml\n# canary/(\S+)\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert {name for name, _ in shown} >= {"total.toml", "notes.toml", "engine.toml", "smoke.toml"}
    for name, text in shown:
        assert text == (EXAMPLES / name).read_text(encoding="utf-8"), name
