"""Overlays in the sandbox: what a process changes there lands in the upper folder, and nowhere else."""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import pytest

from engine.executors.local import LocalExecutor
from engine.models.settings import SandboxSettings
from engine.ports import Overlay, ProcessResult, ProcessSpec, SandboxPolicy
from engine.sandbox.bubblewrap import BubblewrapSandbox
from engine.sandbox.choose import choose_sandbox
from engine.sandbox.overlays import can_be_mounted

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="overlayfs")


@pytest.fixture
def sandbox(tmp_path: Path) -> BubblewrapSandbox:
    chosen = choose_sandbox(SandboxSettings(), tmp_path / "probe")
    if not isinstance(chosen, BubblewrapSandbox) or not chosen.overlays:
        pytest.skip("there are no overlays here")
    return chosen


def overlay(folder: Path, at: str = "lower") -> Overlay:
    for name in ("lower", "upper", "work", at):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "lower" / "file").write_text("lower\n", encoding="utf-8")
    (folder / "lower" / "gone").write_text("lower\n", encoding="utf-8")
    return Overlay(folder / "lower", folder / "upper", folder / "work", folder / at)


async def shell(
    sandbox: BubblewrapSandbox, folder: Path, line: str, policy: SandboxPolicy, run: str = "run"
) -> ProcessResult:
    env = {"PATH": "/usr/bin:/bin"}
    spec = ProcessSpec(run, ("sh", "-c", line), folder, env, folder / run, wall_s=30.0, policy=policy)
    return await LocalExecutor(sandbox, f"overlays-{folder}").run(spec)


@pytest.mark.parametrize("at", ["lower", "elsewhere"])
async def test_the_lower_folder_stays_and_the_upper_takes_the_changes(
    sandbox: BubblewrapSandbox, tmp_path: Path, at: str
) -> None:
    laid = overlay(tmp_path / "with spaces", at)
    line = f"cd '{laid.at}' && cat file && echo upper > file && rm gone && echo new > made && ls"
    result = await shell(sandbox, tmp_path, line, SandboxPolicy((tmp_path / "run",), overlays=(laid,)))
    assert (result.exit_code, result.log.read_text(encoding="utf-8")) == (0, "lower\nfile\nmade\n")
    assert {path.name: path.read_text(encoding="utf-8") for path in laid.lower.iterdir()} == {
        "file": "lower\n",
        "gone": "lower\n",
    }
    assert (laid.upper / "file").read_text(encoding="utf-8") == "upper\n"
    assert (laid.upper / "gone").is_char_device()
    control = SandboxPolicy((tmp_path / "run", laid.lower))
    assert (await shell(sandbox, tmp_path, f"echo x > '{laid.lower}/file'", control, "control")).exit_code == 0
    assert (laid.lower / "file").read_text(encoding="utf-8") == "x\n", "without an overlay the lower folder is written"


async def test_neither_the_upper_folder_nor_a_lower_one_elsewhere_is_seen(
    sandbox: BubblewrapSandbox, tmp_path: Path
) -> None:
    laid = overlay(tmp_path, "elsewhere")
    line = f"ls {tmp_path}; cat {laid.lower}/file; echo x > {laid.upper}/x; id -u; cat /proc/self/uid_map"
    result = await shell(sandbox, tmp_path, line, SandboxPolicy((tmp_path / "run",), overlays=(laid,)))
    said = result.log.read_text(encoding="utf-8")
    assert said.split("\n")[0] == "elsewhere"
    assert "lower\n" not in said.replace("lower/file", "")
    assert list(laid.upper.iterdir()) == []


async def test_the_process_is_the_same_user_with_an_overlay_as_without(
    sandbox: BubblewrapSandbox, tmp_path: Path
) -> None:
    said = [
        (await shell(sandbox, tmp_path / f"{len(overlays)}", "id -u; id -g; grep Cap /proc/self/status", policy)).log
        for overlays in ((), (overlay(tmp_path),))
        if (policy := SandboxPolicy((tmp_path / f"{len(overlays)}",), overlays=overlays))
        and (tmp_path / f"{len(overlays)}").mkdir() is None
    ]
    assert said[0].read_bytes() == said[1].read_bytes()


async def test_an_overlay_that_cannot_be_mounted_is_not_started(sandbox: BubblewrapSandbox, tmp_path: Path) -> None:
    laid = overlay(tmp_path)
    laid.work.rmdir()
    result = await shell(sandbox, tmp_path, "true", SandboxPolicy((tmp_path / "run",), overlays=(laid,)))
    assert (result.end, result.exit_code) == ("not_started", None)
    assert "the sandbox could not start the command" in result.note


def test_names_that_a_mount_cannot_be_given_are_refused(tmp_path: Path) -> None:
    assert can_be_mounted(Overlay(tmp_path / "a b", tmp_path / "u", tmp_path / "w", tmp_path / "a b"))
    for name in ("a,b", "a:b", "a\\b", 'a"b', "a\nb"):
        assert not can_be_mounted(Overlay(tmp_path / name, tmp_path / "u", tmp_path / "w", tmp_path))


def test_a_sandbox_without_overlays_says_so(tmp_path: Path) -> None:
    plain = BubblewrapSandbox(Path("/usr/bin/bwrap"), {}, home=tmp_path)
    assert not plain.overlays
    with pytest.raises(ValueError, match="no overlays"):
        plain.wrap(("true",), tmp_path, {}, SandboxPolicy(overlays=(overlay(tmp_path),)))


def test_a_bubblewrap_that_mounts_overlays_itself_is_told_to(tmp_path: Path) -> None:
    newer = BubblewrapSandbox(Path("/usr/bin/bwrap"), {}, home=tmp_path, mounts="bwrap")
    laid = overlay(tmp_path)
    argv = newer.wrap(("true",), tmp_path, {}, SandboxPolicy((tmp_path, laid.at), overlays=(laid,)))
    at = argv.index("--overlay-src")
    where = [str(path.resolve()) for path in (laid.lower, laid.upper, laid.work)]
    assert list(argv[at + 1 : at + 6]) == [where[0], "--overlay", *where[1:], str(laid.at)]
    assert argv[0] == "/usr/bin/bwrap"
    assert ("--bind", str(laid.at)) not in list(pairwise(argv))
