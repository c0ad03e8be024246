"""Nights that publish to a remote: what landed arrives, people's pushes are taken in, trouble is said and outlived."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from engine.errors import UserError
from tests.e2e.night import SETTINGS, Night
from tests.engine.git.remote_servers import (
    LOGIN,
    bare_repository,
    git_daemon,
    http_server,
    ref,
    refuse_pushes,
    silent_server,
)

MAIN = "refs/heads/main"
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the servers are POSIX programs")


def night_with(tmp_path: Path, publish: str = "both", extra: str = "") -> tuple[Night, Path]:
    """A night whose remote is a bare repository that has its first commit."""
    settings = f'[project]\npublish = "{publish}"\n{extra}\n' + SETTINGS
    night = Night(tmp_path / "night", settings=settings)
    (tmp_path / "served").mkdir()
    remote = bare_repository(tmp_path / "served" / "project.git", night.repo)
    night.git("remote", "add", "origin", str(remote))
    return night, remote


def person_pushes(night: Night, remote: Path, files: dict[str, str], message: str) -> str:
    """Somebody else commits on the remote's main, from a clone of his own."""
    clone = night.folder / "clone"
    if not clone.exists():
        _git(night.folder, "clone", "-q", str(remote), str(clone))
    _git(clone, "pull", "-q", "--ff-only")
    for name, content in files.items():
        (clone / name).write_text(content, encoding="utf-8")
    _git(clone, "add", "-A")
    _git(clone, "commit", "-q", "-m", message)
    _git(clone, "push", "-q", "origin", "HEAD:main")
    return _git(clone, "rev-parse", "HEAD")


