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
from engine.ports import GUARANTEES, Sandbox
from engine.sandbox.backends import CACHE
from engine.sandbox.choose import choose_sandbox, require_guarantees
from engine.sandbox.landlock_run import landlock_abi
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
    assert all(getattr(sandbox, "extras").values())  # noqa: B009


@linux_only
def test_without_any_backend_there_is_none_and_the_reasons_are_said(tmp_path: Path) -> None:
    sandbox = choose_sandbox(SandboxSettings(), tmp_path, path=str(tmp_path), among=["bubblewrap"])
    assert isinstance(sandbox, NoSandbox)
    assert sandbox.reason == "bubblewrap is not installed"
    assert not any(sandbox.guarantees.values())


@linux_only
def test_a_bubblewrap_that_may_not_make_namespaces_counts_as_none(tmp_path: Path) -> None:
    said = "bwrap: setting up uid map: Permission denied"
    path = fake_bwrap(tmp_path / "bin", f"echo '{said}' >&2; exit 1")
    sandbox = choose_sandbox(SandboxSettings(), tmp_path, path=path, among=["bubblewrap"])
    assert isinstance(sandbox, NoSandbox)
    assert sandbox.reason == f"bubblewrap does not work here ({said})"
    assert not (tmp_path / CACHE).exists(), "a failure is looked at again the next time"


@linux_only
@pytest.mark.skipif(landlock_abi() == 0, reason="this kernel has no Landlock")
def test_without_bubblewrap_landlock_is_taken_and_says_why_it_is_not_bubblewrap(tmp_path: Path) -> None:
    sandbox = choose_sandbox(SandboxSettings(), tmp_path, path=str(tmp_path))
    assert (sandbox.name, sandbox.reason) == ("landlock", "bubblewrap is not installed")
    with pytest.raises(UserError, match=r"'landlock' cannot guarantee fs_write \(bubblewrap is not installed\)"):
        choose_sandbox(SandboxSettings(require=["fs_write"]), tmp_path, path=str(tmp_path))


@linux_only
def test_the_strongest_backend_has_nothing_to_excuse(program: Path, tmp_path: Path) -> None:
    assert choose_sandbox(SandboxSettings(), tmp_path, path=str(program.parent)).reason == ""


@linux_only
def test_a_program_that_only_pretends_to_be_a_sandbox_is_passed_over(tmp_path: Path) -> None:
    """It runs the command as it is: every escape succeeds, whatever flags it took."""
    path = fake_bwrap(tmp_path / "bin", 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"')
    sandbox = choose_sandbox(SandboxSettings(), tmp_path, path=path, among=["bubblewrap"])
    assert sandbox.name == "none"
    assert sandbox.reason == "bubblewrap lets every escape through here"
    with pytest.raises(UserError):
        choose_sandbox(SandboxSettings(require=["fs_write"]), tmp_path, path=path, among=["bubblewrap"])


@linux_only
def test_the_probe_is_remembered_for_this_program_and_this_boot(program: Path, tmp_path: Path) -> None:
    counter = tmp_path / "count"
    path = fake_bwrap(
        tmp_path / "bin",
        f'[ "$1" = --version ] && echo fake 1 && exit; echo x >> {counter}; exec {program} "$@"',
    )
    first = choose_sandbox(SandboxSettings(), tmp_path, path=path)
    probes = counter.read_text(encoding="utf-8")
    assert choose_sandbox(SandboxSettings(), tmp_path, path=path).guarantees == first.guarantees
    assert counter.read_text(encoding="utf-8") == probes
    cache = json.loads((tmp_path / CACHE).read_text(encoding="utf-8"))
    cache["bubblewrap"]["key"][2] = "another boot"
    (tmp_path / CACHE).write_text(json.dumps(cache), encoding="utf-8")
    choose_sandbox(SandboxSettings(), tmp_path, path=path)
    assert counter.read_text(encoding="utf-8") == probes * 2


@linux_only
@pytest.mark.parametrize("text", ['{"bubblewrap": ', "[]", '{"bubblewrap": 3}', '{"bubblewrap": {"key": []}}'])
def test_a_broken_cache_is_no_reason_to_stop(tmp_path: Path, text: str) -> None:
    (tmp_path / CACHE).write_text(text, encoding="utf-8")
    path = fake_bwrap(tmp_path / "bin", "exit 1")
    assert choose_sandbox(SandboxSettings(), tmp_path, path=path, among=["bubblewrap"]).name == "none"


@linux_only
def test_a_cache_that_lacks_something_is_probed_anew(program: Path, tmp_path: Path) -> None:
    def chosen() -> Sandbox:
        return choose_sandbox(SandboxSettings(), tmp_path, path=str(program.parent), among=["bubblewrap"])

    first = chosen()
    cache = json.loads((tmp_path / CACHE).read_text(encoding="utf-8"))
    del cache["bubblewrap"]["extras"]
    (tmp_path / CACHE).write_text(json.dumps(cache), encoding="utf-8")
    assert chosen().guarantees == first.guarantees
    assert json.loads((tmp_path / CACHE).read_text(encoding="utf-8"))["bubblewrap"]["extras"]


@pytest.mark.parametrize("held", [True, False])
def test_limits_are_held_when_the_supervisor_was_seen_to_hold_them(tmp_path: Path, held: bool) -> None:
    asked: list[bool] = []

    def limits() -> bool:
        asked.append(held)
        return held

    for _ in range(2):
        sandbox = choose_sandbox(SandboxSettings(), tmp_path, among=(), limits=limits)
        assert sandbox.guarantees["limits"] is held
    assert len(asked) == (1 if held else 2), "what does not hold is looked at again"


@pytest.mark.parametrize("without", ["refuse", "ask"])
def test_no_sandbox_where_the_settings_want_one_is_a_user_error(tmp_path: Path, without: str) -> None:
    settings = SandboxSettings.model_validate({"without": without})
    with pytest.raises(UserError, match=rf'^without = "{without}" in \[sandbox\] of swarm.toml needs a sandbox'):
        choose_sandbox(settings, tmp_path, path=str(tmp_path), among=["bubblewrap"])


def test_a_missing_guarantee_is_a_user_error_that_says_which(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot guarantee net, unix_sock"):
        choose_sandbox(SandboxSettings(require=["net", "unix_sock"]), tmp_path, among=())
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
