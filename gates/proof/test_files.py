"""Which files of a change are tests, and which are what tests stand on (fixtures, test data, test configuration)."""

from __future__ import annotations

import posixpath
import re
import tomllib
from collections.abc import Callable, Collection
from pathlib import PurePosixPath
from typing import Literal

from gates.proof.rust_inline import files_in_tests, modules_in_tests

Part = Literal["test", "support", "inline", ""]
"""inline: a source file that may have tests in it; "": no test at all."""

_TESTS = re.compile(
    r"(^|/)("
    r"test_[^/]*\.py|[^/]*_test\.py|tests?\.py"  # Python
    r"|[^/]+_test\.go"
    r"|[^/]+[._](test|spec)\.[cm]?[jt]sx?"
    r"|[^/]+_tests?\.rs|tests\.rs"
    r"|[^/]*_(test|spec)\.rb|[^/]+(Test|Tests|IT)\.(java|kt|scala|cs)|[^/]+_test\.(cc|cpp|c|exs|dart)"
    r")$"
)
_TEST_SOURCES = re.compile(r"\.(py|rs|go|[cm]?[jt]sx?|rb|java|kt|cs|c|cc|cpp|sh|exs|bats)$")
_TEST_FOLDERS = frozenset({"tests", "test", "__tests__", "spec", "testing"})
_HELPER_FOLDERS = re.compile(r"test[_-]?(util|utils|helper|helpers|support|lib|kit)")
"""Folders of what tests stand on that lie among the sources, as `internal/testutil` of Go."""
_DATA_FOLDERS = frozenset({"testdata", "fixtures", "__snapshots__", "__fixtures__", "__mocks__", "snapshots"})
_CONFIGURATION = re.compile(
    r"(^|/)(conftest\.py|\.?pytest\.(ini|toml)|(jest|vitest|karma|playwright|cypress)\.(config|setup)\.[^/]+"
    r"|\.mocharc[^/]*|nextest\.toml|phpunit\.xml|\.rspec|(jest|vitest|test)[._-]setup\.[cm]?[jt]s)$"
)
_MIXED = re.compile(r"(^|/)(pyproject\.toml|setup\.cfg|tox\.ini)$")
_OF_PYTEST = re.compile(
    rb"^\[(?:tool[.:])?pytest[^\]]*\]\s*$.*?(?=^\[(?!(?:tool[.:])?pytest)|\Z)", re.MULTILINE | re.DOTALL
)


class TestFiles:
    """Sorts paths. `named`: the files that test ids of results name; these are tests wherever they lie."""

    __test__ = False

    def __init__(self, named: Collection[str] = (), modules: Collection[str] = ()) -> None:
        self._named = frozenset(name for name in named if name)
        self._suffixes = frozenset(PurePosixPath(name).name for name in self._named)
        self._modules = frozenset(modules)

    def part(self, path: str) -> Part:
        """What a file is, by its path alone. Folders called `tests` count where they hold sources of tests or lie
        beside some: `docs/test/readme.md` is no test."""
        if _CONFIGURATION.search(path):
            return "support"
        folders = PurePosixPath(path).parts[:-1]
        if path in self._modules or _TESTS.search(path):
            return "test"
        if path.endswith(".rs"):
            # Below `src`, a folder called tests is a module like any other, and has `#[cfg(test)]` if it is one.
            # That a test id names the file says nothing: there are tests in documentation.
            return "test" if "tests" in folders and "src" not in folders else "inline"
        if self.names(path):
            return "test"
        of_tests = next((at for at, folder in enumerate(folders) if folder in _TEST_FOLDERS), None)
        if of_tests is not None and "docs" not in folders[:of_tests]:
            return "support"
        helps = any(folder in _DATA_FOLDERS or _HELPER_FOLDERS.fullmatch(folder) for folder in folders)
        return "support" if helps else ""

    def names(self, path: str) -> bool:
        """Whether a test id names this file, maybe without the folders before it (`discover -s tests`)."""
        if path in self._named:
            return True
        if PurePosixPath(path).name not in self._suffixes:
            return False
        return bool(_TEST_SOURCES.search(path)) and any(path.endswith(f"/{name}") for name in self._named)


def same_file(named: str, path: str) -> bool:
    """Whether what a test id names is this file; the folders before it may be missing from the id."""
    return bool(named) and (path == named or path.endswith(f"/{named}"))


def is_configuration(path: str) -> bool:
    """Whether the file decides by itself how tests are collected, run or reported."""
    return bool(_CONFIGURATION.search(path))


def configures_tests(path: str, old: bytes | None, new: bytes | None) -> bool:
    """Whether the part about pytest of a file with settings of many tools has changed."""
    if not _MIXED.search(path):
        return False
    if path.endswith(".toml"):
        return _pytest_of(old) != _pytest_of(new)
    return _OF_PYTEST.findall(old or b"") != _OF_PYTEST.findall(new or b"")


def _pytest_of(content: bytes | None) -> object:
    """The table `[tool.pytest]`, however it is written; what is no TOML stands for itself."""
    try:
        return tomllib.loads((content or b"").decode("utf-8"))["tool"]["pytest"]
    except (KeyError, TypeError):
        return None
    except ValueError:
        return content


def modules_of(path: str, text: str) -> list[str]:
    """The files that a Rust source may mean by `#[cfg(test)] mod name;`, and those that its tests name by a path."""
    file = PurePosixPath(path)
    stay = file.name in ("lib.rs", "main.rs", "mod.rs")
    folder = file.parent if stay else file.parent / file.stem
    names = [name.removeprefix("r#") for name in modules_in_tests(text)]
    named = [posixpath.normpath(str(file.parent / path)) for path in files_in_tests(text)]
    return [*named, *(str(folder / tail) for name in names for tail in (f"{name}.rs", f"{name}/mod.rs"))]


def python_module(word: str, exists: Callable[[str], bool]) -> str:
    """The file that `python -m WORD` runs, where it is one of the tree; else ""."""
    base = word.replace(".", "/")
    found = (f"{folder}{base}{tail}" for folder in ("", "src/") for tail in (".py", "/__main__.py"))
    return next((path for path in found if exists(path)), "")
