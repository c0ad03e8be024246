"""Commands that cannot fail are refused, commands that hardly can are warned of, and honest ones pass."""

import pytest

from engine.models.roadmap import WorkOrder
from gates.strength import gate_weakness, inputs_weaknesses, order_weaknesses, weakness
from tests.gates.bench import gate

PROVE_NOTHING: list[tuple[list[str], str]] = [
    (["true"], "whatever happens"),
    ([":"], "whatever happens"),
    (["/usr/bin/true"], "whatever happens"),
    (["echo", "ok"], "only prints"),
    (["printf", "ok"], "only prints"),
    (["test", "-f", "x"], "is there"),
    (["[", "-f", "x", "]"], "is there"),
    (["ls", "src"], "is there"),
    (["cat", "README.md"], "prints a file"),
    (["python", "-c", "print('placeholder gate')"], "only prints"),
    (["python3.11", "-B", "-c", "import sys; print('ok'); sys.exit(0)"], "only prints"),
    (["python", "-c", "import os; assert os.path.exists('a.py')"], "a file is there"),
    (["python", "-c", "from pathlib import Path; assert Path('a').is_file(), 'no'"], "a file is there"),
    (["python", "-c", "import os,sys; sys.exit(0 if os.path.exists('a') else 1)"], "a file is there"),
    (["python", "-c", "import os\nif not os.path.isfile('a'):\n    raise SystemExit(1)"], "a file is there"),
    (["python", "-c", "pass"], "whatever happens"),
    (["python", "-c", "import time; time.sleep(3)"], "whatever happens"),
    (["python", "-c", "from time import sleep; sleep(3)"], "whatever happens"),
    (["python", "-c", "import time; time.sleep(3); print('done')"], "only prints"),
    (["python", "-c", "assert True"], "whatever happens"),
    (["python", "-c", "exit(0)"], "whatever happens"),
    (["python", "-c", ""], "whatever happens"),
    (["python", "-c", "print("], "cannot be parsed"),
    (["python"], "without anything to run"),
    (["python", "--version"], "version"),
    (["node", "-e", "console.log(1)"], "only prints"),
    (["node", "-e", "if (!require('fs').existsSync('x')) process.exit(1)"], "a file is there"),
    (["git", "status"], "git status"),
    (["cmd", "/c", "exit", "0"], "whatever happens"),
    (["cmd.exe", "/c", "exit 0"], "whatever happens"),
    (["sh", "-c", "exit 0"], "whatever happens"),
    (["sh", "-c", "echo a && test -d src"], "only prints"),
    (["bash", "-c", "pytest || true"], "hides a failure"),
    (["bash", "-c", "pytest; true"], "hides a failure"),
    (["bash", "-lc", "make test || exit 0"], "hides a failure"),
    (["mypy", ".", "||", "true"], "hides a failure"),
    (["ruff", "--version"], "version"),
    (["cargo", "--version"], "version"),
    (["cargo"], "builds and tests nothing"),
    (["cargo", "+nightly", "metadata"], "builds and tests nothing"),
    (["cargo", "test", "--no-run"], "runs none"),
    (["cargo", "test", "--", "--list"], "runs none"),
    (["cargo", "fmt"], "rewrites files"),
    (["pytest", "--collect-only"], "runs none"),
    (["python", "-m", "pytest", "--co", "-q"], "runs none"),
    (["uv", "run", "--with", "pytest", "pytest", "--collect-only"], "runs none"),
    (["env", "A=1", "python", "-m", "pytest", "--co"], "runs none"),
    (["timeout", "5", "true"], "whatever happens"),
    (["ruff", "check", "--exit-zero"], "--exit-zero"),
    (["python", "-m", "ruff", "check", "--exit-zero"], "--exit-zero"),
    (["black", "."], "rewrites files"),
    (["ruff", "format"], "rewrites files"),
    (["ruff", "check", "--fix"], "rewrites files"),
    (["prettier", "--write", "."], "rewrites files"),
    (["npx", "prettier", "--write", "."], "rewrites files"),
    (["gofmt", "-l", "."], "whatever it finds"),
    (["gofmt", "-w", "."], "rewrites files"),
    (["go", "version"], "version"),
    (["go", "test", "-list", ".*"], "runs none"),
    ([], "no command"),
]

PROVE_LITTLE: list[tuple[list[str], str, str]] = [
    (["cargo", "clippy"], "lint", "any number of warnings"),
    (["cargo", "clippy", "--all-targets"], "lint", "any number of warnings"),
    (["python", "-c", "import tinykit"], "custom", "only imports"),
    (["npx", "jest", "--passWithNoTests"], "unit", "without any test"),
    (["bash", "-c", "pytest | tee log"], "unit", "last program of a pipe"),
    (["npm", "ci"], "custom", "tests nothing"),
]

