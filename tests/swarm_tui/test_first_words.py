"""What somebody new is told who makes a mistake: one sentence, without our machinery, with what to do."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engine.errors import UserError
from swarm_tui.command_line import run
from swarm_tui.inspecting import print_log, print_status
from tests.conftest import MakeRepo


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["gates", "--sabotage", "x"], "--sabotage has to be a valid integer"),
        (["gates", "--sabotage", "-1"], "--sabotage has to be greater than or equal to 0"),
        (["demo", "--seed", "x"], "--seed has to be a valid integer"),
        (["gates", "--nope"], "no such option: --nope: `swarm --help` lists what there is"),
    ],
)
def test_a_mistake_on_the_command_line_names_the_option(
    monkeypatch: pytest.MonkeyPatch, words: list[str], said: str
) -> None:
    monkeypatch.setattr(sys, "argv", ["swarm", *words])
    with pytest.raises(UserError) as told:
        run()
    assert str(told.value) == said


def test_before_the_first_start_it_is_said_how_to_start(git_repo: MakeRepo, tmp_path: Path) -> None:
    repo = git_repo({}).path
    with pytest.raises(UserError, match=r"^there is no journal at .*: start the engine once with `swarm`\.$"):
        print_status(repo, tmp_path / "state", as_json=False)
    with pytest.raises(UserError, match=r"^there is no log of the engine yet at .*: start it once with `swarm`$"):
        print_log(repo, tmp_path / "state", "", follow=False)


def test_what_is_no_report_is_told_in_a_sentence(git_repo: MakeRepo, tmp_path: Path) -> None:
    from gates.sign import open_keys
    from gates.verify import verify_report

    key = open_keys(tmp_path / "keys").verify_key
    for envelope in (b"", b"no report\n", b'{"a": 1, "a": 2}', b"[" * 9_999, b"\xff"):
        (problem,) = verify_report(envelope, key).problems
        assert problem.count(":") == 1, problem
