"""A verifier that wants more than to write tests: it is told so itself, and nobody else pays for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.test_roles import HOUSE, TEST_OF_HOUSE, Night, given, roadmap, script

HOOK = "def pytest_runtest_makereport(item, call):\n    return None\n"


@pytest.mark.slow
def test_a_verifier_that_changes_a_protected_file_is_told_and_its_order_is_not(tmp_path: Path) -> None:
    night = Night(tmp_path, settings=given('verifier = "scripted"'))
    roadmap(night, '[[work_order]]\nid = "house"\ntitle = "Know the house"\nallow = ["tiny/**"]\n')
    script(night, "house", ({"tiny/words.py": HOUSE}, {"summary": "knows"}))
    tests = {"summary": "one", "tests": [{"id": "tests.test_house.HouseTest.test_house_is_known"}]}
    hostile = {"tests/conftest.py": HOOK, "tests/test_house.py": TEST_OF_HOUSE}
    script(night, "tests-house", (hostile, tests), ({"tests/test_house.py": TEST_OF_HOUSE}, tests))
    night.until_idle()
    night.assert_sound()
    assert night.phases() == {"house": "healthy", "tests-house": "healthy"}
    (refused,) = night.events("change_rejected")
    assert refused.work_order == "tests-house"
    assert "conftest.py" in refused.fields["reasons"][0]
    files = night.main_files()
    assert "tests/conftest.py" not in files
    assert files["tests/test_house.py"] == TEST_OF_HOUSE
