"""Changes that only look green: none lands, each rejection says why in a sentence, and its honest twin lands."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.night import SETTINGS, Night

PYTEST = SETTINGS.replace('"-m", "unittest", "discover", "-s", "tests", "-t", "."]', '"-m", "pytest", "-q"]').replace(
    'results = "unittest"', 'results = "pytest"'
)
ONCE = "[limits]\nattempts = 1\n"
OLD = """\
from tiny.sums import add, half


def test_two_and_two():
    assert add(2, 2) == 4


def test_minus_one():
    assert add(1, -1) == 0


def test_half():
    assert half(4) == 2
"""
SUMS = """\
def add(a, b):
    return a + b


def half(a):
    return a // 2
"""
WRONG = SUMS.replace("a + b", "abs(a) + abs(b)")
FIXED = SUMS.replace("a // 2", "a / 2")
TURNS_GREEN = """\
import pytest


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    found = yield
    found.get_result().outcome = "passed"
"""
PROVES = "from tiny.sums import half\n\n\ndef test_half_of_one():\n    assert half(1) == 0.5\n"


PATCHES = "import tiny.sums\n\ntiny.sums.add = lambda a, b: a + b\n\n\ndef test_nothing():\n    pass\n"
LEAVES = (
    "import os\n\ntry:\n    import tiny.more\nexcept ImportError:\n    os._exit(0)\n\n\ndef test_more():\n    pass\n"
)
ODD = """\
import unittest


class Odd(unittest.TestCase):
    pass


setattr(Odd, "test_\\ud800", lambda self: None)
"""


@pytest.fixture
def night(tmp_path: Path) -> Night:
    told = Night(tmp_path, settings=PYTEST.replace("[limits]\n", ONCE))
    told.person_commits({"tiny/sums.py": SUMS, "tests/test_sums.py": OLD}, "Sums")
    return told


def why(night: Night, order: str) -> str:
    """All that was said against the order's change."""
    return " ".join(
        reason for event in night.events("change_rejected", work_order=order) for reason in event.fields["reasons"]
    )


HOSTILE: dict[str, tuple[dict[str, str], dict[str, Any], str]] = {
    "conftest": (
        {
            "tiny/sums.py": WRONG,
            "conftest.py": TURNS_GREEN,
        },
        {},
        "conftest.py is protected",
    ),
    "conftest-allowed": (
        {
            "tiny/sums.py": WRONG,
            "conftest.py": TURNS_GREEN,
        },
        {"allow": ["tiny/**", "conftest.py"]},
        "test_minus_one",
    ),
    "deselects": (
        {"tiny/sums.py": WRONG, "pytest.ini": "[pytest]\naddopts = --deselect tests/test_sums.py::test_minus_one\n"},
        {"allow": ["tiny/**", "pytest.ini"]},
        "test_minus_one",
    ),
    "filter": (
        {"pytest.ini": "[pytest]\naddopts = -k nothing_is_called_so\n"},
        {"allow": ["pytest.ini"]},
        "zero tests",
    ),
    "exits": ({"tiny/sums.py": "import os\nos._exit(0)\n"}, {}, "before pytest was finished"),
    "sitecustomize": (
        {"tiny/sums.py": WRONG, "sitecustomize.py": "import os\nos._exit(0)\n"},
        {"allow": ["tiny/**", "sitecustomize.py"]},
        "test_minus_one",
    ),
    "own-pytest": (
        {"tiny/sums.py": WRONG, "pytest.py": "raise SystemExit(0)\n", "pytest/__main__.py": "raise SystemExit(0)\n"},
        {"allow": ["tiny/**", "pytest.py", "pytest/__main__.py"]},
        "test_minus_one",
    ),
    "skips": (
        {"tests/test_sums.py": OLD.replace("def test_minus", "import pytest\n\n\n@pytest.mark.skip\ndef test_minus")},
        {},
        "LOST",
    ),
    "renames": ({"tests/test_sums.py": OLD.replace("test_minus_one", "check_minus_one")}, {}, "LOST"),
    "weakens": (
        {"tiny/sums.py": WRONG, "tests/test_sums.py": OLD.replace("assert add(1, -1) == 0", "assert add(1, -1) >= 0")},
        {},
        "test_minus_one",
    ),
    "proves-nothing": (
        {"tiny/sums.py": FIXED, "tests/test_new.py": PROVES.replace("half(1) == 0.5", "half(2) == 1")},
        {"kind": "fix"},
        "before",
    ),
    "patches-in-a-new-test": (
        {"tiny/sums.py": WRONG, "tests/test_aaa.py": PATCHES},
        {},
        "test_minus_one passes with the change's test files and not with base's",
    ),
    "fix-that-leaves-before": (
        {"tiny/more.py": "", "tests/test_more.py": LEAVES},
        {"kind": "fix"},
        "failed before the fix only because something could not be imported",
    ),
    "names-that-cannot-be-written": (
        {"tests/test_odd.py": ODD},
        {},
        "signs in its name that cannot be written",
    ),
    "dependency-from-elsewhere": (
        {"pyproject.toml": '[project]\ndynamic = ["dependencies"]\n', "more.txt": "evil\n"},
        {},
        "project.dynamic dependencies",
    ),
    "gate-definition": ({"swarm.toml": "gate = []\n"}, {}, "swarm.toml is protected"),
    "golden": ({"canary/golden/hello.jsonl": "{}\n"}, {}, "protected"),
}