HONEST: list[tuple[list[str], str]] = [
    (["python", "-m", "pytest"], "unit"),
    (["pytest", "-v"], "unit"),
    (["python", "-m", "unittest", "-v"], "unit"),
    (["python", "-W", "error", "tools/check.py", "--version-file", "x"], "custom"),
    (["python", "-c", "import tinykit; assert tinykit.f(1) == 2"], "custom"),
    (["python", "-c", "from tinykit import f; print(f(1))"], "custom"),
    (["node", "-e", "require('./x').check()"], "custom"),
    (["node", "tools/check.js"], "custom"),
    (["cargo", "test"], "unit"),
    (["cargo", "test", "--no-run"], "build"),
    (["cargo", "clippy", "--", "-D", "warnings"], "lint"),
    (["cargo", "clippy", "--all-targets", "--", "-Dwarnings"], "lint"),
    (["cargo", "fmt", "--check"], "format"),
    (["cargo", "fmt", "--all", "--", "--check"], "format"),
    (["cargo", "build"], "build"),
    (["go", "test", "./..."], "unit"),
    (["go", "vet", "./..."], "lint"),
    (["black", "--check", "."], "format"),
    (["ruff", "format", "--check"], "format"),
    (["ruff", "check"], "lint"),
    (["prettier", "--check", "."], "format"),
    (["eslint", "--quiet", "."], "lint"),
    (["git", "diff", "--exit-code"], "custom"),
    (["make", "test"], "unit"),
    (["./test"], "unit"),
    (["tools/find", "x"], "custom"),
    (["bash", "-c", "set -o pipefail; pytest | tee log"], "unit"),
    (["bash", "-c", "test -d src && pytest"], "unit"),
    (["npm", "test"], "unit"),
    (["npm", "ci"], "build"),
]


@pytest.mark.parametrize(("argv", "why"), PROVE_NOTHING, ids=str)
def test_a_command_that_cannot_fail_is_refused(argv: list[str], why: str) -> None:
    found = weakness(argv)
    assert found is not None
    assert (found.level, why in found.what) == ("error", True), found
    assert found.do


@pytest.mark.parametrize(("argv", "kind", "why"), PROVE_LITTLE, ids=str)
def test_a_command_that_can_hardly_fail_is_warned_of(argv: list[str], kind: str, why: str) -> None:
    found = weakness(argv, kind=kind)
    assert found is not None
    assert (found.level, why in found.what) == ("warning", True), found


@pytest.mark.parametrize(("argv", "kind"), HONEST, ids=str)
def test_a_command_that_can_fail_is_left_alone(argv: list[str], kind: str) -> None:
    assert weakness(argv, kind=kind) is None


def test_gates_and_orders_say_where_the_weak_command_is() -> None:
    weak = gate_weakness(gate("looks", ("ls",), "none"))
    assert weak is not None
    assert str(weak).startswith("gate looks: it only looks whether something is there; run something")
    assert gate_weakness(gate("unit")) is None
    order = WorkOrder.model_validate(
        {
            "id": "wo", "title": "t", "repro": ["python", "tools/repro.py"],
            "acceptance": [{"name": "shown", "run": ["echo", "ok"]}, {"name": "works", "run": ["python", "x.py"]}],
        }
    )  # fmt: skip
    assert [problem.where for problem in order_weaknesses(order)] == ["work order wo, acceptance shown"]


TREE = [
    "README.md",
    "kit/a.py",
    "kit/b.py",
    "more/c.py",
    "more/tests/test_c.py",
    "tests/test_a.py",
    "tests/conftest.py",
]
TREE += ["src/lib.rs", "tests/all.rs"]


@pytest.mark.parametrize(
    ("results", "argv", "inputs", "said"),
    [
        ("pytest", "pytest", ["kit/**"], ["more/tests/test_c.py and 2 more files of tests"]),
        ("pytest", "pytest tests", ["kit/**"], ["tests/test_a.py and 1 more file of tests"]),
        ("pytest", "pytest", ["**/test_*.py", "**/conftest.py"], ["all sources, such as kit/a.py"]),
        ("unittest", "python -m unittest discover -s tests", ["docs/**"], ["tests/test_a.py", "all sources"]),
        ("cargo-test", "cargo test", ["src/**"], ["tests/all.rs"]),
        ("tap", "node --test", ["kit/**"], ["more/tests/test_c.py"]),
    ],
)
def test_inputs_that_leave_out_tests_or_sources_are_warned_of(
    results: str, argv: str, inputs: list[str], said: list[str]
) -> None:
    found = inputs_weaknesses(gate(run=tuple(argv.split()), results=results, inputs=inputs), TREE)
    assert [problem.level for problem in found] == ["warning"] * len(said)
    assert all(words in str(problem) for words, problem in zip(said, found, strict=True)), found


@pytest.mark.parametrize(
    ("results", "argv", "inputs"),
    [
        ("pytest", "pytest", []),
        ("pytest", "pytest tests", ["kit/**", "tests/**"]),
        ("pytest", "pytest", ["**/*.py"]),
        ("pytest", "pytest more", ["more/**"]),
        ("pytest", "pytest tests/test_a.py", ["kit/**"]),
        ("cargo-test", "cargo test", ["src/**", "tests/*.rs"]),
        ("none", "ruff check kit", ["kit/**"]),
    ],
)
def test_control_inputs_that_cover_what_is_run_are_fine(results: str, argv: str, inputs: list[str]) -> None:
    assert inputs_weaknesses(gate(run=tuple(argv.split()), results=results, inputs=inputs), TREE) == []
