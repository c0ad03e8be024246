"""What `swarm init` finds in a repository, and that what it writes can be read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol, get_args

import pytest

from engine.errors import UserError
from engine.loading import Reading, load_roadmap, read_roadmap, read_settings
from engine.models.settings import RoleName, Settings
from gates.definitions import problems as gate_problems
from gates.results.table import problem_with
from swarm_tui.starting import initial_files, look_around, write_initial_files

Files = Mapping[str, str]


class Repo(Protocol):
    path: Path

    def git(self, *args: str) -> str: ...


class MakeRepo(Protocol):
    def __call__(self, files: Files, *, branch: str) -> Repo: ...


def written(root: Path, path: str = "") -> Reading[Settings]:
    return read_settings(initial_files(root, path=path)["swarm.toml"])


def make(root: Path, files: Files) -> Path:
    for name, text in files.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    return root


def with_programs(folder: Path, names: Iterable[str]) -> Path:
    folder.mkdir()
    for name in names:
        for program in (folder / name, folder / f"{name}.exe"):
            program.write_text("", encoding="utf-8")
            program.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, []),
        ({"tests/test_a.py": "import pytest"}, [("tests", "python3 -m pytest -q", "pytest")]),
        ({"tests/test_a.py": "", "pytest.ini": ""}, [("tests", "python3 -m pytest -q", "pytest")]),
        (
            {"tests/test_a.py": "import unittest"},
            [("tests", "python3 -m unittest discover -s tests", "unittest")],
        ),
        (
            {"tests/test_a.py": "import unittest", "tests/__init__.py": ""},
            [("tests", "python3 -m unittest discover -s tests -t .", "unittest")],
        ),
        ({"test_a.py": "import unittest"}, [("tests", "python3 -m unittest discover", "unittest")]),
        ({"test_a.py": "def test_a(): ..."}, [("tests", "python3 -m pytest -q", "pytest")]),
        ({"a.py": "def test_a(): ..."}, []),
        ({"package.json": '{"scripts": {"test": "vitest run"}}'}, [("npm-test", "npm test", "none")]),
        ({"package.json": '{"scripts": {"test": "echo \\"Error: no test specified\\" && exit 1"}}'}, []),
        ({"package.json": "not json"}, []),
    ],
)
def test_gates_are_found(tmp_path: Path, files: Files, expected: list[tuple[str, str, str]]) -> None:
    settings = written(make(tmp_path, files)).sound()
    assert [(gate.name, " ".join(gate.run), gate.results) for gate in settings.gate] == expected


RUST = [
    ("build", "cargo build", "cargo-messages"),
    ("build-release", "cargo build --release", "cargo-messages"),
    ("format", "cargo fmt --all --check", "none"),
    ("clippy", "cargo clippy --all-targets -- -D warnings", "cargo-messages"),
]
GO = [("go-build", "go build ./...", "none"), ("vet", "go vet ./...", "none")]
DOC = {"src/lib.rs": "/// ```\n/// assert!(true);\n/// ```\npub fn f() {}\n"}
TOOLS = "[tool.ruff]\n[tool.ruff.format]\n[tool.pyright]\n[tool.mypy]\n"


@pytest.mark.parametrize(
    ("files", "installed", "expected"),
    [
        ({"Cargo.toml": ""}, (), [*RUST, ("tests", "cargo test", "cargo-test")]),
        ({"Cargo.toml": "", "deny.toml": ""}, (), [*RUST, ("tests", "cargo test", "cargo-test")]),
        (
            {"Cargo.toml": "", "deny.toml": "", **DOC},
            ("cargo-nextest", "cargo-deny"),
            [
                *RUST,
                ("tests", "cargo nextest run", "nextest"),
                ("doc-tests", "cargo test --doc", "cargo-test"),
                ("deny", "cargo deny check bans licenses sources", "none"),
            ],
        ),
        ({"go.mod": ""}, (), GO),
        ({"go.mod": "", "a/b_test.go": ""}, (), [*GO, ("go-test", "go test ./...", "go-test")]),
        ({"pyproject.toml": TOOLS}, (), []),
        ({"pyproject.toml": ""}, ("ruff", "pyright", "mypy"), []),
        ({"pyproject.toml": "not toml", "ruff.toml": ""}, ("ruff", "mypy"), [("ruff", "ruff check .", "none")]),
        (
            {"pyproject.toml": TOOLS},
            ("ruff", "pyright", "mypy"),
            [
                ("ruff", "ruff check .", "none"),
                ("format", "ruff format --check .", "none"),
                ("pyright", "pyright", "none"),
                ("mypy", "mypy .", "none"),
            ],
        ),
    ],
)
def test_gates_are_found_for_what_is_configured_and_installed(
    tmp_path: Path, files: Files, installed: tuple[str, ...], expected: list[tuple[str, str, str]]
) -> None:
    tools = with_programs(tmp_path / "tools", installed)
    root = tmp_path / "repo"
    root.mkdir()
    settings = written(make(root, files), str(tools)).sound()
    assert [(gate.name, " ".join(gate.run), gate.results) for gate in settings.gate] == expected
    assert [problem for gate in settings.gate for problem in gate_problems(gate) if problem.level == "error"] == []


def test_every_crate_of_a_workspace_is_meant(tmp_path: Path) -> None:
    settings = written(make(tmp_path, {"Cargo.toml": "[workspace]\nmembers = []\n"})).sound()
    assert [gate.run[2] for gate in settings.gate if gate.name in ("build", "tests")] == ["--workspace"] * 2


@pytest.mark.parametrize("script", ["node --test", "node --test test/", "node --test; true"])
def test_a_node_script_is_counted_only_where_it_can_be(tmp_path: Path, script: str) -> None:
    gate = written(make(tmp_path, {"package.json": json.dumps({"scripts": {"test": script}})})).sound().gate[0]
    counted = ("node", "--test", "--test-reporter=tap", *script.split()[2:])
    can_be = ";" not in script and not problem_with("tap", counted)
    assert (tuple(gate.run), gate.results) == ((counted, "tap") if can_be else (("npm", "test"), "none"))


def test_without_a_gate_the_file_says_that_nothing_is_proved(tmp_path: Path) -> None:
    text = initial_files(tmp_path, path="")["swarm.toml"]
    assert "nothing is proved" in text
    assert "nothing is proved" in written(tmp_path).problems[0].what


@pytest.mark.parametrize("installed", [[], ["claude", "aider"]])
def test_agents_wait_for_a_person_to_switch_them_on(tmp_path: Path, installed: list[str]) -> None:
    tools = with_programs(tmp_path / "tools", installed)
    text = initial_files(tmp_path, path=str(tools))["swarm.toml"]
    assert read_settings(text).sound().agents == {}
    agents = read_settings(switched_on(text)).sound().agents
    assert list(agents) == (installed or ["mine"])
    assert {agent.kind for agent in agents.values()} == {"command"}


def switched_on(text: str) -> str:
    return re.sub(r"^#(?=\S)", "", text, flags=re.MULTILINE)


@pytest.mark.parametrize(
    "files", [{}, {"tests/test_a.py": ""}, {"Cargo.toml": "", "package.json": '{"scripts": {"test": "x"}}'}]
)
def test_every_line_that_waits_is_valid_when_it_is_switched_on(tmp_path: Path, files: Files) -> None:
    texts = initial_files(make(tmp_path, files), path="")
    settings = read_settings(switched_on(texts["swarm.toml"]))
    assert [problem for problem in settings.problems if problem.level == "error"] == []
    roadmap = read_roadmap(switched_on(texts["roadmap.toml"]), settings=settings.sound())
    assert [problem for problem in roadmap.problems if problem.level == "error"] == []


def test_what_roles_may_do_is_named_and_off(tmp_path: Path) -> None:
    text = initial_files(make(tmp_path, {}), path="")["swarm.toml"]
    assert read_settings(text).sound().roles == {}
    on = read_settings(switched_on(text)).sound()
    assert set(on.roles) == set(get_args(RoleName))
    assert (on.coordinator.accept, on.verifier.oracle) == (False, ["reference", "--print"])
    assert (on.budgets.night.tokens, on.budgets.role["verifier"].cost) == (50_000_000, 10.0)


def test_every_key_has_a_comment(tmp_path: Path) -> None:
    for text in initial_files(make(tmp_path, {"tests/test_a.py": "", "Cargo.toml": ""}), path="").values():
        bare = [
            line for line in text.splitlines() if " = " in line and not line.startswith("# ") and "  # " not in line
        ]
        assert bare == []


def test_the_first_roadmap_offers_nothing_yet(tmp_path: Path) -> None:
    (tmp_path / "roadmap.toml").write_text(initial_files(tmp_path)["roadmap.toml"], encoding="utf-8")
    assert all(order.draft for order in load_roadmap(tmp_path / "roadmap.toml").work_order)


def test_nothing_is_written(tmp_path: Path) -> None:
    initial_files(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("branch", "main"), [("main", "main"), ("master", "master"), ("work/x", "work/x")])
def test_the_branch_that_is_there_is_main(git_repo: MakeRepo, branch: str, main: str) -> None:
    assert written(git_repo({}, branch=branch).path).sound().project.main == main


def test_main_is_preferred_to_the_current_branch(git_repo: MakeRepo) -> None:
    repo = git_repo({}, branch="master")
    repo.git("switch", "--quiet", "--create", "work")
    assert written(repo.path).sound().project.main == "master"
    repo.git("pack-refs", "--all")
    assert written(repo.path).sound().project.main == "master"
    repo.git("worktree", "add", "--quiet", "--detach", "../beside")
    assert written(repo.path.parent / "beside").sound().project.main == "master"


def test_the_files_are_written_at_the_top_of_the_repository(git_repo: MakeRepo) -> None:
    root = git_repo({"src/a.py": "", "tests/test_a.py": "import pytest"}, branch="main").path
    said = write_initial_files(root / "src")
    assert said[0] == "wrote swarm.toml: found 1 gate (tests)"
    assert b"\r" not in (root / "swarm.toml").read_bytes()
    assert read_settings((root / "swarm.toml").read_text(encoding="utf-8")).sound().gate
    assert load_roadmap(root / "roadmap.toml").work_order


def test_a_file_that_is_there_is_never_changed(git_repo: MakeRepo) -> None:
    root = git_repo({"swarm.toml": "# mine"}, branch="main").path
    assert write_initial_files(root)[0] == "kept swarm.toml, which was there already"
    with pytest.raises(UserError, match="are there already; edit them"):
        write_initial_files(root)
    assert (root / "swarm.toml").read_text(encoding="utf-8") == "# mine"


def test_outside_of_a_repository_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is not in a git repository; run `git init` there"):
        write_initial_files(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_looking_around_says_what_was_found_and_writes_nothing(git_repo: MakeRepo) -> None:
    root = git_repo({"pyproject.toml": "", "tests/test_a.py": "import pytest"}, branch="main").path
    before = sorted(root.iterdir())
    steps = look_around(root / "tests")
    assert (steps.root, steps.languages, steps.kept) == (root.resolve(), ("Python",), ())
    assert [gate.partition(":")[0] for gate in steps.gates] == ["tests"]
    assert steps.missing == ("swarm.toml", "roadmap.toml")
    assert sorted(root.iterdir()) == before


def test_a_file_that_came_in_between_is_not_overwritten(git_repo: MakeRepo) -> None:
    root = git_repo({"a.txt": ""}, branch="main").path
    steps = look_around(root)
    (root / "swarm.toml").write_text("# mine", encoding="utf-8")
    with pytest.raises(UserError, match="cannot be written"):
        steps.write()
    assert (root / "swarm.toml").read_text(encoding="utf-8") == "# mine"
