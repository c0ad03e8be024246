"""A bad landing among good ones: main is put back, the right one is blamed, and nothing of the others is lost."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from engine.git.hub import Hub
from swarm_tui.compose import make_host
from swarm_tui.place import find_place
from tests.e2e.night import PATIENCE_S, Night
from tests.e2e.patient_canary import patient

KILLED = -9
HELLO_TEST = """\
import unittest
from tiny.words import WORDS


class HelloTest(unittest.TestCase):
    def test_hello_is_known(self):
        self.assertIn("hello", WORDS)
"""
USES_TEST = """\
import unittest
from tiny.lib import LIB


class UsesTest(unittest.TestCase):
    def test_it_uses_the_lib(self):
        self.assertEqual(LIB, 1)
"""
LANDINGS = 4
"""One that is good and judged first, then three at once."""
BAD = "lib"


def a_bad_one_of_three(folder: Path) -> Night:
    """`lib` is red in the canary; `uses` was made on top of it and needs its file; `plain` needs nothing."""
    night = Night(folder, canary=True)
    night.until_idle()
    forgets, mended = "WORDS = set()\n", "WORDS = {'hello', 'lib'}\n"
    night.order("good", {"tiny/good.py": "GOOD = 1\n"})
    night.order(
        BAD,
        {"tiny/lib.py": "LIB = 1\n", "tiny/words.py": forgets},
        {"tiny/lib.py": "LIB = 1\n", "tiny/words.py": mended},
        depends_on=["good"],
    )
    uses = {"tests/test_uses.py": USES_TEST, "tiny/uses.py": "from tiny.lib import LIB\n"}
    alone = {"tiny/uses.py": "USES = 1\n"}
    night.order("uses", uses, alone, depends_on=[BAD])
    night.order("plain", {"tiny/plain.py": "PLAIN = 1\n"}, depends_on=["uses"])
    night.order("bug-lib-1", {"tests/test_hello.py": HELLO_TEST}, offered=False)
    return night


def assert_told_right(night: Night) -> None:
    """Restored first; the right one blamed; a revert that would break main never landed; and nothing is lost."""
    kinds = [event.kind for event in night.events("main_restored", "culprit_found", "change_reverted")]
    assert kinds == ["main_restored", "culprit_found", "change_reverted"]
    assert [event.work_order for event in night.events("culprit_found")] == [BAD]
    restored = night.events("main_restored")[0].seq
    uses = night.events("change_proposed", work_order="uses")[0].fields["change"]
    again = [row for row in night.events("report_signed") if row.seq > restored and uses in row.fields["trial"]]
    assert [event.fields["result"] for event in again][:1] == ["red"], "without lib it breaks main"
    assert [event.seq < restored for event in night.events("change_landed", change=uses)] == [True]
    assert set(night.phases().values()) == {"healthy"}
    files = night.main_files()
    assert {f"tiny/{name}.py" for name in ("good", "lib", "uses", "plain")} <= set(files)
    assert "hello" in files["tiny/words.py"]
    hub = Hub(night.state)
    for commit in night.landed():
        there = {entry.path for entry in hub.entries(hub.tree_of(commit.commit))}
        assert "tiny/lib.py" in there or "tests/test_uses.py" not in there
    bug = night.folded().orders["bug-lib-1"].spec
    assert "swarm canary" in bug.goal
    assert "sha256:" in bug.goal
    night.assert_sound()


@pytest.mark.slow
def test_a_bad_landing_among_three_is_taken_back_and_what_needs_its_file_does_not_land_without_it(
    tmp_path: Path,
) -> None:
    night = a_bad_one_of_three(tmp_path)
    host = make_host(
        find_place(night.repo, night.state), adapt=lambda ports: patient(ports, night.folders.journal, LANDINGS)
    )

    async def run() -> str:
        async with asyncio.timeout(PATIENCE_S):
            return await host.run(until_idle=True)

    assert asyncio.run(run()) == "idle"
    assert_told_right(night)
    status = night.folded()
    assert status.flows["hello"].reds == 0
    assert status.frozen_s > 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_killed_in_the_middle_of_a_canary_a_restore_and_a_search_it_goes_on(tmp_path: Path) -> None:
    night = a_bad_one_of_three(tmp_path)
    kills = [
        ("canary_finished", "before", 2),  # the first red
        ("canary_finished", "after", 1),
        ("canary_started", "after", 1),  # in the middle of a rerun
        ("intent", "after", 1),  # of the restore
        ("main_restored", "before", 1),
        ("canary_finished", "before", 2),  # of the search
        ("canary_finished", "after", 1),
        ("culprit_found", "before", 1),
        ("work_order_added", "before", 1),
    ]
    for kinds, side, nth in kills:
        where = ("--kinds", kinds, "--side", side, "--nth", str(nth), "--landings", str(LANDINGS))
        engine = night.start("tests.e2e.engine_that_dies", *where)
        assert engine.wait(PATIENCE_S) == KILLED, f"no {kinds}: {night.said()}"
    assert night.until_idle() == "idle"
    assert len(night.events("engine_started")) == 2 + len(kills)
    assert_told_right(night)


@pytest.mark.slow
def test_what_says_auto_revert_off_stays_until_a_person_has_answered(tmp_path: Path) -> None:
    night = Night(tmp_path, canary=True)
    night.until_idle()
    night.order("kept", {"tiny/words.py": "WORDS = set()\n"}, auto_revert=False)
    night.until_idle()
    (commit,) = night.landed()
    assert commit.trailers["Auto-Revert"] == ["off"]
    assert night.events("main_restored") == []
    state = night.folded()
    assert state.frozen_kind == "canary"
    assert [(a.status, a.danger) for a in state.approvals.values()] == [("pending", "restore")]
    night.order("late", {"tiny/late.py": "LATE = 1\n"})
    night.until_idle()
    assert "late" in {event.work_order for event in night.events("change_queued")}, "agents go on"
    assert [each.commit for each in night.landed()] == [commit.commit], "landing does not"
