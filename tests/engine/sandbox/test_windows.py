"""The argv for Windows, and what its launcher makes of it. The rest needs Windows."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import pytest

from engine.ports import Overlay, SandboxPolicy
from engine.sandbox.meanings import UNTESTED
from engine.sandbox.windows import WindowsSandbox
from engine.sandbox.windows_launch import ProcessInformation, StartupInfo, main, parse


def test_the_launcher_reads_what_the_sandbox_writes(tmp_path: Path) -> None:
    policy = SandboxPolicy((tmp_path / "a b", tmp_path / "c"), (tmp_path / "lent",))
    argv = WindowsSandbox({}).wrap(("tool", "--", "--write", "x"), tmp_path, {"TOKEN": "tok-canary"}, policy)
    script = next(at for at, word in enumerate(argv) if word.endswith("windows_launch.py"))
    writable, folder, command = parse(list(argv[script + 1 :]))
    assert writable == [str((tmp_path / name).resolve()) for name in ("a b", "c")]
    assert (folder, command) == (str(tmp_path), ["tool", "--", "--write", "x"])
    assert "tok-canary" not in " ".join(argv)


def test_it_says_that_it_is_untested_and_takes_no_overlays(tmp_path: Path) -> None:
    assert UNTESTED in WindowsSandbox({}).weak
    with pytest.raises(ValueError, match="no overlays"):
        WindowsSandbox({}).wrap(
            (), tmp_path, {}, SandboxPolicy(overlays=(Overlay(tmp_path, tmp_path, tmp_path, tmp_path),))
        )


@pytest.mark.skipif(ctypes.sizeof(ctypes.c_void_p) != 8, reason="sizes of 64 bits")
def test_structures_have_the_sizes_of_the_documentation() -> None:
    assert ctypes.sizeof(StartupInfo) == 104
    assert ctypes.sizeof(ProcessInformation) == 24


@pytest.mark.skipif(sys.platform == "win32", reason="there it works")
def test_elsewhere_it_does_not_pretend() -> None:
    with pytest.raises(AssertionError, match="Windows only"):
        main(["--chdir", ".", "--", "tool"])
