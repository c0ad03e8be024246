"""`swarm metrics` counts what a real night proved."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.journal import JournalReader
from engine.metrics import Tally
from engine.models.metrics import Metrics
from tests.e2e.night import Night

BYE = """\
import unittest

from tiny.words import WORDS


class ByeTest(unittest.TestCase):
    def test_bye_is_known(self):
        self.assertIn("bye", WORDS)
"""


def figures(night: Night) -> Metrics:
    tally = Tally()
    with JournalReader(night.folders.journal) as reader:
        for event in reader.events():
            tally.apply(event)
    return tally.figures(0.0)


@pytest.mark.slow
def test_tests_of_a_fix_are_counted_and_those_of_other_work_are_not(tmp_path: Path) -> None:
    night = Night(tmp_path)
    night.order("mend", {"tiny/words.py": "WORDS = {'hello', 'bye'}\n", "tests/test_bye.py": BYE}, kind="fix")
    night.order("note", {"NOTES.md": "A note.\n"}, kind="docs")
    night.until_idle()
    assert night.phases() == {"mend": "healthy", "note": "healthy"}
    m = figures(night)
    assert m.regression_tests_added == 1
    assert (m.limitations_listed, m.limitations_resolved_with_a_test) == (0, 0)
    proved = [event.fields["proved"] for event in night.events("report_signed", report_kind="land", result="green")]
    assert {"mend": 1} in [{name: count for name, count in each.items() if count} for each in proved]