def _git(folder: Path, *args: str) -> str:
    done = subprocess.run(["git", *args], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_landed_arrives_over_http_with_its_evidence(tmp_path: Path) -> None:
    night, remote = night_with(tmp_path)
    night.order("a", {"tiny/a.py": "A = 1\n"})
    with http_server(remote.parent) as (url, _):
        night.git("remote", "set-url", "origin", f"{url}/project.git")
        assert night.until_idle() == "idle"
    tip = night.git("rev-parse", "main")
    assert ref(remote, MAIN) == tip
    assert night.folded().remote.pending == ""
    assert night.events("published", to="remote")[-1].fields["commit"] == tip
    assert _git(remote, "notes", "--ref=refs/notes/swarm", "list", tip)
    night.assert_sound()


def test_people_who_push_to_the_remote_meanwhile_are_taken_in(tmp_path: Path) -> None:
    night, remote = night_with(tmp_path)
    theirs = person_pushes(night, remote, {"note.txt": "by hand\n"}, "Mine")
    night.order("a", {"tiny/a.py": "A = 1\n"})
    with git_daemon(remote.parent) as url:
        night.git("remote", "set-url", "origin", f"{url}/project.git")
        assert night.until_idle() == "idle"
    tip = ref(remote, MAIN)
    assert tip == night.git("rev-parse", "main")
    assert theirs in _git(remote, "rev-list", tip).splitlines()
    assert set(night.main_files()) >= {"note.txt", "tiny/a.py"}
    state = night.folded()
    assert (state.unproven, state.remote.pending) == ([], "")


@pytest.mark.slow
def test_commits_that_conflict_wait_and_say_what_to_do(tmp_path: Path) -> None:
    night, remote = night_with(tmp_path, "remote")
    night.order("a", {"tiny/a.py": "A = 1\n"})
    night.git("remote", "set-url", "origin", str(remote.parent / "away.git"))
    assert night.until_idle() == "idle"
    assert "is not there" in night.folded().remote.pending
    night.git("remote", "set-url", "origin", str(remote))
    theirs = person_pushes(night, remote, {"tiny/a.py": "A = 2\n"}, "Mine")
    assert night.until_idle() == "idle"
    pending = night.folded().remote.pending
    assert "cannot join what landed" in pending
    assert "tiny/a.py" in pending
    assert ref(remote, MAIN) == theirs
    clone = night.folder / "clone"  # a person merges both there, and the swarm takes it from there
    _git(clone, "fetch", "-q", str(night.folders.hub), "main")
    _git(clone, "merge", "-q", "--strategy-option=ours", "--no-edit", "FETCH_HEAD")
    _git(clone, "push", "-q", "origin", "HEAD:main")
    assert night.until_idle() == "idle"
    assert night.folded().remote.pending == ""
    assert night.main_files()["tiny/a.py"] == "A = 2\n"


@pytest.mark.slow
@pytest.mark.parametrize("trouble", ["login", "refuses", "silent", "gone"])
def test_a_remote_in_trouble_never_stops_the_night_and_is_caught_up(
    trouble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    night, remote = night_with(tmp_path)
    night.order("a", {"tiny/a.py": "A = 1\n"})
    before = ref(remote, MAIN)
    if trouble == "refuses":
        refuse_pushes(remote, "closed for the night")
        assert night.until_idle() == "idle"
    elif trouble == "login":
        with http_server(remote.parent, LOGIN) as (url, _):
            night.git("remote", "set-url", "origin", f"{url}/project.git")
            assert night.until_idle() == "idle"
    elif trouble == "silent":
        monkeypatch.setattr("engine.git.remote.Patience.look_s", 1.0, raising=True)
        monkeypatch.setattr("engine.git.remote.Patience.__init__.__defaults__", (1.0, 600.0, 600.0))
        with silent_server() as url:
            night.git("remote", "set-url", "origin", f"{url}/project.git")
            assert night.until_idle() == "idle"
    else:
        night.git("remote", "set-url", "origin", "http://127.0.0.1:9/project.git")
        assert night.until_idle() == "idle"
    words = {"login": "wants a login", "refuses": "closed for the night", "silent": "no answer", "gone": "reached"}
    assert words[trouble] in night.folded().remote.pending
    assert night.phases() == {"a": "healthy"}
    assert night.git("rev-parse", "main") == night.landed()[-1].commit
    assert ref(remote, MAIN) == before
    (remote / "hooks" / "pre-receive").unlink(missing_ok=True)
    night.git("remote", "set-url", "origin", str(remote))
    assert night.until_idle() == "idle"
    assert night.folded().remote.pending == ""
    assert ref(remote, MAIN) == night.git("rev-parse", "main")
    night.assert_sound()


# ---- killed in the middle ------------------------------------------------------------------------------------------


def hook_that_waits(remote: Path, folder: Path) -> tuple[Path, Path]:
    """A pre-receive hook that says when it has begun, and waits until it may go on."""
    begun, go = folder / "begun", folder / "go"
    hook = remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(
        f"#!/bin/sh\necho begun > {begun}\nn=0\n"
        f"while [ ! -e {go} ] && [ $n -lt 600 ]; do sleep 0.1; n=$((n+1)); done\n",
        encoding="utf-8",
    )
    hook.chmod(0o755)
    return begun, go


@pytest.mark.slow
def test_killed_in_the_middle_of_a_push_it_is_repeated_and_arrives_once(tmp_path: Path) -> None:
    night, remote = night_with(tmp_path)
    begun, go = hook_that_waits(remote, tmp_path)
    night.order("a", {"tiny/a.py": "A = 1\n"})
    engine = night.start()
    night.wait_for_file(begun)
    engine.kill()
    assert engine.wait(60) != 0
    go.touch()
    assert night.until_idle() == "idle"
    assert ref(remote, MAIN) == night.git("rev-parse", "main")
    assert night.folded().remote.pending == ""
    night.assert_sound()


@pytest.mark.slow
@pytest.mark.parametrize("side", ["before", "after"])
def test_killed_between_the_push_and_its_record_it_is_not_repeated(side: str, tmp_path: Path) -> None:
    night, remote = night_with(tmp_path, "remote")
    assert night.until_idle() == "idle"
    pushes = remote / "pushes"
    hook = remote / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ngrep refs/heads/main >> {pushes}\nexit 0\n", encoding="utf-8")
    hook.chmod(0o755)
    night.order("a", {"tiny/a.py": "A = 1\n"})
    dies = ("tests.e2e.engine_that_dies", "--kinds", "published", "--side", side, "--nth")
    assert night.start(*dies, "1").wait(120) == -9  # the look at the start
    if not pushes.exists():
        assert night.start(*dies, "2").wait(120) in (0, -9), night.said()
    assert night.until_idle() == "idle"
    tip = night.landed()[-1].commit
    assert ref(remote, MAIN) == tip
    assert len(pushes.read_text(encoding="utf-8").splitlines()) == 1
    assert night.folded().remote.done == tip


@pytest.mark.slow
def test_stopping_does_not_wait_for_a_remote_that_hangs(tmp_path: Path) -> None:
    night, _ = night_with(tmp_path)
    night.order("a", {"tiny/a.py": "A = 1\n"})
    with silent_server() as url:
        night.git("remote", "set-url", "origin", f"{url}/project.git")
        engine = night.start("swarm_tui.cli", "--no-ui", "--json")

        def landed() -> bool:
            try:
                return night.phases().get("a") == "healthy"
            except UserError:  # no journal yet
                return False

        night.wait_for(landed, "a landing")
        stop = night.started("swarm_tui.cli", "stop", "--repo", str(night.repo), "--state", str(night.state))
        assert stop.wait(30) == 0, night.said()
        assert engine.wait(30) == 0, night.said()
    night.wait_for(lambda: not night.processes(), "the end of git")


@pytest.mark.slow
def test_notes_that_a_crash_left_behind_arrive_at_the_next_start(tmp_path: Path) -> None:
    night = Night(tmp_path / "night", settings=SETTINGS)
    night.order("a", {"tiny/a.py": "A = 1\n"})
    assert night.until_idle() == "idle"
    landed = night.landed()[-1].commit
    hub = night.folders.hub
    for repository in (night.repo, hub):
        assert _git(repository, "notes", "--ref=swarm", "list", landed)
        _git(repository, "update-ref", "-d", "refs/notes/swarm")
    assert night.until_idle() == "idle"
    for repository in (night.repo, hub):
        assert _git(repository, "notes", "--ref=swarm", "list", landed)


# ---- without a remote ----------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("publish", ["none", "local"])
def test_without_a_remote_what_landed_lies_in_the_patch_queue(publish: str, tmp_path: Path) -> None:
    night = Night(tmp_path / "night", settings=f'[project]\npublish = "{publish}"\n' + SETTINGS)
    base = night.git("rev-parse", "main")
    night.order("a", {"tiny/a.py": "A = 1\n"})
    night.order("b", {"tiny/b.py": "B = 1\n"})
    assert night.until_idle() == "idle"
    folder = night.folders.patches
    names = (folder / "series").read_text(encoding="ascii").split()
    assert len(names) == 2
    clone = tmp_path / "fresh"
    _git(tmp_path, "clone", "-q", str(night.repo), str(clone))
    _git(clone, "checkout", "-q", base)
    _git(clone, "am", "-q", "--keep-cr", *(str(folder / name) for name in names))
    assert _git(clone, "rev-parse", "HEAD^{tree}") == night.landed()[-1].tree
    cover = (folder / "cover-letter.txt").read_text(encoding="utf-8")
    proofs = [commit.trailers.get("Report") or commit.trailers["Batch-Report"] for commit in night.landed()]
    assert all(digest in cover for (digest,) in proofs)  # two that landed together have one proof
    night.order("c", {"tiny/c.py": "C = 1\n"})  # another night goes on, or begins anew if he has it all
    assert night.until_idle() == "idle"
    names = (folder / "series").read_text(encoding="ascii").split()
    assert len(names) == (3 if publish == "none" else 1)
