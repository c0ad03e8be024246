"""Which sandbox a machine gets, what it is said to guarantee, and when that is not enough."""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

from engine.errors import UserError
from engine.models.settings import SandboxSettings
from engine.ports import GUARANTEES
from engine.sandbox.choose import CACHE, choose_sandbox, require_guarantees
from engine.sandbox.none import NoSandbox
from engine.sandbox.probe import probe_bubblewrap

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="bubblewrap is for Linux")


@pytest.fixture(scope="module")
def program() -> Path:
    found = shutil.which("bwrap")
    if found is None:
        pytest.skip("bubblewrap is not installed")
    if problem := probe_bubblewrap(Path(found)).problem:
        pytest.skip(problem)
    return Path(found)


def fake_bwrap(folder: Path, script: str) -> str:
    """A PATH with a bwrap that does this."""
    folder.mkdir()
    (folder / "bwrap").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / "bwrap").chmod(0o755)
    return str(folder)


@linux_only
def test_a_working_bubblewrap_is_chosen_with_what_it_was_seen_to_hold(program: Path, tmp_path: Path) -> None:
    sandbox = choose_sandbox(SandboxSettings(require=["fs_write", "fs_read"]), tmp_path, path=str(program.parent))
    assert sandbox.name == "bubblewrap"
    assert set(sandbox.guarantees) == set(GUARANTEES)
    assert sandbox.guarantees["fs_write"]
    assert sandbox.guarantees["fs_read"]
    assert not sandbox.guarantees["limits"], "bubblewrap limits neither memory nor processes"


@linux_only
def test_without_bubblewrap_there_is_none_and_the_reason_is_said(tmp_path: Path) -> None:
    sandbox = choose_sandbox(SandboxSettings(), tmp_path, path=str(tmp_path))
    assert isinstance(sandbox, NoSandbox)
    assert sandbox.reason == "bubblewrap is not installed"
    assert not any(sandbox.guarantees.values())


@linux_only
def test_a_bubblewrap_that_may_not_make_namespaces_counts_as_none(tmp_path: Path) -> None:
    said = "bwrap: setting up uid map: Permission denied"
    path = fake_bwrap(tmp_path / "bin", f"echo '{said}' >&2; exit 1")
    sandbox = choose_sandbox(SandboxSettings(), tmp_path, path=path)
    assert isinstance(sandbox, NoSandbox)
    assert sandbox.reason == f"bubblewrap does not work here ({said})"
    assert not (tmp_path / CACHE).exists(), "a failure is looked at again the next time"


@linux_only
def test_a_program_that_only_pretends_to_be_a_sandbox_guarantees_nothing(tmp_path: Path) -> None:
    """It runs the command as it is: every escape succeeds, whatever flags it took."""
    path = fake_bwrap(tmp_path / "bin", 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"')
    sandbox = choose_sandbox(SandboxSettings(), tmp_path, path=path)
    assert sandbox.name == "bubblewrap"
    assert not any(sandbox.guarantees.values())
    with pytest.raises(UserError):
        choose_sandbox(SandboxSettings(require=["fs_write"]), tmp_path, path=path)


@linux_only
def test_the_probe_is_remembered_for_this_program_and_this_boot(tmp_path: Path) -> None:
    counter = tmp_path / "count"
    path = fake_bwrap(
        tmp_path / "bin",
        f'[ "$1" = --version ] && echo fake 1 && exit; echo x >> {counter}\n'
        'while [ "$1" != -- ]; do shift; done; shift; exec "$@"',
    )
    first = choose_sandbox(SandboxSettings(), tmp_path, path=path)
    probes = counter.read_text(encoding="utf-8")
    assert choose_sandbox(SandboxSettings(), tmp_path, path=path).guarantees == first.guarantees
    assert counter.read_text(encoding="utf-8") == probes
    cache = json.loads((tmp_path / CACHE).read_text(encoding="utf-8"))
    cache["key"][3] = "another boot"
    (tmp_path / CACHE).write_text(json.dumps(cache), encoding="utf-8")
    choose_sandbox(SandboxSettings(), tmp_path, path=path)
    assert counter.read_text(encoding="utf-8") == probes * 2


@linux_only
def test_a_broken_cache_is_no_reason_to_stop(tmp_path: Path) -> None:
    (tmp_path / CACHE).write_text('{"key": []', encoding="utf-8")
    path = fake_bwrap(tmp_path / "bin", "exit 1")
    assert choose_sandbox(SandboxSettings(), tmp_path, path=path).name == "none"


@pytest.mark.parametrize("without", ["refuse", "ask"])
def test_no_sandbox_where_the_settings_want_one_is_a_user_error(tmp_path: Path, without: str) -> None:
    settings = SandboxSettings.model_validate({"without": without})
    with pytest.raises(UserError, match=rf'^without = "{without}" in \[sandbox\] of swarm.toml needs a sandbox'):
        choose_sandbox(settings, tmp_path, path=str(tmp_path))


def test_a_missing_guarantee_is_a_user_error_that_says_which(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot guarantee net, unix_sock"):
        choose_sandbox(SandboxSettings(require=["net", "unix_sock"]), tmp_path, path=str(tmp_path))
    with pytest.raises(UserError, match=r"cannot guarantee pid_tree: .* take it out of require"):
        require_guarantees(NoSandbox(), ["pid_tree"])


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_a_long_name_of_the_temporary_folder_does_not_disturb_the_probe(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    probe = probe_bubblewrap(Path(str(shutil.which("bwrap"))))
    assert "too long" not in probe.problem
