"""Roles on a real night: what they hand in becomes work, contracts, tests; what is invalid is returned."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from night import SETTINGS, Night

from engine.artifacts import ArtifactStore

pytestmark = pytest.mark.slow

OTHERS = '[agents.scripted]\nkind = "script"'
TEST_OF_HOUSE = """\
import unittest
from tiny.words import WORDS


class HouseTest(unittest.TestCase):
    def test_house_is_known(self):
        self.assertIn("house", WORDS)
"""
HOUSE = "WORDS = {'hello', 'house'}\n"


def toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(name)} = {toml(each)}" for name, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml(each) for each in value) + "]"
    return json.dumps(value)


def given(roles: str, more: str = "") -> str:
    return SETTINGS.replace(OTHERS, f"{roles}\n\n{more}\n{OTHERS}")


def script(night: Night, order: str, *attempts: tuple[dict[str, str], dict[str, Any]]) -> None:
    """For each attempt: files to write, and the handoff."""
    rows = ['schema = "script/1"']
    for edits, handoff in attempts:
        rows.append("[[attempt]]")
        for path, content in edits.items():
            rows.append(f"[[attempt.steps]]\nedit = {toml({'path': path, 'content': content})}")
        rows.append(f"[[attempt.steps]]\nhandoff = {toml(handoff)}")
    (night.scripts / f"{order}.toml").write_text("\n".join(rows) + "\n", encoding="utf-8")


def roadmap(night: Night, text: str) -> None:
    (night.repo / "roadmap.toml").write_text('schema = "roadmap/1"\n' + text, encoding="utf-8")


PROPOSED = {"id": "house", "title": "Know the house", "kind": "docs", "allow": ["tiny/words.py"], "rollback": "revert"}


def test_an_item_becomes_a_contract_a_plan_and_work(tmp_path: Path) -> None:
    settings = given('architect = "scripted"\ncoordinator = "scripted"', "[coordinator]\naccept = true\n")
    night = Night(tmp_path, settings=settings)
    roadmap(night, '[[item]]\nid = "words"\ntitle = "More words"\n')
    contract = {
        "summary": "Words are a set.",
        "interfaces": ["WORDS: set[str]"],
        "module_map": {"tiny": "tiny/**"},
        "forbidden_imports": [{"from": "tiny", "may_not": "json"}],
    }
    script(night, "contract-words", ({"docs/adr/0001-words.md": "# 1. Words are a set\n"}, contract))
    script(night, "plan-words", ({}, {"why": "one is enough", "orders": [PROPOSED]}))
    crossing = {"tiny/words.py": "import json\n" + HOUSE}
    script(night, "house", (crossing, {"summary": "knows"}), ({"tiny/words.py": HOUSE}, {"summary": "knows"}))
    assert night.until_idle() == "idle"
    night.assert_sound()
    assert night.phases() == {"contract-words": "healthy", "plan-words": "healthy", "house": "healthy"}
    started = [(event.work_order, event.fields["role"]) for event in night.events("run_started")]
    assert started == [
        ("contract-words", "architect"), ("plan-words", "coordinator"), ("house", "implementer"),
        ("house", "implementer"),
    ]  # fmt: skip
    (denied,) = night.events("guardrail_denied")
    assert (denied.fields["rule"], denied.work_order) == ("boundaries", "house")
    assert night.main_files()["tiny/words.py"] == HOUSE
    assert night.events("approval_asked") == []
    task = json.loads((night.state / "runs" / "house.2" / "side" / "task.json").read_text(encoding="utf-8"))
    assert task["contract"]["contract-words"]["interfaces"] == ["WORDS: set[str]"]
    received = night.events("handoff_received", role="coordinator")[0].fields["digest"]
    assert json.loads(ArtifactStore(night.folders.artifacts).get(received))["orders"][0]["id"] == "house"


def test_a_proposal_waits_for_a_person_across_nights(tmp_path: Path) -> None:
    night = Night(tmp_path, settings=given('coordinator = "scripted"'))
    roadmap(night, '[[item]]\nid = "words"\ntitle = "More words"\n')
    script(night, "plan-words", ({}, {"orders": [PROPOSED]}))
    script(night, "house", ({"tiny/words.py": HOUSE}, {"summary": "knows"}))
    night.until_idle()
    assert night.phases() == {"plan-words": "healthy", "house": "draft"}
    (asked,) = night.events("approval_asked")
    ident = asked.fields["approval"]
    said = night.started("swarm_tui.cli", "approve", ident, "--repo", str(night.repo), "--state", str(night.state))
    assert said.wait() == 0, night.said()
    night.until_idle()
    night.assert_sound()
    assert night.phases() == {"plan-words": "healthy", "house": "healthy"}
    assert [event.work_order for event in night.events("run_started")] == ["plan-words", "house"]


def test_a_coordinator_that_changes_files_hands_in_nothing(tmp_path: Path) -> None:
    night = Night(tmp_path, settings=given('coordinator = "scripted"').replace("[limits]", "[limits]\nattempts = 1"))
    roadmap(night, '[[item]]\nid = "words"\ntitle = "More words"\n')
    script(night, "plan-words", ({"tiny/words.py": HOUSE}, {"orders": [PROPOSED]}))
    night.until_idle()
    night.assert_sound()
    assert night.phases() == {"plan-words": "parked"}
    assert "changes no files" in night.events("change_rejected")[0].fields["reasons"][0]
    assert night.events("run_finished")[0].fields["kept"]


def test_the_verifiers_tests_join_the_change_and_refuse_what_they_refute(tmp_path: Path) -> None:
    night = Night(tmp_path, settings=given('verifier = "scripted"'))
    roadmap(night, '[[work_order]]\nid = "house"\ntitle = "Know the house"\nallow = ["tiny/**"]\n')
    wrong = {"tiny/words.py": "WORDS = {'hello', 'mouse'}\n"}
    script(night, "house", (wrong, {"summary": "guesses"}), ({"tiny/words.py": HOUSE}, {"summary": "knows"}))
    tests = {"summary": "one", "tests": [{"id": "tests.test_house.HouseTest.test_house_is_known", "why": "asked"}]}
    script(night, "tests-house", ({"tests/test_house.py": TEST_OF_HOUSE}, tests))
    night.until_idle()
    night.assert_sound()
    assert night.phases() == {"house": "healthy", "tests-house": "healthy"}
    rejected = night.events("change_rejected")
    assert [event.work_order for event in rejected] == ["house"]
    assert "test_house_is_known" in json.dumps(rejected[0].fields)
    files = night.main_files()
    assert (files["tiny/words.py"], files["tests/test_house.py"]) == (HOUSE, TEST_OF_HOUSE)
    assert len(night.landed()) == 1
    assert night.events("report_signed", report_kind="land", result="green")[0].fields["fail_to_pass"] >= 1


def test_who_bends_the_verifiers_tests_is_found_out(tmp_path: Path) -> None:
    night = Night(tmp_path, settings=given('verifier = "scripted"').replace("[limits]", "[limits]\nattempts = 1"))
    roadmap(night, '[[work_order]]\nid = "house"\ntitle = "Know the house"\n')
    bent = TEST_OF_HOUSE.replace("assertIn", "assertNotIn")
    script(night, "house", ({"tests/test_house.py": bent}, {"summary": "done"}))
    tests = {"summary": "one", "tests": [{"id": "tests.test_house.HouseTest.test_house_is_known"}]}
    script(night, "tests-house", ({"tests/test_house.py": TEST_OF_HOUSE}, tests))
    night.until_idle()
    night.assert_sound()
    assert night.phases() == {"house": "parked", "tests-house": "healthy"}
    assert "leave them as they are" in night.events("change_rejected")[0].fields["reasons"][0]


AGENT = """\
import json, os, pathlib
task = json.loads(pathlib.Path(os.environ["SWARM_TASK"]).read_text(encoding="utf-8"))
tries = pathlib.Path("tries.txt")
count = int(tries.read_text()) + 1 if tries.exists() else 1
tries.write_text(str(count))
said = {"summary": "done"} if count > LIMIT else {"summary": 7}
if count > 1:
    assert "summary" in task["last_report"][0] and "hand in again" in task["prompt"], task["last_report"]
