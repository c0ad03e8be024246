"""Which program a name means."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from engine.process.programs import ProgramMissing, Programs

posix_only = pytest.mark.skipif(sys.platform == "win32", reason="executable bits and #! lines")


def script(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)
    return path


@posix_only
def test_a_name_is_looked_up_on_the_given_path_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path / "tree" / "tool")
    found = script(tmp_path / "opt" / "tool")
    monkeypatch.chdir(tmp_path / "tree")
    assert Programs(f":.:{tmp_path / 'opt'}").resolve("tool").path == found
    with pytest.raises(ProgramMissing, match="the program 'tool' is not on PATH"):
        Programs(":.").resolve("tool")


def test_a_path_in_the_tree_is_left_as_it_was_written() -> None:
    program = Programs("").resolve("./tools/run")
    assert (program.command, program.roots, program.version) == ("./tools/run", (), "")


@pytest.mark.parametrize("name", ["../outside", "a/../../b", "/no/such/program", ""])
def test_what_leads_out_of_the_tree_or_nowhere_is_missing(name: str) -> None:
    with pytest.raises(ProgramMissing):
        Programs("").resolve(name)


def test_python_is_asked_where_it_really_is() -> None:
    program = Programs(str(Path(sys.executable).parent)).resolve("python")
    assert program.path.is_absolute()
    assert program.version == f"Python {'.'.join(map(str, sys.version_info[:3]))}"
    assert {Path(sys.prefix), Path(sys.base_prefix)} <= set(program.roots)


def test_without_python_on_path_it_is_the_one_that_runs_the_engine() -> None:
    program = Programs("").resolve("python3")
    assert program.path == Path(sys.executable)
    assert Path(sys.base_prefix) in program.roots


@posix_only
def test_a_launcher_that_answers_nothing_is_passed_over(tmp_path: Path) -> None:
    script(tmp_path / "python", "#!/bin/sh\nexit 9\n")
    assert Programs(str(tmp_path)).resolve("python").path == Path(sys.executable)


@posix_only
def test_a_launcher_is_seen_through(tmp_path: Path) -> None:
    script(tmp_path / "python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    assert Programs(str(tmp_path)).resolve("python").path == Path(sys.executable)


@posix_only
def test_a_script_brings_the_roots_of_its_interpreter(tmp_path: Path) -> None:
    tool = script(tmp_path / "tool", f"#!{sys.executable}\n")
    roots = Programs(str(tmp_path)).resolve("tool").roots
    assert tool.parent in roots
    assert Path(sys.base_prefix) in roots or Path(sys.executable).resolve().parent.parent in roots


@posix_only
def test_an_installation_is_readable_as_a_whole_but_never_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    for prefix in ("opt/node", "home", "home/.local"):
        script(tmp_path / prefix / "bin" / "tool")
        (tmp_path / prefix / "lib").mkdir()
    roots = {
        prefix: Programs(str(tmp_path / prefix / "bin")).resolve("tool").roots[0]
        for prefix in ("opt/node", "home", "home/.local")
    }
    assert roots["opt/node"] == tmp_path / "opt/node"
    assert roots["home"] == tmp_path / "home/bin"
    assert roots["home/.local"] == tmp_path / "home/.local/bin"


@posix_only
def test_a_program_is_asked_once(tmp_path: Path) -> None:
    script(tmp_path / "make", f"#!/bin/sh\necho x >> {tmp_path / 'asked'}\necho make 1.0\n")
    programs = Programs(str(tmp_path))
    assert [programs.resolve("make").version for _ in range(3)] == ["make 1.0"] * 3
    assert (tmp_path / "asked").read_text(encoding="utf-8") == "x\n"


@posix_only
def test_an_unknown_program_is_not_run_to_learn_its_version(tmp_path: Path) -> None:
    script(tmp_path / "deploy", f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    assert Programs(str(tmp_path)).resolve("deploy").version == ""
    assert not (tmp_path / "ran").exists()


@posix_only
def test_rustup_is_seen_through(tmp_path: Path) -> None:
    toolchain = tmp_path / "rustup" / "toolchains" / "stable"
    real = script(toolchain / "bin" / "cargo", "#!/bin/sh\necho cargo 1.0\n")
    script(toolchain / "bin" / "rustc")
    script(tmp_path / "cargo" / "bin" / "cargo", "#!/bin/sh\nexit 1\n")
    script(tmp_path / "cargo" / "bin" / "rustc", f"#!/bin/sh\necho {toolchain}\n")
    program = Programs(str(tmp_path / "cargo" / "bin")).resolve("cargo")
    assert (program.path, program.roots[0], program.version) == (real, toolchain, "cargo 1.0")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("rustc") is None, reason="rustc is not installed")
def test_the_installed_rust_is_resolved() -> None:
    assert Programs(os.environ["PATH"]).resolve("rustc").path.is_file()
