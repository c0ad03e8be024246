"""Mutants are made of changed lines alone, always the same for a seed, and the share that gates catch is told."""

import ast
import hashlib
import re
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.models.report import GateResult
from engine.models.settings import Gate
from gates.proof.trials import Changed, Trial
from gates.sabotage import Mutant, mutants, sabotage
from tests.gates.bench import gate

OLD = b"def keep(a):\n    return a < 1\n"
NEW = b'''def keep(a):
    return a < 1
def more(a, b):
    """Sum, if a < b and True."""
    # a < b
    if a < b and not b == 3:
        return a + b
    text = "a < b == 2"
    return -1
'''


def shown(found: Sequence[Mutant]) -> set[tuple[int, str]]:
    return {(mutant.line, mutant.after) for mutant in found}


def test_only_what_decides_something_on_changed_lines_is_broken() -> None:
    found = mutants({"kit.py": (OLD, NEW)}, 100)
    assert shown(found) == {
        (6, "if a <= b and not b == 3:"),
        (6, "if a < b or not b == 3:"),
        (6, "if a < b and b == 3:"),
        (6, "if a < b and not b != 3:"),
        (6, "if a < b and not b == 4:"),
        (6, "if True:"),
        (6, "if False:"),
        (7, "return a - b"),
        (7, "return None"),
        (9, "return -2"),
        (9, "return None"),
    }
    assert all(mutant.content != NEW for mutant in found)


def test_mutants_are_spread_over_lines_and_the_same_for_a_seed() -> None:
    change = {"kit.py": (OLD, NEW)}
    assert {mutant.line for mutant in mutants(change, 3, 7)} == {6, 7, 9}
    assert mutants(change, 5, 7) == mutants(change, 5, 7)
    assert len({tuple(mutants(change, 5, seed)) for seed in range(10)}) > 1
    assert mutants(change, 0) == []


def test_tests_data_and_unchanged_files_are_left_alone() -> None:
    source = b"x = 1 < 2\n"
    assert mutants({"tests/test_a.py": (None, source), "a.md": (None, source), "conftest.py": (None, source)}, 9) == []
    assert mutants({"a.py": (source, source), "b.py": (None, b"\xff = 1 < 2\n")}, 9) == []
    assert mutants({"a.py": (None, source)}, 9)


def test_other_languages_are_broken_by_their_tokens() -> None:
    rust = (
        b"fn f<'a>(v: Vec<u8>, s: &'a str) -> bool {\n    // v < 1\n    if v.len() > 1 && !s.is_empty() {\n"
        b'        return s == "a < b";\n    }\n    false\n}\n#[cfg(test)]\nmod tests { fn t() { assert!(1 < 2); } }\n'
    )
    assert shown(mutants({"src/lib.rs": (None, rust)}, 100)) == {
        (3, "if v.len() >= 1 && !s.is_empty() {"),
        (3, "if v.len() > 1 || !s.is_empty() {"),
        (3, "if v.len() > 1 && s.is_empty() {"),
        (3, "if v.len() > 2 && !s.is_empty() {"),
        (3, "if true {"),
        (3, "if false {"),
        (4, 'return s != "a < b";'),
        (6, "true"),
    }
    script = b"export const f = (a) => {\n  if (a === 1) return `a < ${1}`\n  return a - 1 // 2\n}\n"
    assert (2, "if (a !== 1) return `a < ${1}`") in shown(mutants({"a.ts": (None, script)}, 100))


@given(st.integers(0, 50), st.lists(st.sampled_from(NEW.decode().splitlines()), max_size=12))
def test_every_mutant_of_python_parses_and_differs_in_one_line(seed: int, lines: list[str]) -> None:
    text = "\n".join(["def g(a, b):", "    pass", *lines]) + "\n"
    for mutant in mutants({"a.py": (None, text.encode())}, 20, seed):
        ast.parse(mutant.content)
        old, new = text.splitlines(), mutant.content.decode().splitlines()
        assert [at + 1 for at, (a, b) in enumerate(zip(old, new, strict=True)) if a != b] == [mutant.line]


class Memory:
    """Trees in memory, and a gate that really runs the assertions named in its argv on `kit.py` of a tree."""

    def __init__(self, **trees: Mapping[str, bytes]) -> None:
        self.trees: dict[str, dict[str, bytes]] = {name: dict(files) for name, files in trees.items()}
        self.blobs: dict[str, bytes] = {}
        self.asked: list[str] = []

    def changed(self, base: str, head: str) -> Sequence[Changed]:
        old, new = self.trees[base], self.trees[head]
        return [
            Changed(path, "100644" if path in old else "000000", "100644" if path in new else "000000", "", "")
            for path in sorted({*old, *new})
            if old.get(path) != new.get(path)
        ]

    def read(self, tree: str, path: str) -> bytes | None:
        return self.trees[tree].get(path)

    def write(self, content: bytes) -> str:
        sha = hashlib.sha1(content).hexdigest()
        self.blobs[sha] = content
        return sha

    def compose(self, tree: str, entries: Mapping[str, tuple[str, str] | None]) -> str:
        files = {path: content for path, content in self.trees[tree].items() if entries.get(path, "") is not None}
        files |= {path: self.blobs[put[1]] for path, put in entries.items() if put is not None}
        name = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.trees[name] = files
        return name

    async def __call__(
        self, gate: Gate, tree: str, *, purpose: str, only: Sequence[str] = (), repeat: int = 0
    ) -> Trial:
        self.asked.append(f"{purpose} {gate.name}")
        space: dict[str, object] = {}
        try:
            exec(compile(self.trees[tree]["kit.py"], "kit.py", "exec"), space)
            right = all(eval(check, space) for check in gate.run)
        except Exception:
            right = False
        return Trial(GateResult(name=gate.name, result="green" if right else "red", duration_s=0.1))


HEAD = b"def sign(a):\n    if a < 0:\n        return -1\n    return 1\n"


@pytest.mark.parametrize(
    ("checks", "caught_all"), [(("sign(-1) == -1", "sign(0) == 1", "sign(1) == 1"), True), (("sign(5)",), False)]
)
async def test_the_share_that_is_caught_says_what_the_gates_are_worth(
    checks: tuple[str, ...], caught_all: bool
) -> None:
    trees = Memory(base={}, head={"kit.py": HEAD})
    unit, later = gate("unit", checks, "none"), gate("later", ("True",), "none")
    found = await sabotage([unit, later], "head", "base", 100, 1, trees, trees)
    assert found.made == len(mutants({"kit.py": (None, HEAD)}, 100)) > 5
    assert (found.share == 1.0) is caught_all
    assert bool(found.survivors) is not caught_all
    if not caught_all:
        one = found.survivors[0]
        assert (one.path, one.before in HEAD.decode(), one.before != one.after) == ("kit.py", True, True)
        assert re.match(r"sabotage (unit|later)", trees.asked[-1])
    else:
        assert set(trees.asked) == {"sabotage unit"}, "the first red gate is enough"
    assert found == await sabotage([unit, later], "head", "base", 100, 1, trees, trees)


async def test_nothing_to_break_is_no_share() -> None:
    trees = Memory(base={"kit.py": HEAD}, head={"kit.py": HEAD})
    assert (await sabotage([gate()], "head", "base", 5, 0, trees, trees)).share is None