pathlib.Path(os.environ["SWARM_HANDOFF"]).write_text(json.dumps(said), encoding="utf-8")
"""


@pytest.mark.parametrize(("invalid", "phase"), [(2, "healthy"), (3, "parked")])
def test_an_invalid_handoff_is_returned_twice_and_then_the_attempt_has_failed(
    tmp_path: Path, invalid: int, phase: str
) -> None:
    program = AGENT.replace("LIMIT", str(invalid))
    agent = f'[agents.scripted]\nkind = "command"\nrun = {json.dumps([sys.executable, "-c", program])}\n'
    settings = SETTINGS.replace('[agents.scripted]\nkind = "script"\nscripts = "../scripts"\n', agent)
    night = Night(tmp_path, settings=settings.replace("[limits]", "[limits]\nattempts = 1"))
    roadmap(night, '[[work_order]]\nid = "one"\ntitle = "One"\nkind = "docs"\n')
    night.until_idle()
    night.assert_sound()
    assert night.phases() == {"one": phase}
    assert len(night.events("run_started")) == 1
    if phase == "healthy":
        assert night.main_files()["tries.txt"] == "3"
    else:
        assert "the handoff was not valid: summary" in night.events("change_rejected")[0].fields["reasons"][0]
        assert night.events("run_finished")[0].fields["kept"]


def test_a_role_that_nobody_has_parks_its_order_and_says_so(tmp_path: Path) -> None:
    night = Night(tmp_path)
    roadmap(night, '[[work_order]]\nid = "one"\ntitle = "One"\nrole = "builder"\n')
    night.until_idle()
    night.assert_sound()
    assert night.phases() == {"one": "parked"}
    assert "the role builder" in night.folded().orders["one"].why


def test_a_contract_that_an_implementer_wrote_holds_nobody_up(tmp_path: Path) -> None:
    """Where nobody is the architect."""
    night = Night(tmp_path)
    contract = '[[work_order]]\nid = "api"\ntitle = "Words are a set"\nkind = "contract"\nallow = ["docs/**"]\n'
    house = '[[work_order]]\nid = "house"\ntitle = "Know the house"\nkind = "docs"\ndepends_on = ["api"]\n'
    roadmap(night, contract + house)
    script(night, "api", ({"docs/words.md": "Words are a set.\n"}, {"summary": "a set"}))
    script(night, "house", ({"tiny/words.py": HOUSE}, {"summary": "knows"}))
    assert night.until_idle() == "idle"
    night.assert_sound()
    assert night.phases() == {"api": "healthy", "house": "healthy"}
    assert [event.work_order for event in night.events("run_started")] == ["api", "house"]
