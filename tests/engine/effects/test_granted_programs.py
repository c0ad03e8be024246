"""What an approved operation names by a path is run in the sandbox, and nowhere before."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from engine.effects import operations
from engine.models.settings import Settings
from engine.models.task import Operation
from engine.process.programs import ProgramMissing, Programs

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="scripts with a first line")


def world_of(folder: Path, programs: Programs) -> Any:
    folders = SimpleNamespace(root=folder / "state", runs=folder / "state" / "runs")
    ports = SimpleNamespace(programs=programs)
    return SimpleNamespace(folders=folders, ports=ports, settings=lambda: Settings())


@pytest.mark.parametrize("how", ["itself", "its interpreter"])
async def test_what_an_agent_left_in_a_folder_of_the_home_is_not_asked_for_its_version(
    tmp_path: Path, how: str
) -> None:
    lent, ran = tmp_path / "home" / ".cache", tmp_path / "ran"
    lent.mkdir(parents=True)
    script = lent / "git"
    script.write_text(f"#!/bin/sh\ntouch {ran}\n", encoding="utf-8")
    script.chmod(0o755)
    named = script
    if how == "its interpreter":
        named = lent / "tool"
        named.write_text(f"#!{script}\n", encoding="utf-8")
        named.chmod(0o755)
    programs, workspace = Programs("/usr/bin:/bin"), tmp_path / "workspace"
    workspace.mkdir()
    place: Any = SimpleNamespace(path=workspace)
    operation = Operation(argv=[str(named), "--all"])
    spec = await operations._spec(world_of(tmp_path, programs), operation, place, "one.1")  # type: ignore[reportPrivateUsage]
    assert spec.argv == (str(named), "--all")
    assert lent in spec.policy.readable
    assert not ran.exists(), "it ran outside of the sandbox"
    programs.resolve(str(named))
    assert ran.exists(), "a program of a person's settings is asked: else this test proves nothing"


def test_a_script_is_placed_with_its_interpreter(tmp_path: Path) -> None:
    script = tmp_path / "tool"
    script.write_text("#!/usr/bin/env -S python3 -I\n", encoding="utf-8")
    programs = Programs("/usr/bin:/bin")
    assert set(programs.placed(str(script)).roots) >= {tmp_path, *programs.resolve("python3").roots}
    with pytest.raises(ProgramMissing):
        programs.placed(str(tmp_path / "nothing"))
