"""Product code that notices that it is under test: what holds there need not hold anywhere else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from gates.proof.rust_inline import code_of
from gates.proof.test_files import TestFiles
from gates.proof.trials import Trees
from gates.proof.versions import NOTHING

TEST_AWARE = "test-aware"
"""Flag of a report: the change adds code to the product that asks whether it is being tested."""
_SOURCE = re.compile(r"\.(py|pyi|pyx|rs|go|[cm]?[jt]sx?|rb|sh)$")
_COMMENT = re.compile(r"\s*(#(?!\[|!\[)|//)")
_ASKS = re.compile(
    r"PYTEST_\w+|_called_from_test"
    r"|(?=.*\bmodules\b).*\b_?(?:pytest|unittest)\b"  # "pytest" in sys.modules
    r"|(?=.*\bargv\b).*\b(?:pytest|unittest)\b"
    r"|\bSWARM_RUN\b"
    r"|\bcfg!\((?:not\(|all\(|any\()*test\b|#!?\[cfg\((?:all\(|any\()?not\(test\)"
    r"|\btesting\.Testing\(\)|\bLookup\(\"test\.|\bArgs\[0\].*\.test\b"
    r"|\bNODE_ENV\b.*[=!]==?\s*[\"'`]test\b|[\"'`]test[\"'`]\s*[=!]==?.*\bNODE_ENV\b"
    r"|\bJEST_WORKER_ID\b|\bVITEST\w*|\bimport\.meta\.vitest\b|\bNODE_TEST_CONTEXT\b"
)
_RUST_STATEMENT = re.compile(
    r"#\[cfg\(test\)\]\s*(?!\s|#|//|(?:pub\b|mod\b|use\b|fn\b|impl\b|struct\b|enum\b|trait\b|const\b|static\b|type\b"
    r"|unsafe\b|async\b|extern\b|macro_rules\b|union\b))"
)


@dataclass(frozen=True)
class Aware:
    """One added line; `number` counts from 1."""

    path: str
    number: int
    line: str

    def __str__(self) -> str:
        return f"{self.path}:{self.number}"


def aware_lines(trees: Trees, files: TestFiles, base: str, head: str) -> list[Aware]:
    """The lines that the step from `base` to `head` adds to the product and that ask whether a test is running."""
    found: list[Aware] = []
    for row in trees.changed(base, head):
        if row.new_mode == NOTHING or not _SOURCE.search(row.path) or files.part(row.path) not in ("", "inline"):
            continue
        old, new = _text(trees, base, row.path), _text(trees, head, row.path)
        known = Counter(line for _, line in _asking(row.path, old))
        for number, line in _asking(row.path, new):
            if known[line]:
                known[line] -= 1
            else:
                found.append(Aware(row.path, number, line))
    return found


def _asking(path: str, text: str) -> Iterator[tuple[int, str]]:
    """(number, line without blanks around it) of each line that asks."""
    rust = path.endswith(".rs")
    if rust:
        for found in _RUST_STATEMENT.finditer(text):
            number = text.count("\n", 0, found.start())
            yield number + 1, text.split("\n")[number].strip() + _after(text, found.end())
    product = Counter(code_of(text).splitlines()) if rust else None
    for number, line in enumerate(text.splitlines(), 1):
        if product is not None:
            if not product[line]:
                continue  # of a test
            product[line] -= 1
        if _ASKS.search(line) and not _COMMENT.match(line):
            yield number, line.strip()


def _after(text: str, at: int) -> str:
    return " " + text[at:].partition("\n")[0].strip()


def _text(trees: Trees, tree: str, path: str) -> str:
    return (trees.read(tree, path) or b"").decode("utf-8", "replace")
