"""Which gates a repository can have, by what lies in it and what is installed. Reads files, runs nothing."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, cast

from gates.results.table import problem_with

_TEST_FUNCTION = re.compile(r"^(async )?def test_", re.MULTILINE)
_DOC_FENCE = re.compile(r"^\s*//[/!] ```(rust)?\s*$", re.MULTILINE)
_MOST_FILES = 500


@dataclass(frozen=True)
class FoundGate:
    """One gate as it would be written down. `note` says why it is there, for the comment behind `run`."""

    name: str
    kind: str
    run: tuple[str, ...]
    results: str
    note: str
    needs: tuple[str, ...] = ()
    timeout: str = "10m"


def find_gates(root: Path, python: str, path: str | None = None) -> list[FoundGate]:
    """The gates of the repository at `root`. python: how its interpreter is called. path: where programs are looked
    for; None: the PATH of this process."""
    return [
        *_python(root, python, path),
        *_rust(root, path),
        *_node(root),
        *_go(root),
    ]


def _python(root: Path, python: str, path: str | None) -> list[FoundGate]:
    gates: list[FoundGate] = []
    if (root / "tests").is_dir() and any((root / "tests").rglob("*.py")):
        gates.append(_python_tests(root, python))
    elif any(root.glob("test_*.py")):
        gates.append(_python_tests_at_the_top(root, python))
    settings = _toml(root / "pyproject.toml")
    tools = _table(settings, "tool")
    ruff = any((root / name).is_file() for name in ("ruff.toml", ".ruff.toml")) or "ruff" in tools
    if ruff and shutil.which("ruff", path=path):
        gates.append(FoundGate("ruff", "lint", ("ruff", "check", "."), "none", "ruff is configured and installed"))
        if "format" in _table(tools, "ruff"):
            note = "[tool.ruff.format] is configured"
            gates.append(FoundGate("format", "format", ("ruff", "format", "--check", "."), "none", note))
    if ("pyright" in tools or (root / "pyrightconfig.json").is_file()) and shutil.which("pyright", path=path):
        gates.append(FoundGate("pyright", "lint", ("pyright",), "none", "pyright is configured and installed"))
    if ("mypy" in tools or (root / "mypy.ini").is_file()) and shutil.which("mypy", path=path):
        own = "files" in _table(tools, "mypy") or re.search(r"^files\s*=", _text_of(root / "mypy.ini"), re.MULTILINE)
        note = "mypy is configured and installed"
        gates.append(FoundGate("mypy", "lint", ("mypy",) if own else ("mypy", "."), "none", note))
    return gates


def _python_tests(root: Path, python: str) -> FoundGate:
    if _uses_pytest(root):
        return FoundGate("tests", "unit", (python, "-m", "pytest", "-q"), "pytest", "found tests/ and pytest")
    top = ("-t", ".") if (root / "tests" / "__init__.py").is_file() else ()
    run = (python, "-m", "unittest", "discover", "-s", "tests", *top)
    return FoundGate("tests", "unit", run, "unittest", "found tests/ with unittest")


def _python_tests_at_the_top(root: Path, python: str) -> FoundGate:
    if _uses_pytest(root):
        return FoundGate("tests", "unit", (python, "-m", "pytest", "-q"), "pytest", "found test files and pytest")
    run = (python, "-m", "unittest", "discover")
    return FoundGate("tests", "unit", run, "unittest", "found test files with unittest")


def _uses_pytest(root: Path) -> bool:
    if any((root / name).is_file() for name in ("pytest.ini", "conftest.py", "tests/conftest.py")):
        return True
    files = [root / "pyproject.toml", root / "setup.cfg", root / "tox.ini", *root.glob("requirements*.txt")]
    files += sorted([*root.glob("test_*.py"), *(root / "tests").rglob("test_*.py")])[:200]
    # unittest finds no test that is a plain function.
    return any("pytest" in (text := _text_of(file)) or _TEST_FUNCTION.search(text) for file in files)


def _rust(root: Path, path: str | None) -> list[FoundGate]:
    manifest = root / "Cargo.toml"
    if not manifest.is_file():
        return []
    every = ("--workspace",) if "workspace" in _toml(manifest) else ()
    release = "optimised code is other code: overflow checks and timing differ"
    clippy = ("cargo", "clippy", *every, "--all-targets", "--", "-D", "warnings")
    gates = [
        FoundGate("build", "build", ("cargo", "build", *every), "cargo-messages", "found Cargo.toml"),
        FoundGate(
            "build-release",
            "build",
            ("cargo", "build", *every, "--release"),
            "cargo-messages",
            release,
            ("build",),
            "30m",
        ),
        FoundGate(
            "format", "format", ("cargo", "fmt", "--all", "--check"), "none", "red when rustfmt would change a file"
        ),
        FoundGate("clippy", "lint", clippy, "cargo-messages", "a warning is red; it stands in the reason", ("build",)),
    ]
    if shutil.which("cargo-nextest", path=path):
        run = ("cargo", "nextest", "run", *every)
        gates.append(FoundGate("tests", "unit", run, "nextest", "cargo-nextest is installed; no retries", ("build",)))
        if _has_documentation_tests(root):
            run = ("cargo", "test", "--doc", *every)
            note = "nextest does not run the examples in comments"
            gates.append(FoundGate("doc-tests", "unit", run, "cargo-test", note, ("build",)))
    else:
        note = "each test in a process of its own; examples in comments count"
        gates.append(FoundGate("tests", "unit", ("cargo", "test", *every), "cargo-test", note, ("build",)))
    if (root / "deny.toml").is_file() and shutil.which("cargo-deny", path=path):
        run = ("cargo", "deny", "check", "bans", "licenses", "sources")
        note = "found deny.toml; advisories would need the network"
        gates.append(FoundGate("deny", "security", run, "none", note))
    return gates


def _has_documentation_tests(root: Path) -> bool:
    files = chain(root.glob("src/**/*.rs"), root.glob("*/src/**/*.rs"), root.glob("*/*/src/**/*.rs"))
    return any(_DOC_FENCE.search(_text_of(file)) for file in islice(files, _MOST_FILES))


def _node(root: Path) -> list[FoundGate]:
    script = _npm_test(root / "package.json")
    if not script:
        return []
    words = script.split()
    if words[:2] == ["node", "--test"] and not re.search(r"[|&;<>$`*'\"]", script):
        run = ("node", *words[1:2], "--test-reporter=tap", *words[2:])
        if not problem_with("tap", run):
            note = "the test script of package.json, with results that can be counted"
            return [FoundGate("node-test", "unit", run, "tap", note)]
    note = "found a test script in package.json; judged by its exit code"
    return [FoundGate("npm-test", "unit", ("npm", "test"), "none", note)]


def _npm_test(package: Path) -> str:
    try:
        data: Any = json.loads(_text_of(package) or "{}")
        script = str(data.get("scripts", {}).get("test") or "")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return "" if "no test specified" in script else script


def _go(root: Path) -> list[FoundGate]:
    if not (root / "go.mod").is_file():
        return []
    gates = [
        FoundGate("go-build", "build", ("go", "build", "./..."), "none", "found go.mod"),
        FoundGate("vet", "lint", ("go", "vet", "./..."), "none", "suspicious code is red", ("go-build",)),
    ]
    if any(islice(root.rglob("*_test.go"), 1)):
        note = "found tests; cached results are not taken"
        gates.append(FoundGate("go-test", "unit", ("go", "test", "./..."), "go-test", note, ("go-build",)))
    return gates


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(_text_of(path))
    except (ValueError, RecursionError):
        return {}


def _table(settings: dict[str, Any], name: str) -> dict[str, Any]:
    found: object = settings.get(name)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
