"""A change taken from real tree objects: what guards read is what git has, with few calls of git."""

import os
import subprocess
from pathlib import Path

import pytest

from engine.git.hub import Hub
from engine.models.settings import Guards
from engine.ports import GuardRequest
from gates.guards import judging
from gates.guards.coverage import changed_lines
from gates.guards.judging import guard_change, judged


class World:
    """A user's repository and its hub."""

    def __init__(self, folder: Path) -> None:
        self.repo = folder / "repo"
        self.repo.mkdir()
        self.git("init", "-q", "-b", "main")
        self.base = self.commit({"a.py": b"1\n", "sub/b.py": b"x = 1\ny = 2\n", "bin": b"\0\1\n\2"})
        self.hub = Hub.create_or_open(folder / "state", self.repo, "main")

    def git(self, *argv: str) -> str:
        env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        who = ("-c", "user.name=p", "-c", "user.email=p@p", "-c", "core.autocrlf=false")
        done = subprocess.run(["git", *who, *argv], cwd=self.repo, env=env, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, files: dict[str, bytes | None]) -> str:
        for name, content in files.items():
            path = self.repo / name
            if content is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "a step")
        return self.git("rev-parse", "HEAD")

    def request(self, files: dict[str, bytes | None], **guards: object) -> GuardRequest:
        tree = self.hub.tree_of(self.hub.fetch_objects(self.repo, self.commit(files)))
        return GuardRequest(tree, self.hub.tree_of(self.base), (), (), Guards.model_validate(guards), "wo")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_files_are_read_as_they_are_on_both_sides(world: World) -> None:
    request = world.request({"a.py": None, "sub/b.py": b"x = 1\n", "new.bin": b"\0\n\0 blob 3\n", "empty": b""})
    change = judged(world.hub, request)
    assert [row.path for row in change.rows] == ["a.py", "empty", "new.bin", "sub/b.py"]
    assert [row.size for row in change.rows] == [0, 0, 11, 6]
    assert (change.old("a.py"), change.new("a.py")) == (b"1\n", None)
    assert (change.old("sub/b.py"), change.new("sub/b.py")) == (b"x = 1\ny = 2\n", b"x = 1\n")
    assert (change.old("new.bin"), change.new("new.bin")) == (None, b"\0\n\0 blob 3\n")
    assert (change.new("empty"), change.new("bin"), change.new("sub"), change.new("nowhere")) == (
        b"",
        b"\0\1\n\2",
        None,
        None,
    )
    assert list(change.paths()) == ["bin", "empty", "new.bin", "sub/b.py"]
    assert change.modes(request.base_tree) == dict.fromkeys(("a.py", "bin", "sub/b.py"), "100644")


def test_what_is_too_large_to_read_ahead_is_read_when_asked_for(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "FETCHED_AT_ONCE", 5)
    change = judged(world.hub, world.request({"large": b"l" * 100, "small": b"s"}))
    assert (change.new("large"), change.new("small")) == (b"l" * 100, b"s")


def test_every_guard_speaks_once_and_each_can_refuse(world: World) -> None:
    fine = guard_change(world.hub, world.request({"c.py": b"c = 1\n"}))
    assert all(result.ok for result in fine)
    assert len({result.rule for result in fine}) == len(fine)
    files: dict[str, bytes | None] = {
        "conftest.py": b"",
        "CON": b"x",
        "requirements.txt": b"evil==1\n",
        "layout/a.py": b"import app\n",
        "app.py": b"",
        "gen/x": b"x",
        "key": b"gh" + b"p_" + b"aB3dE5gH7jK9mN1pQ3sT5vW7yZ0bC2dF4hJ6",
        "tool": b"\x7fELF\0",
        ".gitattributes": b"*.psd filter=lfs\n",
        "a.psd": b"content",
        "large": b"x" * 2000,
    }
    settings: dict[str, object] = {
        "boundaries": [{"from": "layout/**", "may_not": "app.py"}],
        "generated": [{"paths": ["gen/**"], "sources": ["schema/**"]}],
        "max_file": 1000,
    }
    refused = {
        result.rule: result.paths
        for result in guard_change(world.hub, world.request(files, **settings))
        if not result.ok
    }
    assert refused == {
        "protected": [".gitattributes", "conftest.py"],
        "names": ["CON"],
        "dependencies": ["requirements.txt"],
        "boundaries": ["layout/a.py"],
        "generated": ["gen/x"],
        "secrets": ["key"],
        "binaries": ["tool"],
        "lfs": ["a.psd"],
        "size": ["large"],
    }


def test_added_lines_between_two_trees(world: World) -> None:
    request = world.request({"sub/b.py": b"x = 1\nz = 3\ny = 2\n", "new.py": b"1\n2\n", "a.py": None})
    assert changed_lines(world.hub, request.base_tree, request.tree) == {"sub/b.py": {2}, "new.py": {1, 2}}
