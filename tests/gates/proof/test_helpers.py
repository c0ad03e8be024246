"""What a judge in an unknown folder stands on is main's, and what it judges is the change's."""

from __future__ import annotations

import pytest

from gates.proof.helpers import helpers_of
from tests.gates.bench import Bench, Files
from tests.gates.proof.test_prove import BUGGY, RIGHT, START, Proving
from tests.gates.proof.test_prove_joints import HELPER, JUDGE, LENIENT

NAMED = {"kind": "fix", "repro": ["python", "quality/judge.py"]}
LIES = "raise SystemExit(0)\n"


@pytest.fixture
def proving(bench: Bench) -> Proving:
    made = Proving(bench)
    made.start(
        {**START, "quality/judge.py": "import sys, json\n" + JUDGE, "quality/helper.py": HELPER, "kit.py": BUGGY}
    )
    return made


@pytest.mark.slow
@pytest.mark.parametrize(
    "files",
    [
        {"quality/helper.py": LENIENT},
        {"quality/json.py": LIES},
        {"quality/kit.py": LIES},
        {"quality/json/__init__.py": LIES},
    ],
    ids=["a helper", "in place of Python's own", "in place of the product", "a package"],
)
async def test_a_change_cannot_bring_what_its_judge_stands_on(proving: Proving, files: Files) -> None:
    report = await proving.prove(files, **NAMED)
    assert report.result == "red"
    assert any(f"main's version of {next(iter(files))}, which judges the change" in why for why in report.reasons)
    report = await proving.prove({**files, "kit.py": RIGHT}, **NAMED)
    assert (report.result, report.reasons) == ("green", [])


@pytest.mark.slow
async def test_a_module_at_the_top_does_not_stand_before_pythons_own(proving: Proving) -> None:
    first = "import sys\nsys.path.insert(0, '.')\nimport json\nfrom kit import add\nassert add(3, -1) == 2\n"
    proving.start({"quality/judge.py": first})
    assert (await proving.prove({"json.py": LIES}, **NAMED)).result == "red"
    assert (await proving.prove({"json.py": LIES, "kit.py": RIGHT}, **NAMED)).result == "green"


async def test_control_a_program_is_judged_with_all_its_parts(proving: Proving) -> None:
    main = "from part import add\nassert add(3, -1) == 2\n"
    proving.start({"product/main.py": main, "product/part.py": BUGGY})
    report = await proving.prove({"product/part.py": RIGHT}, kind="fix", repro=["python", "product/main.py"])
    assert (report.result, report.reasons) == ("green", [])


def of(files: dict[str, str], script: str = "quality/judge.py") -> set[str]:
    return {
        path
        for path in helpers_of(script, lambda path: files[path].encode() if path in files else None)
        if path in files or path.endswith("/")
    } - {script}


def test_helpers_of_helpers_and_data_count() -> None:
    files = {
        "quality/judge.py": "import a\nimport kit\nopen('quality/data.json')\n",
        "quality/a.py": "import b\nopen('wanted.txt')\n",
        "quality/b.py": "import a\n",
        "quality/c.py": "",
        "quality/wanted.txt": "",
        "kit.py": "",
    }
    assert of(files) == {"quality/a.py", "quality/b.py", "quality/wanted.txt"} | {
        f"quality/{name}/" for name in ("a", "b", "kit")
    }


@pytest.mark.parametrize(
    "files",
    [
        {"quality/judge.py": "import a\n", "quality/a.py": ""},
        {"quality/judge.py": "import a, kit\n", "quality/a.py": "", "kit.py": "", "quality/__init__.py": ""},
        {"quality/judge.py": "import (\n", "kit.py": ""},
        {},
    ],
    ids=["a program", "a package", "no Python", "nothing"],
)
def test_control_scripts_that_are_parts_of_what_they_run_have_none(files: dict[str, str]) -> None:
    assert of(files) == set()


def test_control_a_script_at_the_top_has_none() -> None:
    assert of({"judge.py": "import a, kit\n", "a.py": "", "kit.py": ""}, "judge.py") == set()
