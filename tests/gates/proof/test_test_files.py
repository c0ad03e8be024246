"""Which paths are tests, what tests stand on, sources that may hold tests, and none of these."""

import pytest

from gates.proof.prove import UNPROVEN_GOAL
from gates.proof.test_files import TestFiles, configures_tests, modules_of, python_module


@pytest.mark.parametrize(
    ("path", "part"),
    [
        ("tests/unit/test_a.py", "test"),
        ("test_a.py", "test"),
        ("pkg/a_test.py", "test"),
        ("checks/odd.py", "test"),
        ("conftest.py", "support"),
        ("tests/helper.py", "support"),
        ("tests/data/case.json", "support"),
        ("pytest.ini", "support"),
        ("pkg/testdata/a.golden", "support"),
        ("pkg/a_test.go", "test"),
        ("pkg/a.go", ""),
        ("src/a.test.tsx", "test"),
        ("src/a.spec.mjs", "test"),
        ("src/__tests__/a.js", "support"),
        ("jest.config.js", "support"),
        ("crate/tests/api.rs", "test"),
        ("crate/src/foo_test.rs", "test"),
        ("crate/src/tests.rs", "test"),
        ("crate/src/lib.rs", "inline"),
        ("crate/src/tests/code.rs", "inline"),
        ("crate/src/only.rs", "test"),
        ("internal/testutil/same.go", "support"),
        ("kit/test_helpers/same.py", "support"),
        ("kit/utilities/same.py", ""),
        ("docs/test/readme.md", ""),
        ("tests/docs/helper.py", "support"),
        ("pkg/contest.py", ""),
        ("pkg/latest.py", ""),
        ("pkg/attest.go", ""),
        ("pyproject.toml", ""),
    ],
)
def test_a_path_is_sorted(path: str, part: str) -> None:
    files = TestFiles(["checks/odd.py", "crate/src/lib.rs"], ["crate/src/only.rs"])
    assert files.part(path) == part


def test_only_the_part_about_pytest_counts_in_a_file_of_many_tools() -> None:
    old = b"[project]\nname = 'a'\n[tool.pytest.ini_options]\naddopts = '-q'\n[tool.ruff]\n"
    assert not configures_tests("pyproject.toml", old, old.replace(b"'a'", b"'b'").replace(b"ruff", b"mypy"))
    assert configures_tests("pyproject.toml", old, old.replace(b"-q", b"-k nothing"))
    assert configures_tests("pyproject.toml", b"[project]\n", old)
    assert not configures_tests("other.toml", b"", old)
    assert configures_tests("pyproject.toml", b"", b'[tool]\npytest.ini_options.pythonpath = ["shadow"]\n')
    assert configures_tests("pyproject.toml", b"", b"[ tool . pytest . ini_options ]\naddopts = '-k nothing'\n")
    assert configures_tests("pyproject.toml", old, b"[tool.pytest.ini_options\n")


def test_files_that_are_named_elsewhere() -> None:
    assert modules_of("a/src/lib.rs", "#[cfg(test)]\nmod checks;\nmod code;\n") == [
        "a/src/checks.rs",
        "a/src/checks/mod.rs",
    ]
    assert modules_of("a/src/b.rs", "#[cfg(test)] mod checks;")[0] == "a/src/b/checks.rs"
    named = '#[cfg(test)]\n#[path = "../checks/all.rs"]\nmod checks;\ninclude!("code.rs");\n'
    named += (
        '#[cfg(test)]\nmod more {\n    include!("more.rs");\n    const WANTED: &str = include_str!("wanted.txt");\n}\n'
    )
    assert modules_of("a/src/b.rs", named)[:3] == ["a/checks/all.rs", "a/src/more.rs", "a/src/wanted.txt"]
    assert python_module("tools.x", {"tools/x/__main__.py"}.__contains__) == "tools/x/__main__.py"
    assert python_module("json.tool", {"tools/x.py"}.__contains__) == ""
    assert UNPROVEN_GOAL == "unproven-goal"
