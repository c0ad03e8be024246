"""What a person reads in the log of a gate that runs unittest under watch."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.gates.results.watched import Watched

RED = """
import unittest


class Red(unittest.TestCase):
    def test_red(self):
        raise ValueError("seen")
"""


def test_a_traceback_begins_in_the_test(tmp_path: Path) -> None:
    watched = Watched(tmp_path).write({"tests/__init__.py": "", "tests/test_red.py": RED})
    seen = watched.run("unittest", sys.executable, "-m", "unittest", "discover", "-s", "tests", "-t", ".")
    assert list(seen.outcomes.values()) == ["failed"], watched.output
    assert "test_red.py" in watched.output
    assert "ValueError: seen" in watched.output
    assert "launch_unittest.py" not in watched.output
