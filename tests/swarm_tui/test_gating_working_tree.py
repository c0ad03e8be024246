"""The working tree becomes a tree object, and nothing of the person's is touched."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from engine.git.hub import Hub
from swarm_tui.gating.dirt import dirt
from swarm_tui.gating.working_tree import working_tree


class Person:
    def __init__(self, folder: Path) -> None:
        self.root = folder / "repo"
        self.root.mkdir()
        self.git("init", "-q", "-b", "main", "--template=")
        self.write("a.py", "a = 1\n")
        self.write("b.py", "b = 1\n")
        self.write(".gitignore", "*.log\n")
        self.git("add", "-A")
        self.git("-c", "user.name=p", "-c", "user.email=p@p", "commit", "-q", "-m", "one")
        self.hub = Hub.create_or_open(folder / "state", self.root, "main")

    def git(self, *words: str) -> str:
        done = subprocess.run(["git", *words], cwd=self.root, check=True, capture_output=True, encoding="utf-8")
        return done.stdout

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text, encoding="utf-8", newline="\n")

    def state(self) -> tuple[bytes, str, int]:
        objects = sum(1 for path in (self.root / ".git" / "objects").rglob("*") if path.is_file())
        return (
            (self.root / ".git" / "index").read_bytes(),
            self.git("--no-optional-locks", "status", "--porcelain"),
            objects,
        )


@pytest.fixture
def person(tmp_path: Path) -> Person:
    return Person(tmp_path)


def test_a_clean_tree_is_heads(person: Person) -> None:
    now = working_tree(person.hub, person.root)
    assert (now.files, now.tree) == (0, person.hub.tree_of(now.commit))
    assert now.commit == person.git("rev-parse", "HEAD").strip()


def test_everything_that_would_be_committed_is_in_it_and_neither_index_nor_objects_are_touched(person: Person) -> None:
    person.write("a.py", "a = 2\n")
    person.git("add", "a.py")
    person.write("a.py", "a = 3\n")
    (person.root / "b.py").unlink()
    person.write("new.py", "new\n")
    person.write("noise.log", "ignored\n")
    before = person.state()
    now = working_tree(person.hub, person.root)
    assert person.state() == before
    assert now.files == 3
    assert {entry.path for entry in person.hub.entries(now.tree)} == {".gitignore", "a.py", "new.py"}
    assert person.hub.read_file(now.tree, "a.py") == b"a = 3\n"
    assert person.hub.has(now.tree)


def test_what_is_staged_and_gone_from_the_working_tree_is_not_in_it(person: Person) -> None:
    """Its blob lies in the person's repository alone: a tree with it could not be checked out."""
    person.write("staged.py", "staged\n")
    person.git("add", "staged.py")
    kept = person.hub.tree_of(working_tree(person.hub, person.root).tree)
    assert person.hub.read_file(kept, "staged.py") == b"staged\n"
    (person.root / "staged.py").unlink()
    assert person.hub.read_file(working_tree(person.hub, person.root).tree, "staged.py") is None


def test_two_looks_at_the_same_files_give_the_same_tree(person: Person) -> None:
    person.write("a.py", "a = 2\n")
    assert working_tree(person.hub, person.root) == working_tree(person.hub, person.root)


def test_who_changed_the_settings_is_told_which_ones_count(tmp_path: Path) -> None:
    person = Person(tmp_path)
    assert dirt(person.root) == ""
    person.write("a.py", "a = 2\n")
    assert dirt(person.root).startswith("note: HEAD is gated, and 1 file of the working tree is not committed")
    assert "swarm.toml" not in dirt(person.root)
    person.write("swarm.toml", "")
    assert dirt(person.root).endswith("the gates are those of the committed swarm.toml")
