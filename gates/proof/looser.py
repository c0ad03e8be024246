"""Checks that are gone from tests: with the code as it is the old tests pass still, and later they ask for less.

A weakened test is found by running it as it was, but only against today's code. Who weakens it first and breaks the
code afterwards gets through both times, so the first step is said openly.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator, Sequence

from gates.judge import is_named
from gates.proof.rust_inline import items_of
from gates.proof.test_files import TestFiles
from gates.proof.trials import Trees
from gates.proof.versions import NOTHING

LOOSER_TESTS = "looser-tests"
"""Flag of a report: checks that the base's tests made are gone, though the order names none of these files."""
_CHECK = re.compile(
    r"\bassert|\bexpect\w*\s*[.(!]|\bself\.fail\w*\(|\b[tb]\.(?:Error|Fatal|Fail)\w*\(|\brequire\.\w+\("
    r"|\braises\b|\bshould\b|\bpanic!|\bensure\w*!?\s*\("
)


def loosened(trees: Trees, files: TestFiles, base: str, head: str, named: Sequence[str]) -> list[str]:
    """The files of tests and of what they stand on in which checks of the base are gone, or where a test hides another
    one of the same name. Checks that moved to another file of tests are not gone.

    named: what the order says may change or go; a file of which it names anything is its business.
    """
    old: dict[str, Counter[str]] = {}
    new: dict[str, Counter[str]] = {}
    hiding: set[str] = set()
    for row in trees.changed(base, head):
        part = files.part(row.path)
        if not part:
            continue
        before, after = _text(trees, base, row.path), _text(trees, head, row.path)
        if part == "inline":
            before, after = ("\n".join(items_of(text)) for text in (before, after))
        new[row.path] = Counter(_checks(after))
        if row.old_mode != NOTHING:
            old[row.path] = Counter(_checks(before))
            if row.path.endswith(".py") and _hidden(after) - _hidden(before):
                hiding.add(row.path)
    moved = sum(new.values(), Counter[str]()) - sum(old.values(), Counter[str]())
    found: list[str] = []
    for path, checks in old.items():
        gone = checks - new[path]
        arrived = gone & moved
        moved -= arrived
        if (gone - arrived or path in hiding) and not _is_named(path, named):
            found.append(path)
    return found


def _is_named(path: str, named: Sequence[str]) -> bool:
    """Whether a list of the order names the file, or a test in it."""
    return is_named(path, named) or any(is_named(name, [path]) for name in named)


def _checks(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if _CHECK.search(line):
            yield " ".join(line.split())


def _hidden(text: str) -> set[str]:
    """Functions of tests that another one of the same name in the same place stands before."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    found: set[str] = set()
    for group in (tree, *(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))):
        names = Counter(
            one.name for one in group.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        )
        where = group.name if isinstance(group, ast.ClassDef) else ""
        found |= {f"{where}.{name}" for name, count in names.items() if count > 1}
    return found


def _text(trees: Trees, tree: str, path: str) -> str:
    return (trees.read(tree, path) or b"").decode("utf-8", "replace")
