"""The two trees that no commit has: old sources with the change's tests, and the change's sources with old tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gates.proof.rust_inline import changed_tests, code_of, graft, items_of
from gates.proof.test_files import TestFiles, configures_tests, is_configuration, modules_of
from gates.proof.trials import Changed, Trees

NOTHING = "000000"


@dataclass(frozen=True)
class Touched:
    """What a change did to tests. Paths are those of either version.

    files: files of tests, with the names of the test functions that differ (None: any of them may be affected).
    support: fixtures, data and configuration. old: those of both that existed before; added: those that did not, and
    that may act on old tests all the same (by patching the product, or by standing before it where it is imported).
    """

    files: Mapping[str, frozenset[str] | None] = field(default_factory=dict[str, "frozenset[str] | None"])
    inline: frozenset[str] = frozenset()
    support: frozenset[str] = frozenset()
    old: frozenset[str] = frozenset()
    added: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.files or self.support)


def sorter(trees: Trees, named: frozenset[str], base: str, head: str) -> TestFiles:
    """Sorts the paths of both trees; files of Rust modules that are tests as a whole are found by who declares them."""
    modules: list[str] = []
    for row in trees.changed(base, head):
        if row.path.endswith(".rs"):
            folder = row.path.rpartition("/")[0]
            parent = folder.rpartition("/")[0]
            near = [f"{place}/{name}.rs".lstrip("/") for place in (folder, parent) for name in ("lib", "main", "mod")]
            near += [row.path, *([f"{folder}.rs"] if folder else [])]
            for path in near:
                for tree in (base, head):
                    modules += modules_of(path, _text(trees, tree, path) or "")
    return TestFiles(named, modules)


def touched(trees: Trees, files: TestFiles, base: str, head: str) -> Touched:
    """Which tests the step from `base` to `head` touches."""
    tests: dict[str, frozenset[str] | None] = {}
    inline: set[str] = set()
    support: set[str] = set()
    old: set[str] = set()
    added: set[str] = set()
    for row in trees.changed(base, head):
        part = files.part(row.path)
        if part == "test":
            tests[row.path] = None
        elif part == "inline":
            before, after = _text(trees, base, row.path) or "", _text(trees, head, row.path) or ""
            if items_of(before) == items_of(after):
                continue
            names = changed_tests(before, after)
            tests[row.path] = None if names is None else frozenset(names)
            inline.add(row.path)
            if items_of(before):
                old.add(row.path)
            continue
        elif part == "support" or configures_tests(row.path, trees.read(base, row.path), trees.read(head, row.path)):
            support.add(row.path)
        else:
            continue
        # A new conftest.py changes what old tests say, as if it had been there before.
        if row.old_mode != NOTHING or is_configuration(row.path):
            old.add(row.path)
        elif not row.path.endswith(".rs"):  # Cargo builds a new file in `tests` into a program of its own
            added.add(row.path)
    return Touched(tests, frozenset(inline), frozenset(support), frozenset(old), frozenset(added))


def with_tests_of(trees: Trees, files: TestFiles, sources: str, tests: str) -> str:
    """The tree with the sources of the tree `sources` and the tests, fixtures and test configuration of `tests`.

    A source with tests in it keeps its code and gets the other's tests, each in its place. A file that only `tests`
    has and that is no test as a whole is not in it.
    """
    entries: dict[str, tuple[str, str] | None] = {}
    for row in trees.changed(sources, tests):
        part = files.part(row.path)
        if part == "inline":
            if (content := _grafted(trees, sources, tests, row)) is not None:
                entries[row.path] = (row.old_mode, trees.write(content))
        elif part or configures_tests(row.path, trees.read(sources, row.path), trees.read(tests, row.path)):
            entries[row.path] = None if row.new_mode == NOTHING else (row.new_mode, row.new_sha)
    return trees.compose(sources, entries) if entries else sources


def _grafted(trees: Trees, sources: str, tests: str, row: Changed) -> bytes | None:
    """The new content of a source of which both trees have a version; None: it stays as it is."""
    if NOTHING in (row.old_mode, row.new_mode):
        return None
    code, other = _text(trees, sources, row.path), _text(trees, tests, row.path)
    if code is None or other is None or items_of(code) == items_of(other):
        return None
    if code_of(code) == code_of(other):
        return other.encode("utf-8")
    return graft(code, other).encode("utf-8")


def _text(trees: Trees, tree: str, path: str) -> str | None:
    content = trees.read(tree, path)
    try:
        return None if content is None else content.decode("utf-8")
    except UnicodeDecodeError:
        return None