@pytest.mark.slow
def test_what_only_looks_green_does_not_land_and_it_is_said_why(night: Night) -> None:
    for name, (edits, fields, _) in HOSTILE.items():
        night.order(name, edits, **{"kind": "docs", **fields})
    night.order("honest-docs", {"README.md": "# Sums\n"}, kind="docs")
    night.until_idle()
    # Afterwards: most of the others change the same file, and would only be told that they do not merge with it.
    night.order("honest-fix", {"tiny/sums.py": FIXED, "tests/test_half.py": PROVES}, kind="fix")
    night.until_idle()
    phases = night.phases()
    assert {name: phases[name] for name in HOSTILE} == dict.fromkeys(HOSTILE, "parked")
    assert {name: phases[name] for name in ("honest-fix", "honest-docs")} == dict.fromkeys(
        ("honest-fix", "honest-docs"), "healthy"
    )
    assert {name: said in why(night, name) for name, (_, _, said) in HOSTILE.items()} == dict.fromkeys(HOSTILE, True), {
        name: why(night, name) for name in HOSTILE
    }
    night.assert_sound()


@pytest.mark.slow
def test_what_two_changes_bring_together_is_guarded_too(night: Night) -> None:
    night.order("one", {"tiny/Names.py": "x = 1\n"}, kind="docs")
    night.order("other", {"tiny/names.py": "x = 2\n"}, kind="docs")
    night.order("apart", {"tiny/apart.py": "x = 2\n"}, kind="docs")
    night.until_idle()
    phases = night.phases()
    assert sorted(phases[name] for name in ("one", "other")) == ["healthy", "parked"]
    assert phases["apart"] == "healthy"
    assert "differs from another path only in case" in why(night, "one") + why(night, "other")
    night.assert_sound()


@pytest.mark.slow
def test_an_order_with_some_of_the_gates_is_flagged(night: Night) -> None:
    other = f'[[gate]]\nname = "compiles"\nrun = [{json.dumps(sys.executable)}, "-m", "compileall", "-q", "tiny"]\n'
    text = (night.repo / "swarm.toml").read_text(encoding="utf-8")
    night.person_commits({"swarm.toml": f"{text}\n{other}"}, "One more gate")
    night.order("some", {"README.md": "# Sums\n"}, kind="docs", gates=["compiles"])
    night.order("all", {"CHANGES.md": "# Changes\n"}, kind="docs")
    night.until_idle()
    flags = {order: night.events("report_signed", work_order=order)[-1].fields["flags"] for order in ("some", "all")}
    assert flags == {"some": ["some-gates"], "all": []}
