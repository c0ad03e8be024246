"""`swarm check` names what would leave the night's work where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.models.settings import Settings
from swarm_tui.checking_remote import remote_problems
from swarm_tui.place import Place, find_place
from tests.conftest import MakeRepo


@pytest.fixture
def place(git_repo: MakeRepo, tmp_path: Path) -> Place:
    return find_place(git_repo({"a.txt": "a\n"}).path, tmp_path / "state")


def said(place: Place, **settings: object) -> str:
    return " ".join(str(problem) for problem in remote_problems(Settings.model_validate(settings), place))


def test_a_remote_that_is_not_there_and_one_that_is(place: Place, git_repo: MakeRepo) -> None:
    both = {"publish": "both"}
    assert said(place, project={"publish": "local"}) == ""
    assert "git remote add origin" in said(place, project=both)
    config = place.repository.common_dir / "config"
    config.write_text(
        config.read_text(encoding="utf-8") + '[remote "origin"]\n\turl = git@git.example.org:ada/engine.git\n',
        encoding="utf-8",
    )
    assert said(place, project=both) == ""


def test_a_forge_without_a_name_or_a_token(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    config = place.repository.common_dir / "config"
    config.write_text(
        config.read_text(encoding="utf-8") + '[remote "origin"]\n\turl = git@git.example.org:ada/engine.git\n',
        encoding="utf-8",
    )
    by_request = {"land_via": "pull_request"}
    assert "which forge it is" in said(place, project={"publish": "both"}, merge=by_request)
    named = {"publish": "both", "forge": "gitea"}
    monkeypatch.delenv("GITEA_TOKEN", raising=False)
    monkeypatch.delenv("FORGEJO_TOKEN", raising=False)
    assert "GITEA_TOKEN" in said(place, project=named, merge=by_request)
    monkeypatch.setenv("GITEA_TOKEN", "a-token")
    assert said(place, project=named, merge=by_request) == ""
