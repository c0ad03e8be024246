"""`swarm verify`: files, commits and ranges, with artifacts or notes alone, and everything run again."""

from __future__ import annotations

import asyncio
import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from engine.artifacts import ArtifactStore
from engine.definitions import policy_digest
from engine.errors import UserError
from engine.folders import state_folder_for
from engine.git.door import UserGit
from engine.git.hub import Hub
from engine.git.notes import NOTES, attach, publish_notes
from engine.git.publish import Published, publish
from engine.models.report import GateResult
from engine.models.roadmap import WorkOrder
from engine.ports import GateRequest
from swarm_tui.proving import open_bench, settings_at
from swarm_tui.rerunning import MOST_TOLD, differences
from swarm_tui.verifying import verify_subject
from tests.conftest import GitRepo, MakeRepo, new_repo

SETTINGS = """\
[project]
main = "main"

[[gate]]
name = "unit"
run = ["python", "-m", "unittest", "-q"]
results = "unittest"
timeout = "60s"
"""
TESTS = """\
import os
import unittest


class T(unittest.TestCase):
    def test_one(self):
        self.assertEqual(len(open("value.txt").read()), 2)

    def test_of_the_zone(self):
        self.assertNotEqual(os.environ.get("TZ"), "Etc/GMT-9")
"""

ORDER = WorkOrder(id="wo", title="Say two", kind="refactor", goal="The value is two.")
WRITTEN = '[[work_order]]\nid = "wo"\ntitle = "Say two"\nkind = "refactor"\ngoal = "The value is two."\n'


class Landed:
    """A repository whose newest commit on main was gated and landed as an engine does it."""

    def __init__(self, repo: GitRepo, folder: Path) -> None:
        self.repo, self.state = repo, folder / "state"
        repo.commit(
            {
                "swarm.toml": SETTINGS,
                "roadmap.toml": "",
                "value.txt": "1\n",
                "test_value.py": TESTS,
            }
        )
        self.base = repo.head()
        self.folders = state_folder_for(repo.path, self.state)
        bench = open_bench(repo.path, self.state)
        self.store, self.hub = ArtifactStore(self.folders.artifacts), Hub(self.folders.root)
        repo.git("checkout", "-q", "-b", "work")
        theirs = repo.commit({"value.txt": "2\n"})
        tree = self.hub.tree_of(self.hub.fetch_objects(repo.path, theirs))
        repo.git("checkout", "-q", "main")
        settings = settings_at(bench.site, self.base)
        request = GateRequest(
            key="land@1", tree=tree, base_tree=self.hub.tree_of(self.base), base_commit=self.base,
            repository=self.hub.root_commit(), gates=tuple(settings.gate), policy=policy_digest(settings),
            change="agent/wo/1-aaaaaaaa", work_order="wo", order=ORDER,
        )  # fmt: skip

        async def emit(kind: str, fields: dict[str, Any]) -> None:
            pass

        signed = asyncio.run(bench.wings.ports.gates.run(request, emit))
        assert signed.report.result == "green", signed.report.reasons
        self.digest, self.report = signed.digest, signed.report
        message = f"Land it\n\nWork-Order: wo\nReport: {self.digest}\n"
        self.commit = self.hub.commit(tree, [self.base], message, 0.0)
        assert self.hub.move_main(self.commit, self.base)
        assert publish(self.hub, repo.path, "main") == Published(self.commit)

    def copied(self, folder: Path) -> Landed:
        """The same in another folder, so that a test may break it."""
        shutil.copytree(self.repo.path, folder / "repo")
        shutil.copytree(self.state, folder / "state")
        found = copy.copy(self)
        found.repo, found.state = GitRepo(folder / "repo"), folder / "state"
        found.folders = state_folder_for(found.repo.path, found.state)
        found.store, found.hub = ArtifactStore(found.folders.artifacts), Hub(found.folders.root)
        return found

    @property
    def envelope(self) -> Path:
        return self.store.path(self.digest)

    def verify(self, subject: str, **options: Any) -> int:
        return verify_subject(self.repo.path, self.state, subject, **{"as_json": False, **options})


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Landed:
    """Made once; tests have copies of it."""
    folder = tmp_path_factory.mktemp("landed")
    return Landed(new_repo(folder / "repo", {}), folder)


