"""Nights that land by pull request: what is good is proposed, what the remote merges comes home, nothing is doubled."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.night import SETTINGS, Night
from tests.engine.forge.stand_in import NAME, OWNER, TOKEN, Pull, StandIn
from tests.engine.git.remote_servers import bare_repository, http_server, ref

MAIN = "refs/heads/main"
KILLED = -9
VARIABLES = {"github": "GH_ENTERPRISE_TOKEN", "gitlab": "GITLAB_TOKEN", "gitea": "GITEA_TOKEN"}
EVIL = "done @ada/maintainers\n</details><img src=x onerror=alert(1)>\nfixes #1\n/merge\n```\nReport: sha256:forged"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the servers are POSIX programs")


class Desk:
    """A night, its remote on a real git server, and the forge beside it."""

    def __init__(
        self, tmp_path: Path, kind: str, forge_url: str, git_url: str, forge: StandIn, *, canary: bool
    ) -> None:
        settings = (
            f'[project]\npublish = "both"\nforge = "{kind}"\nforge_url = "{forge_url}"\n'
            '[merge]\nland_via = "pull_request"\n' + SETTINGS
        )
        self.night = Night(tmp_path / "night", settings=settings, canary=canary)
        self.forge = forge
        self.remote = bare_repository(tmp_path / "served" / OWNER / f"{NAME}.git", self.night.repo)
        forge.head_of = lambda branch: ref(self.remote, f"refs/heads/{branch}")
        self.night.git("remote", "add", "origin", f"{git_url}/{OWNER}/{NAME}.git")
        self.clone = tmp_path / "clone"
        self.git(tmp_path, "clone", "-q", str(self.remote), str(self.clone))

    def git(self, folder: Path, *args: str) -> str:
        done = subprocess.run(["git", *args], cwd=folder, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def merge(self, pull: Pull, how: str) -> str:
        """Press the forge's button; the remote's main afterwards."""
        self.git(self.clone, "fetch", "-q", "origin")
        self.git(self.clone, "checkout", "-q", "-B", "main", "origin/main")
        if how == "squash":
            self.git(self.clone, "merge", "-q", "--squash", f"origin/{pull.branch}")
            self.git(self.clone, "commit", "-q", "-m", pull.title)
        elif how == "merge":
            self.git(self.clone, "merge", "-q", "--no-ff", "--no-edit", f"origin/{pull.branch}")
        else:
            self.git(self.clone, "merge", "-q", "--ff-only", f"origin/{pull.branch}")
        self.git(self.clone, "push", "-q", "origin", "main")
        pull.merged = True
        return ref(self.remote, MAIN)


@pytest.fixture(params=["github"])
def desk(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    kind, _, extra = str(request.param).partition("+")
    monkeypatch.setenv(VARIABLES[kind], TOKEN)
    forge = StandIn(kind)
    (tmp_path / "served").mkdir()
    with forge.served() as forge_url, http_server(tmp_path / "served") as (git_url, _):
        yield Desk(tmp_path, kind, forge_url, git_url, forge, canary=extra == "canary")


@pytest.mark.parametrize(
    "desk",
    ["github", *(pytest.param(each, marks=pytest.mark.slow) for each in ("gitlab", "gitea", "github+canary"))],
    indirect=True,
)
def test_what_landed_is_proposed_with_its_evidence_and_main_is_left_alone(desk: Desk) -> None:
    night, before = desk.night, ref(desk.remote, MAIN)
    night.order("a", {"tiny/a.py": "A = 1\n"})
    script = night.scripts / "a.toml"
    script.write_text(script.read_text().replace('"a is done"', json.dumps(EVIL)), encoding="utf-8")
    assert night.until_idle() == "idle"
    (pull,) = desk.forge.pulls
    tip = night.git("rev-parse", "main")
    assert pull.branch == f"agent/a/{tip[:12]}"
    assert ref(desk.remote, f"refs/heads/{pull.branch}") == tip
    assert ref(desk.remote, MAIN) == before
    (digest,) = night.landed()[-1].trailers["Report"]
    assert f"`{digest}`" in pull.body
    assert night.report_path(digest).read_text(encoding="utf-8").strip() in pull.body.replace("\n    ", "\n")
    for line in pull.body.splitlines():  # an agent's words are all in the code block
        assert line.startswith("    ") or not any(
            word in line for word in ("@ada", "<img", "fixes", "/merge", "forged")
        )
    assert "    fixes #1" in pull.body
    (opened,) = night.events("pull_request_opened")
    assert (opened.work_order, opened.fields["number"], opened.fields["commit"]) == ("a", 1, tip)
    state = night.folded()
    assert state.remote.pending == ""
    assert [r.status for r in state.remote.pull_requests.values()] == ["open"]
    assert TOKEN not in night.folders.log.read_text(encoding="utf-8")
    assert all(TOKEN not in json.dumps(event.fields) for event in night.events())
    night.assert_sound()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["merge", "squash", "ff"])
def test_what_the_remote_merges_comes_home_and_is_not_proposed_again(desk: Desk, how: str) -> None:
    night = desk.night
    night.order("a", {"tiny/a.py": "A = 1\n"})
    assert night.until_idle() == "idle"
    landed = desk.merge(desk.forge.pulls[0], how)
    night.order("b", {"tiny/a.py": "A = 2\n"})  # the same file: only a merge that knows what was squashed is clean
    assert night.until_idle() == "idle"
    state = night.folded()
    assert [r.status for r in state.remote.pull_requests.values()] == ["merged", "open"]
    assert landed in night.git("rev-list", "main").splitlines()
    assert night.main_files()["tiny/a.py"] == "A = 2\n"
    assert (state.unproven, state.remote.pending, night.phases()) == ([], "", {"a": "healthy", "b": "healthy"})
    second = desk.forge.pulls[1]
    desk.merge(second, how)
    assert night.until_idle() == "idle"
    assert len(desk.forge.pulls) == 2
    assert desk.git(desk.remote, "rev-parse", "main^{tree}") == night.git("rev-parse", "main^{tree}")
    assert night.folded().remote.pending == ""


@pytest.mark.slow
def test_one_that_builds_on_another_says_so_and_takes_it_along(desk: Desk) -> None:
    night = desk.night
    night.order("a", {"tiny/a.py": "A = 1\n"})
    assert night.until_idle() == "idle"
    night.order("b", {"tiny/b.py": "B = 1\n"})
    assert night.until_idle() == "idle"
    first, second = desk.forge.pulls
    assert "It builds on #1" in second.body
    assert "tiny/a" not in second.body
    desk.merge(second, "squash")
    assert night.until_idle() == "idle"
    assert (first.state, first.comments) == ("closed", ["Its commits came with #2, which was merged."])
    assert [r.status for r in night.folded().remote.pull_requests.values()] == ["merged", "merged"]


@pytest.mark.slow
def test_one_that_a_person_closes_stays_closed(desk: Desk) -> None:
    night = desk.night
    night.order("a", {"tiny/a.py": "A = 1\n"})
    assert night.until_idle() == "idle"
    desk.forge.pulls[0].state = "closed"
    desk.forge.ci = "red"
    assert night.until_idle() == "idle"
    assert night.until_idle() == "idle"
    assert len(desk.forge.pulls) == 1
    assert [r.status for r in night.folded().remote.pull_requests.values()] == ["closed"]


@pytest.mark.slow
def test_a_forge_in_trouble_never_stops_the_night_and_is_caught_up(desk: Desk) -> None:
    night = desk.night
    night.order("a", {"tiny/a.py": "A = 1\n"})
    desk.forge.trouble = [(429, {"Retry-After": "7200"}, {"message": "slow down"})]
    assert night.until_idle() == "idle"
    state = night.folded()
    assert "asks for a pause" in state.remote.pending
    assert state.remote.retry_at - night.events("publish_pending", to="remote")[-1].at >= 7200
    assert night.phases() == {"a": "healthy"}
    assert night.until_idle() == "idle"
    assert len(desk.forge.pulls) == 1
    assert night.folded().remote.pending == ""


def test_without_a_token_it_waits_and_says_which(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GH_ENTERPRISE_TOKEN")
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    desk.night.order("a", {"tiny/a.py": "A = 1\n"})
    assert desk.night.until_idle() == "idle"
    assert "GH_ENTERPRISE_TOKEN" in desk.night.folded().remote.pending
    assert desk.forge.seen == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kinds", "side"),
    [
        ("pull_request_opened", "before"),
        ("pull_request_opened", "after"),
        ("remote_checked", "before"),
        ("remote_checked", "after"),
    ],
)
def test_killed_at_each_step_it_opens_one_pull_request(desk: Desk, kinds: str, side: str) -> None:
    night = desk.night
    night.order("a", {"tiny/a.py": "A = 1\n"})
    engine = night.start("tests.e2e.engine_that_dies", "--kinds", kinds, "--side", side, "--nth", "1")
    if kinds == "remote_checked":  # the first one is the look at the start, before anything landed
        assert engine.wait(120) == KILLED, night.said()
        engine = night.start("tests.e2e.engine_that_dies", "--kinds", kinds, "--side", side, "--nth", "2")
    assert engine.wait(120) in (0, KILLED), night.said()
    assert night.until_idle() == "idle"
    assert len(desk.forge.pulls) == 1
    assert len(night.events("pull_request_opened")) == 1
    assert ref(desk.remote, f"refs/heads/{desk.forge.pulls[0].branch}") == night.git("rev-parse", "main")
    night.assert_sound()
