"""A night with a test that flakes on main: nobody is blamed, it is put in quarantine, and mended by its own order."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from night import PATIENCE_S, SETTINGS, Night

from engine.flakes import FlakeRecord, mending_order
from engine.models.event import Event
from engine.models.settings import Flakes
from engine.sandbox.none import NoSandbox
from swarm_tui import compose
from swarm_tui.place import find_place

RULES = '\n[flakes]\nseen = 1\nrate = 0.1\nexpire = "30d"\n'
TEST = "tests.test_mood.MoodTest.test_mood"
MOODY = """\
import pathlib, unittest


class MoodTest(unittest.TestCase):
    def test_mood(self):
        self.assertEqual(pathlib.Path({mood!r}).read_text(), "good", "the weather")
"""
STEADY = """\
import unittest


class MoodTest(unittest.TestCase):
    def test_mood(self):
        self.assertEqual("good", "go" + "od", "the weather")
"""


class MoodyNight(Night):
    """Its flaky test is red while the file `mood` says so, which changes at what the engine tells."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.mood = self.folder / "mood"
        self.mood.write_text("good", encoding="utf-8")
        self.person_commits({"tests/test_mood.py": MOODY.format(mood=str(self.mood))}, "A moody test")

    def told(self, events: list[Event]) -> None:
        for event in events:
            if event.kind == "report_signed" and event.fields["report_kind"] == "gates":
                self.mood.write_text("bad", encoding="utf-8")  # main was green, and the first change will not be
            elif event.kind == "report_signed":
                self.mood.write_text("good", encoding="utf-8")

    def run(self) -> None:
        host = compose.make_host(find_place(self.repo, self.state))
        host.on_events = self.told

        async def night() -> None:
            async with asyncio.timeout(PATIENCE_S):
                await host.run(until_idle=True)

        asyncio.run(night())


@pytest.fixture(autouse=True)
def _no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mood lies where a sandbox would hide it."""
    monkeypatch.setattr(compose, "choose_sandbox", lambda *_, **__: NoSandbox())


@pytest.mark.slow
def test_a_flake_on_main_is_not_held_against_a_change_and_its_order_mends_it(tmp_path: Path) -> None:
    night = MoodyNight(tmp_path / "night", settings=SETTINGS + RULES)
    mending = mending_order(TEST, FlakeRecord("unit"), Flakes(), {}).id
    night.order("word", {"tiny/words.py": "WORDS = {'hello', 'moin'}\n"}, kind="refactor")
    night.order(mending, {"tests/test_mood.py": STEADY}, offered=False)
    night.run()
    night.assert_sound()
    assert night.phases() == {"word": "healthy", mending: "healthy"}
    reports = night.events("report_signed", report_kind="land")
    assert (reports[0].fields["result"], reports[0].fields["excused"]) == ("red", True)
    assert reports[0].fields["flaked"] == {"unit": [TEST]}
    assert night.events("change_rejected") == []
    (put,) = night.events("test_quarantined")
    assert (put.work_order, put.fields["test"], put.fields["owner"]) == (mending, TEST, "swarm")
    (lifted,) = night.events("quarantine_lifted")
    assert lifted.fields["why"] == "fixed"
    assert night.folded().flakes == {}
    assert len(night.events("run_started", work_order="word")) == 1


@pytest.mark.slow
def test_a_change_that_breaks_the_same_test_is_still_blamed(tmp_path: Path) -> None:
    """The honest twin: the same night, but main stays green when the control run looks."""
    night = MoodyNight(tmp_path / "night", settings=SETTINGS + RULES)
    broken = MOODY.format(mood=str(night.mood)).replace('"good"', '"better"')
    night.order("word", {"tests/test_mood.py": broken}, kind="refactor")
    night.told = lambda events: None  # type: ignore[method-assign]
    night.run()
    assert night.events("test_quarantined") == []
    assert night.phases() == {"word": "parked"}
    assert "green on main as it is" in night.events("change_rejected")[0].fields["reasons"][0]
