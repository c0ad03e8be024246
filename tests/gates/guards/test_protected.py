"""Protected: files, and parts of files, that decide what is proved."""

import json

import pytest

from gates.guards.protected import ProtectedGuard
from tests.gates.guards.changes import Base, Files, judge


def protected(files: Files, base: Base | None = None, **fields: object):
    return judge(ProtectedGuard(), files, base, **fields)


@pytest.mark.parametrize(
    "path",
    [
        *(
            "Makefile",
            "sub/justfile",
            "tools/gates.mk",
            ".husky/pre-commit",
            "Jenkinsfile",
            ".GitHub/x.yml",
            "sub/noxfile.py",
        ),
        *("jest.config.js", "web/vitest.config.ts", ".mocharc.json", "pytest.py", "unittest/__init__.py"),
        *("a/__pycache__/x.cpython-311.pyc", "lib/evil.pth", "pyvenv.cfg", "setup.py"),
        *("build.rs", "BUILD.RS", ".cargo/config", ".config/nextest.toml", "rust-toolchain.toml", "sub/go.work"),
        *("clippy.toml", ".eslintrc.json", "eslint.config.mjs", "ruff.toml", "mypy.ini", "deny.toml"),
        *("tests/__snapshots__/a.snap", "x/golden/y.json", "a.snap.new"),
        *("AGENTS.md", "agents.md", "docs/CLAUDE.md", ".claude/settings.json", ".cursor/rules/x.mdc", ".mcp.json"),
        *(".gitattributes", "sub/.gitmodules", ".lfsconfig", ".devcontainer/devcontainer.json"),
    ],
)
def test_protected_paths(path: str) -> None:
    refused = protected({path: "x\n"})
    assert (refused.ok, refused.paths) == (False, [path])
    assert not protected({path: None}, {path: "x\n"}).ok
    assert protected({path: "x\n"}, allow=(path,)).ok
    assert not protected({path: "x\n"}, allow=("**",)).ok


@pytest.mark.parametrize(
    "path",
    [
        *("src/build.py", "src/pytest_helper.py", "lib/unittest_x.py", "docs/agents.rst", "src/snapshot.py"),
        *("src/setup_x.py", "cargo/config.toml", "web/vite.config.ts", "src/goldeneye.py", "README.md"),
        "tests/test_a.py",
    ],
)
def test_ordinary_paths(path: str) -> None:
    assert protected({path: "x\n"}).ok


def test_scripts_of_the_orders_own_proof_are_protected() -> None:
    base = {"tools/flicker.py": "1"}
    assert protected({"tools/flicker.py": "2"}, base).ok
    assert not protected({"tools/flicker.py": "2"}, base, scripts=("./tools/flicker.py",)).ok
    assert not protected({"tools/FLICKER.py": "2"}, base, scripts=("tools/flicker.py",)).ok
    assert protected({"tools/flicker.py": "2"}, base, scripts=("tools/flicker.py",), allow=("tools/flicker.py",)).ok


@pytest.mark.parametrize(
    ("path", "old", "fine", "touched"),
    [
        ("pyproject.toml", '[project]\nname = "a"\n', '[project]\nname = "b"\n', '[tool.pytest]\naddopts = "-k no"\n'),
        ("pyproject.toml", "", "[tool.other]\nx = 1\n", '[tool.ruff.lint]\nignore = ["ALL"]\n'),
        ("pyproject.toml", "", '[tool.hatch.build]\nx = "1"\n', '[tool.hatch.envs.default.scripts]\ntest = "true"\n'),
        (
            "pyproject.toml",
            "",
            '[project]\nname = "x"\n',
            '[build-system]\nbuild-backend = "evil"\nbackend-path = ["."]\n',
        ),
        ("setup.cfg", "[metadata]\nname = a\n", "[metadata]\nname = b\n", "[tool:pytest]\naddopts = -k no\n"),
        ("setup.cfg", "", "[options]\nzip_safe = 1\n", "[mypy-x.*]\nignore_errors = True\n"),
        ("setup.cfg", "", "[metadata]\nname = a\n", "[flake8]\nexclude = src\n"),
        ("package.json", "{}", '{"version": "2"}', '{"scripts": {"test": "true"}}'),
        ("package.json", "{}", '{"main": "x.js"}', '{"jest": {"testMatch": []}}'),
        (
            "Cargo.toml",
            '[package]\nname = "a"\n',
            '[package]\nname = "b"\n',
            '[package]\nname = "a"\nbuild = "evil.rs"\n',
        ),
        ("Cargo.toml", "", "[features]\nx = []\n", '[lints.clippy]\nall = "allow"\n'),
        ("Cargo.toml", "", '[lib]\nname = "x"\n', "[lib]\ntest = false\n"),
        ("Cargo.toml", "", '[[bin]]\nname = "x"\n', '[[test]]\nname = "x"\nharness = false\n'),
        ("Cargo.toml", "", '[workspace]\nmembers = ["a"]\n', '[workspace.lints.rust]\nwarnings = "allow"\n'),
        ("Cargo.toml", "", '[package]\nname = "x"\n', '[package]\nname = "x"\nautotests = false\n'),
    ],
)
def test_parts_of_project_files(path: str, old: str, fine: str, touched: str) -> None:
    for where in (path, f"sub/{path}", path.upper()):
        base = {where: old}
        assert protected({where: fine}, base).ok
        assert not protected({where: touched}, base).ok
        assert not protected({where: old}, {where: touched}).ok
        assert not protected({where: None}, {where: touched}).ok
        assert protected({where: touched}, base, allow=(where,)).ok


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("pyproject.toml", "[broken"),
        ("pyproject.toml", "tool = 3\n"),
        ("pyproject.toml", "a = " + "[" * 3000),
        ("package.json", '{"scripts": {}, "scripts": {"test": "true"}}'),
        ("package.json", "[" * 100_000),
        ("package.json", json.dumps([1])),
        ("setup.cfg", "no section\n"),
        ("Cargo.toml", b"\xff"),
        ("Cargo.toml", "bin = 3\n"),
    ],
)
def test_what_nobody_can_read_counts_as_touched(path: str, content: str | bytes) -> None:
    assert not protected({path: content}).ok
