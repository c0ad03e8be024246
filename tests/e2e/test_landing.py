"""What landed can be proved by anyone: trailers, signatures, trees; and what is red together never lands together."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.night import ROOT, Night

HELLO_TEST = """\
import unittest
from tiny.words import WORDS


class HelloTest(unittest.TestCase):
    def test_hello_is_known(self):
        self.assertIn("hello", WORDS)
"""


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


def report_of(night: Night, digest: str) -> dict[str, object]:
    import base64

    envelope = json.loads(night.report_path(digest).read_bytes())
    return json.loads(base64.b64decode(envelope["payload"]))


def swarm(night: Night, *arguments: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "swarm_tui.cli", *arguments, "--repo", str(night.repo), "--state", str(night.state)]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False)


def test_an_order_lands_with_a_report_that_anyone_can_check(night: Night) -> None:
    night.order("a", {"tiny/a.py": "A = 1\n"})
    assert night.until_idle() == "idle"
    assert night.phases() == {"a": "healthy"}
    assert night.main_files()["tiny/a.py"] == "A = 1\n"
    (commit,) = night.landed()
    assert commit.trailers["Work-Order"] == ["a"]
    assert (night.repo / "tiny/a.py").read_text(encoding="utf-8") == "A = 1\n"
    night.assert_sound()


@pytest.mark.slow
def test_a_tampered_report_is_believed_by_nobody(night: Night) -> None:
    night.order("a", {"tiny/a.py": "A = 1\n"})
    night.until_idle()
    (commit,) = night.landed()
    assert swarm(night, "verify", commit.commit).returncode == 0
    path = night.report_path(commit.trailers["Report"][0])
    true = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(true.replace(b'"payload":"ey', b'"payload":"fy', 1))
    assert path.read_bytes() != true
    assert swarm(night, "verify", commit.commit).returncode == 1
    with pytest.raises(AssertionError):
        night.openssl(path)
    path.write_bytes(true)
    assert swarm(night, "verify", commit.commit).returncode == 0


@pytest.mark.slow
def test_a_report_is_about_the_tree_that_landed_and_the_main_it_landed_on(night: Night) -> None:
    for name in ("a", "b", "c"):
        night.order(name, {f"tiny/{name}.py": f"{name.upper()} = 1\n"})
    night.until_idle()
    before = proved = night.git("rev-list", "--max-parents=0", "main")
    for commit in night.landed():
        assert commit.parents == (before,)
        before = commit.commit
        if "Batch-Report" in commit.trailers:
            continue
        report = json.dumps(report_of(night, commit.trailers["Report"][0]))
        assert commit.tree in report
        assert night.git("rev-parse", f"{proved}^{{tree}}") in report
        proved = commit.commit
    assert len(night.landed()) == 3
    assert proved == before
    night.assert_sound()


@pytest.mark.parametrize("first", ["one", "two"])
def test_two_that_are_green_alone_and_red_together_never_both_land(night: Night, first: str) -> None:
    """Each is right about main as it was; the second to come is gated again on what the first made of it."""
    night.order("one", {"tiny/words.py": "WORDS = {'hallo'}\n"}, priority=1 if first == "one" else 2)
    night.order("two", {"tests/test_hello.py": HELLO_TEST}, priority=2 if first == "one" else 1)
    night.until_idle()
    landed = [commit.trailers["Work-Order"][0] for commit in night.landed()]
    assert len(landed) == 1
    other = "two" if landed == ["one"] else "one"
    assert night.phases() == {landed[0]: "healthy", other: "parked"}
    assert night.events("change_rejected", work_order=other)
    night.assert_sound()


@pytest.mark.slow
def test_a_person_in_the_middle_of_a_night_is_kept_and_gated(night: Night) -> None:
    night.order("a", {"tiny/a.py": "A = 1\n"})
    night.until_idle()
    theirs = night.person_commits({"tiny/words.py": "WORDS = {'hello', 'you'}\n"}, "You, too")
    night.order("b", {"tiny/b.py": "B = 1\n"})
    night.until_idle()
    assert [commit.commit for commit in night.landed()][1] == theirs
    assert night.folded().unproven == []
    assert night.phases() == {"a": "healthy", "b": "healthy"}
    assert night.main_files()["tiny/words.py"] == "WORDS = {'hello', 'you'}\n"
    night.assert_sound()