@pytest.fixture
def landed(first: Landed, tmp_path: Path) -> Landed:
    return first.copied(tmp_path)


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_a_commit_a_range_and_a_file_are_told_apart_from_what_is_not_proved(
    landed: Landed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert landed.verify("main") == 0
    assert said(capsys).startswith(f"✔ {landed.commit[:12]} proved")
    assert landed.verify("main~1..main") == 0
    assert "1 commits: 1 proved, 0 proved with their batch, 0 unproven, 0 false" in said(capsys)
    assert landed.verify("main~1") == 1
    assert said(capsys).startswith(f"? {landed.base[:12]} unproven")
    assert landed.verify(str(landed.envelope)) == 0
    text = said(capsys)
    assert text.startswith(f"✔ green report for tree {landed.report.tree}\n")
    assert "unit: green, 2 passed, 0 failed, 0 skipped" in text


def test_an_order_that_was_rewritten_since_is_told(landed: Landed, capsys: pytest.CaptureFixture[str]) -> None:
    assert landed.report.order.startswith("sha256:")
    roadmap = landed.repo.path / "roadmap.toml"
    for text, told in ((WRITTEN, False), (WRITTEN.replace("is two", "is three"), True), ("", False)):
        roadmap.write_text(text, encoding="utf-8")
        assert landed.verify("main") == 0
        assert ("The work order wo read otherwise" in said(capsys)) is told, text


def test_what_is_false_is_told_in_a_sentence_with_what_to_do(
    landed: Landed, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    liar = landed.repo.commit({"value.txt": "3\n"}, f"Mine\n\nReport: {landed.digest}")
    assert landed.verify("main") == 1
    mark, problem, *_ = said(capsys).splitlines()
    assert mark.startswith(f"✘ {liar[:12]} false")
    assert problem.startswith("    The report is about the tree")
    assert "run `swarm gates`" in problem
    assert landed.verify("main~2..main") == 1
    assert "1 proved, 0 proved with their batch, 0 unproven, 1 false" in said(capsys)
    forged = tmp_path / "forged"
    forged.write_bytes(landed.envelope.read_bytes().replace(b"eyJ", b"eyK", 1))
    assert landed.verify(str(forged)) == 1
    assert said(capsys).startswith("✘ The report is not believed, because")
    forged.write_bytes(landed.envelope.read_bytes())
    assert landed.verify(str(forged)) == 0


def test_what_cannot_be_judged_is_refused_with_what_to_name_instead(
    landed: Landed, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"neither a report file nor a commit of .*: name a file"):
        landed.verify(str(tmp_path / "no-such-report"))
    with pytest.raises(UserError, match="neither a report file nor a commit"):
        landed.verify("main..nowhere")
    with pytest.raises(UserError, match=r'there is no commit in "main\.\.main~1": name the older end first'):
        landed.verify("main..main~1")
    with pytest.raises(UserError, match=r"no public key at .*: give the `public_key`"):
        landed.verify("main", public_key=tmp_path / "no-such-key")
    (tmp_path / "prose").write_text("nothing signed", encoding="utf-8")
    assert landed.verify(str(tmp_path / "prose")) == 1
    assert "without us" not in said(capsys), "there is nothing in it that could be checked"


def test_the_recipe_says_which_commit_it_is_about(landed: Landed, capsys: pytest.CaptureFixture[str]) -> None:
    assert landed.verify("main~1..main") == 0
    assert f"These lines are about {landed.commit[:12]};" in said(capsys)


def test_json_has_what_scripts_read(landed: Landed, capsys: pytest.CaptureFixture[str]) -> None:
    landed.verify("main~1..main", as_json=True)
    told = json.loads(said(capsys))
    (row,) = told["commits"]
    assert (row["commit"], row["status"], row["report"], row["problems"], row["remarks"]) == (
        landed.commit, "proved", landed.digest, [], [],
    )  # fmt: skip
    assert told["recipe"]
    landed.verify(str(landed.envelope), as_json=True)
    told = json.loads(said(capsys))
    assert (told["ok"], told["tree"], told["result"], told["problems"]) == (True, landed.report.tree, "green", [])


@pytest.mark.skipif(shutil.which("openssl") is None or sys.platform == "win32", reason="needs openssl and a shell")
def test_the_printed_recipe_runs_as_it_stands(landed: Landed, capsys: pytest.CaptureFixture[str]) -> None:
    landed.verify("main")
    printed = said(capsys).partition("Check it without us:\n")[2]
    assert printed

    def run(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["sh", "-e", "-c", script], capture_output=True, text=True, check=False)

    good = run(printed)
    assert (good.returncode, good.stdout.splitlines()[-2:]) == (0, ["result: green", landed.report.tree]), good.stderr
    landed.envelope.chmod(0o644)
    landed.envelope.write_bytes(landed.envelope.read_bytes().replace(b"eyJ", b"eyK", 1))
    assert run(printed).returncode != 0


def test_a_stranger_with_a_clone_its_notes_and_the_key_can_verify(
    landed: Landed, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    envelopes = [landed.store.get(digest) for digest in (landed.digest, *landed.report.envelopes)]
    attach(landed.hub, landed.commit, envelopes, 0.0)
    assert publish_notes(landed.hub, UserGit(landed.repo.path)) == ""
    clone, key = tmp_path / "clone", tmp_path / "theirs.pem"
    landed.repo.git("clone", "-q", str(landed.repo.path), str(clone))
    shutil.copy(landed.folders.keys / "public.pem", key)
    asked: dict[str, Any] = {"as_json": False, "public_key": key}
    assert verify_subject(clone, tmp_path / "other", "main", **asked) == 1
    assert "refs/notes/swarm" in said(capsys)
    UserGit(clone).run("fetch", "-q", "origin", f"{NOTES}:{NOTES}")
    assert verify_subject(clone, tmp_path / "other", "main", **asked) == 0
    printed = said(capsys).partition("Check it without us:\n")[2]
    if shutil.which("openssl") and sys.platform != "win32":
        subprocess.run(["sh", "-e", "-c", printed], check=True, capture_output=True)
    with pytest.raises(UserError, match="--key"):
        verify_subject(clone, tmp_path / "other", "main", as_json=False)


@pytest.mark.slow
def test_run_again_it_is_proved_again_until_something_outside_the_tree_mattered(
    landed: Landed, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(landed.state.iterdir())
    assert landed.verify("main", rerun=True) == 0
    assert "✔ proved again in a clean clone" in said(capsys)
    assert sorted(landed.state.iterdir()) == before
    monkeypatch.setenv("TZ", "Etc/GMT-9")  # gates inherit it
    assert landed.verify(str(landed.envelope), rerun=True, as_json=True) == 1
    (again,) = json.loads(said(capsys))["rerun"]
    assert (again["same"], again["result"]) == (False, "red")
    assert again["differences"][0].startswith("The gate unit was green and is red now: ")
    assert [told for told in again["differences"] if "test_of_the_zone was passed and is failed now" in told]
    assert not [told for told in again["differences"] if "test_one" in told]


def test_a_report_on_a_tree_that_is_not_here_cannot_run_again(
    landed: Landed, git_repo: MakeRepo, tmp_path: Path
) -> None:
    other = git_repo({"a": "b", "swarm.toml": SETTINGS, "roadmap.toml": ""}, "other")
    with pytest.raises(UserError, match="is not in this repository"):
        verify_subject(
            other.path, tmp_path / "elsewhere", str(landed.envelope), as_json=True, rerun=True,
            public_key=landed.folders.keys / "public.pem",
        )  # fmt: skip


# ---- comparing


def gate(**fields: Any) -> GateResult:
    return GateResult.model_validate({"name": "unit", "result": "green", **fields})


def test_equal_runs_differ_in_nothing() -> None:
    assert differences(gate(duration_s=1.0), gate(duration_s=9.0), {"a": "passed"}, {"a": "passed"}) == []


def test_each_test_that_says_otherwise_is_named() -> None:
    then, now = {"a": "passed", "b": "passed", "c": "skipped"}, {"a": "passed", "c": "passed", "d": "failed"}
    assert differences(gate(), gate(), then, now) == [
        "unit: b was passed and is not there now.",
        "unit: c was skipped and is passed now.",
        "unit: d was not there and is failed now.",
    ]


def test_of_very_many_differences_the_rest_is_counted() -> None:
    many = {f"t{nth:03}": "passed" for nth in range(MOST_TOLD + 7)}
    found = differences(gate(), gate(), many, {})
    assert (len(found), found[-1]) == (MOST_TOLD + 1, "unit: 7 more tests differ.")


def test_without_the_old_list_the_counts_have_to_agree() -> None:
    counts = {"executed": 2, "passed": 2}
    assert differences(gate(**counts), gate(**counts), None, {"a": "passed", "b": "passed"}) == []
    assert len(differences(gate(**counts), gate(executed=1, passed=1), None, {"a": "passed"})) == 1
