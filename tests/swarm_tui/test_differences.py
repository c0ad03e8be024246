"""What differs between two commits, read for people: right, bounded, and never a crash."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from swarm_tui.room.differences import Bounds, Difference, FileDiff, read_difference
from tests.conftest import GitRepo, MakeRepo


def between(repo: GitRepo, base: str, head: str, bounds: Bounds | None = None) -> Difference:
    return read_difference(repo.path / ".git", base, head, bounds or Bounds())


def named(difference: Difference, path: str) -> FileDiff:
    return next(file for file in difference.files if file.path == path)


def rows(file: FileDiff) -> list[str]:
    signs = {"added": "+", "removed": "-", "same": " ", "hunk": "@", "note": "\\"}
    return [f"{line.number}{signs[line.kind]}{line.text}" for line in file.lines]


def test_each_file_has_its_status_its_counts_and_its_lines(git_repo: MakeRepo) -> None:
    repo = git_repo({"a.txt": "one\ntwo\nthree\n", "gone.txt": "x\n"})
    base = repo.head()
    (repo.path / "gone.txt").unlink()
    head = repo.commit({"a.txt": "one\n2\nthree\nfour\n", "new.txt": "n\n"})

    found = between(repo, base, head)

    assert (found.problem, found.note, found.added, found.removed) == ("", "", 3, 2)
    assert [(file.path, file.status, file.added, file.removed) for file in found.files] == [
        ("a.txt", "M", 2, 1), ("gone.txt", "D", 0, 1), ("new.txt", "A", 1, 0),
    ]  # fmt: skip
    assert rows(named(found, "a.txt")) == ["1@", "1 one", "2-two", "2+2", "3 three", "4+four"]
    assert rows(named(found, "gone.txt")) == ["0@", "1-x"]


def test_content_that_looks_like_a_patch_stays_content(git_repo: MakeRepo) -> None:
    repo = git_repo({"a": "-- old\n"})
    base = repo.head()
    head = repo.commit({"a": "++ new\ndiff --git a/x b/x\n@@ -1 +1 @@\n", "b": "b\n"})

    found = between(repo, base, head)

    assert rows(named(found, "a")) == ["1@", "1--- old", "1+++ new", "2+diff --git a/x b/x", "3+@@ -1 +1 @@"]
    assert rows(named(found, "b")) == ["1@", "1+b"]


def test_a_missing_end_of_line_is_said(git_repo: MakeRepo) -> None:
    repo = git_repo({"a": "x"})
    base = repo.head()
    found = between(repo, base, repo.commit({"a": "x\n"}))
    assert rows(found.files[0]) == ["1@", "1-x", "0\\No newline at end of file", "1+x"]


def test_a_binary_file_is_named_and_not_shown(git_repo: MakeRepo) -> None:
    repo = git_repo({"a.bin": b"\0\1\2"})
    base = repo.head()
    file = between(repo, base, repo.commit({"a.bin": b"\0\3\4"})).files[0]
    assert (file.added, file.removed, file.lines) == (None, None, ())
    assert "binary" in file.note


def test_names_that_git_would_quote_are_shown_clean_and_keep_their_lines(git_repo: MakeRepo) -> None:
    repo = git_repo({"a": "a\n"})
    base = repo.head()
    name = "b ü 日本.txt" if sys.platform == "win32" else 'b "ü"\n\x1b[31m日本.txt'
    found = between(repo, base, repo.commit({name: "b\n", "z": "z\n"}))
    assert [rows(file)[-1] for file in found.files] == ["1+b", "1+z"]
    assert "日本" in found.files[0].path
    assert not any(ord(char) < 32 for file in found.files for char in file.path)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has neither execute bits nor links that anybody may make")
def test_a_change_of_kind_or_mode_is_said_and_does_not_shift_the_files_after_it(git_repo: MakeRepo) -> None:
    repo = git_repo({"a": "text\n", "m": "m\n", "z": "z\n"})
    base = repo.head()
    (repo.path / "a").unlink()
    (repo.path / "a").symlink_to("z")
    (repo.path / "m").chmod(0o755)
    found = between(repo, base, repo.commit({"z": "other\n"}))

    assert "another kind" in named(found, "a").note
    assert rows(named(found, "a"))[:2] == ["0@", "1-text"]
    assert named(found, "m").note == "mode 100644 becomes 100755"
    assert rows(named(found, "z")) == ["1@", "1-z", "1+other"]


def test_too_many_lines_are_cut_file_by_file_and_the_counts_stay_right(git_repo: MakeRepo) -> None:
    repo = git_repo({})
    base = repo.head()
    head = repo.commit({"a": "a\n" * 50, "b": "b\n"})

    found = between(repo, base, head, Bounds(lines_per_file=10))

    assert [(file.cut, len(file.lines), file.added) for file in found.files] == [(True, 10, 50), (False, 2, 1)]
    assert "too big" in found.note


def test_a_patch_that_is_cut_marks_every_file_that_is_not_whole(git_repo: MakeRepo) -> None:
    repo = git_repo({})
    base = repo.head()
    head = repo.commit({"a": "a\n", "b": "b" * 4_000 + "\n", "c": "c\n"})

    found = between(repo, base, head, Bounds(patch_bytes=1_000))

    assert [file.cut for file in found.files] == [False, True, True]
    assert [file.added for file in found.files] == [1, 1, 1]


def test_too_many_files_are_counted_and_the_first_are_listed(git_repo: MakeRepo) -> None:
    repo = git_repo({})
    base = repo.head()
    head = repo.commit({f"f{number}": "x\n" for number in range(9)})
    found = between(repo, base, head, Bounds(files=4))
    assert len(found.files) == 4
    assert found.note.startswith("9 files differ; the first 4")


def test_a_list_that_is_cut_never_shows_half_a_name(git_repo: MakeRepo) -> None:
    repo = git_repo({})
    base = repo.head()
    names = {f"folder/name-{number:03}" for number in range(100)}
    head = repo.commit(dict.fromkeys(names, "x\n"))
    found = between(repo, base, head, Bounds(list_bytes=2_000))
    assert 0 < len(found.files) < 100
    assert {file.path for file in found.files} <= names
    assert "more files differ" in found.note


def test_the_settings_of_a_repository_have_no_say(git_repo: MakeRepo) -> None:
    repo = git_repo({"a": "a\n"})
    base = repo.head()
    head = repo.commit({"a": "b\n", ".gitattributes": "* diff=evil\n"})
    for name, value in (("diff.external", "false"), ("diff.evil.command", "false"), ("diff.noprefix", "true")):
        repo.git("config", name, value)
    assert rows(named(between(repo, base, head), "a")) == ["1@", "1-a", "1+b"]


def test_two_equal_commits_differ_in_nothing(git_repo: MakeRepo) -> None:
    repo = git_repo({"a": "a\n"})
    found = between(repo, repo.head(), repo.head())
    assert (found.files, found.problem) == ((), "")


def test_a_commit_that_is_gone_is_said_in_a_sentence(git_repo: MakeRepo) -> None:
    repo = git_repo({"a": "a\n"})
    found = between(repo, repo.head(), "1" * 40)
    assert found.problem == "111111111111 is not in the hub any more, so no diff can be read"


def test_no_hub_and_no_ids_are_said_in_a_sentence(tmp_path: Path) -> None:
    assert "there is no hub" in read_difference(tmp_path / "hub.git", "1" * 40, "2" * 40).problem
    assert "not known" in read_difference(tmp_path / "hub.git", "--output=x", "").problem
