from __future__ import annotations

import sys
from pathlib import Path

import pytest

from engine.masks import is_masked, masked_files


@pytest.mark.parametrize("name", [".env", ".ENV", ".env.local", ".env.production", ".Env.Test", ".envrc"])
def test_where_secrets_are_kept_is_hidden(name: str) -> None:
    assert is_masked(name)


@pytest.mark.parametrize(
    "name", [".env.example", ".env.sample", ".env.TEMPLATE", "env", "a.env", ".environment", ".en"]
)
def test_what_is_there_to_be_read_is_not(name: str) -> None:
    assert not is_masked(name)


def test_files_are_found_in_every_folder_but_the_repository_itself(tmp_path: Path) -> None:
    for name in (".env", "app/.env.local", "app/.env.example", "app/main.py", ".git/.env", "b/.env"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x", encoding="utf-8")
    (tmp_path / "c" / ".env").mkdir(parents=True)  # a folder of that name is none
    found = [path.relative_to(tmp_path.resolve()).as_posix() for path in masked_files(tmp_path, ["b/.env"])]
    assert found == [".env", "app/.env.local"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_hides_its_target_and_one_that_leads_outside_hides_nothing(tmp_path: Path) -> None:
    workspace = tmp_path / "workspace"
    (workspace / "conf").mkdir(parents=True)
    (workspace / "conf" / "secrets").write_text("x", encoding="utf-8")
    (tmp_path / "outside").write_text("x", encoding="utf-8")
    (workspace / ".env").symlink_to("conf/secrets")
    (workspace / ".env.local").symlink_to(tmp_path / "outside")
    (workspace / ".env.gone").symlink_to("nowhere")
    (workspace / ".env.loop").symlink_to(".env.loop")
    assert masked_files(workspace) == ((workspace / "conf" / "secrets").resolve(),)
