"""Sabotage: break a changed line and see that some gate turns red. The share that is caught says what gates are worth.

What is broken is a token that decides something: a comparison, a boolean, a sign, a number, a condition, what is
returned. Comments, strings and tests are left alone. A mutant of Python always parses; of other languages some do not
compile, and are caught by that.
"""

from __future__ import annotations

import ast
import asyncio
import io
import random
import re
import tokenize
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from engine.models.proof import ProofRun
from engine.models.settings import Gate
from gates.proof.commands import run_of
from gates.proof.rust_inline import spans
from gates.proof.test_files import TestFiles
from gates.proof.trials import Trees, Trials

_MOST_BYTES = 1_000_000
_C_LIKE = (".rs", ".go", ".js", ".mjs", ".cjs", ".ts", ".tsx", ".jsx", ".java", ".kt", ".c", ".h", ".cc", ".cpp", ".cs",
           ".swift", ".scala", ".zig", ".dart")  # fmt: skip
_FLIPS: Mapping[str, str] = {
    "==": "!=", "!=": "==", "===": "!==", "!==": "===", "<": "<=", "<=": "<", ">": ">=", ">=": ">",
    "&&": "||", "||": "&&", "and": "or", "or": "and", "True": "False", "False": "True", "true": "false",
    "false": "true", "+": "-", "-": "+", "+=": "-=", "-=": "+=",
}  # fmt: skip
_BETWEEN = frozenset({"<", ">", "+", "-"})
"""Signs that stand for other things too: these are flipped only between two operands."""
_C_TOKEN = re.compile(
    r"""(?P<skip>//[^\n]*|/\*.*?\*/|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\.)*`|'(?:[^'\\\n]|\\.)'|'(?:[^'\\\n]|\\.){2,}'(?!\w)|\s+)
    |(?P<word>[^\W\d]\w*)|(?P<number>\d[\w.]*)
    |(?P<sign>===|!==|<<=|>>=|->|=>|::|==|!=|<=|>=|&&|\|\||\+\+|--|\+=|-=|<<|>>|.)""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Mutant:
    """One broken version of one file. `line` counts from 1; `before` and `after` are that line without its indent."""

    path: str
    line: int
    before: str
    after: str
    content: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Sabotage:
    """What became of the mutants. `unclear`: those on which a gate could not say anything, and none was red."""

    caught: int
    survivors: tuple[Mutant, ...] = ()
    unclear: tuple[Mutant, ...] = ()
    runs: tuple[ProofRun, ...] = ()

    @property
    def made(self) -> int:
        return self.caught + len(self.survivors) + len(self.unclear)

    @property
    def share(self) -> float | None:
        """The share that was caught, 0 to 1; None when there was nothing to break."""
        judged = self.caught + len(self.survivors)
        return self.caught / judged if judged else None


@dataclass(frozen=True)
class _Edit:
    """Put `text` in place of the characters from `start` to `end`."""

    start: int
    end: int
    text: str


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


def mutants(changed: Mapping[str, tuple[bytes | None, bytes]], n: int, seed: int = 0) -> list[Mutant]:
    """At most n ways to break the changed lines, spread over as many lines as there are; the same for the same seed.

    changed: path -> (content before, None for a new file; content now). Files that are no sources, are tests, or are
    not UTF-8 give none.
    """
    files, rng = TestFiles(), random.Random(seed)
    by_line: dict[tuple[str, int], list[Mutant]] = {}
    for path in sorted(changed):
        before, now = changed[path]
        if files.part(path) not in ("", "inline") or len(now) > _MOST_BYTES:
            continue
        try:
            text, old = now.decode("utf-8"), (before or b"").decode("utf-8", "replace")
        except UnicodeDecodeError:
            continue
        for mutant in _of_file(path, old, text):
            by_line.setdefault((mutant.path, mutant.line), []).append(mutant)
    lines = [by_line[key] for key in sorted(by_line)]
    for group in lines:
        rng.shuffle(group)
    rng.shuffle(lines)
    rounds = max((len(group) for group in lines), default=0)
    return [group[at] for at in range(rounds) for group in lines if at < len(group)][:n]


async def sabotage(
    gates: Sequence[Gate], tree: str, base_tree: str, n: int, seed: int, trials: Trials, trees: Trees
) -> Sabotage:
    """Break what the step from `base_tree` to `tree` changed, n times, and run the gates on each until one is red.

    A mutant on which a gate runs into its timeout is caught. The gates are taken to be green on `tree`.
    """
    rows = {
        row.path: row
        for row in await asyncio.to_thread(trees.changed, base_tree, tree)
        if row.new_mode in ("100644", "100755")
    }
    usable = await asyncio.to_thread(_contents, trees, base_tree, tree, list(rows))
    caught = 0
    survivors: list[Mutant] = []
    unclear: list[Mutant] = []
    runs: list[ProofRun] = []
    for mutant in await asyncio.to_thread(mutants, usable, n, seed):
        broken = await asyncio.to_thread(_broken, trees, tree, rows[mutant.path].new_mode, mutant)
        said: set[str] = set()
        for gate in gates:
            trial = await trials(gate, broken, purpose="sabotage")
            runs.append(run_of("sabotage", gate, broken, trial))
            said.add(trial.result.result)
            if trial.result.result in ("red", "timeout"):
                break
        if said & {"red", "timeout"}:
            caught += 1
        else:
            (unclear if said - {"green"} or not said else survivors).append(mutant)
    return Sabotage(caught, tuple(survivors), tuple(unclear), tuple(runs))


def _contents(trees: Trees, base_tree: str, tree: str, paths: Sequence[str]) -> dict[str, tuple[bytes | None, bytes]]:
    found = {path: (trees.read(base_tree, path), trees.read(tree, path)) for path in paths}
    return {path: (old, new) for path, (old, new) in found.items() if new is not None}


def _broken(trees: Trees, tree: str, mode: str, mutant: Mutant) -> str:
    return trees.compose(tree, {mutant.path: (mode, trees.write(mutant.content))})


def _of_file(path: str, old: str, text: str) -> Iterator[Mutant]:
    lines = text.splitlines(keepends=True)
    touched = _changed_lines(old.splitlines(keepends=True), lines)
    if path.endswith(".py"):
        edits = list(_python(text))
    elif path.endswith(_C_LIKE):
        tests = spans(text) if path.endswith(".rs") else []
        edits = [edit for edit in _c_like(text) if not any(a <= edit.start < b for a, b in tests)]
    else:
        return
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    seen: set[str] = set()
    for edit in edits:
        number = bisect_right(starts, edit.start) - 1
        broken = text[: edit.start] + edit.text + text[edit.end :]
        if number not in touched or broken in seen or broken == text or edit.end > starts[number + 1]:
            continue
        if path.endswith(".py") and not _parses(broken):
            continue
        seen.add(broken)
        line = lines[number]
        after = line[: edit.start - starts[number]] + edit.text + line[edit.end - starts[number] :]
        yield Mutant(path, number + 1, line.strip(), after.strip(), broken.encode("utf-8"))


def _changed_lines(old: Sequence[str], new: Sequence[str]) -> set[int]:
    steps = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return {at for tag, _, _, first, last in steps if tag in ("insert", "replace") for at in range(first, last)}


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


# ---- Python --------------------------------------------------------------------------------------------------------


def _python(text: str) -> Iterator[_Edit]:
    try:
        tree = ast.parse(text)
        raw = list(tokenize.generate_tokens(io.StringIO(text).readline))
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError):
        return
    lines = text.splitlines(keepends=True)
    if "".join(lines) != text or any(sign in text for sign in "\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\r"):
        return  # tokenize and splitlines would not count the same lines
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))
    kinds = {tokenize.NAME: "word", tokenize.NUMBER: "number", tokenize.OP: "sign"}
    tokens = [
        _Token(
            kinds[one.type], one.string, starts[one.start[0] - 1] + one.start[1], starts[one.end[0] - 1] + one.end[1]
        )
        for one in raw
        if one.type in kinds
    ]
    yield from _flips(tokens)
    for at, token in enumerate(tokens):
        if token.text == "not" and not (at and tokens[at - 1].text == "is") and tokens[at + 1].text != "in":
            yield _Edit(token.start, tokens[at + 1].start, "")

    def place(row: int, column_bytes: int) -> int:
        return starts[row - 1] + len(lines[row - 1].encode("utf-8")[:column_bytes].decode("utf-8"))

    for node in ast.walk(tree):
        if isinstance(node, ast.If | ast.While | ast.IfExp):
            test = node.test
            if not isinstance(test, ast.Constant) and test.end_lineno is not None and test.end_col_offset is not None:
                start, end = place(test.lineno, test.col_offset), place(test.end_lineno, test.end_col_offset)
                forced = ("False",) if isinstance(node, ast.While) else ("True", "False")
                yield from (_Edit(start, end, word) for word in forced)
        if isinstance(node, ast.Return) and node.value is not None and not isinstance(node.value, ast.Constant):
            value = node.value
            if value.end_lineno is not None and value.end_col_offset is not None:
                start, end = place(value.lineno, value.col_offset), place(value.end_lineno, value.end_col_offset)
                yield _Edit(start, end, "None")


# ---- other languages -----------------------------------------------------------------------------------------------


def _c_like(text: str) -> Iterator[_Edit]:
    tokens = [
        _Token(found.lastgroup or "", found[0], found.start(), found.end())
        for found in _C_TOKEN.finditer(text)
        if found.lastgroup != "skip"
    ]
    for edit in _flips(tokens):
        spaced = text[edit.start - 1 : edit.start].isspace() and text[edit.end : edit.end + 1].isspace()
        if text[edit.start : edit.end] not in _BETWEEN or spaced:
            yield edit
    for at, token in enumerate(tokens):
        if token.kind == "word" and token.text == "if":
            end = next((to for to in range(at + 1, len(tokens)) if tokens[to].text in ("{", ";", "let")), None)
            if end is not None and end > at + 1 and tokens[end].text == "{":
                first, last = tokens[at + 1].start, tokens[end - 1].end
                brackets = text[first] == "(" and text[last - 1] == ")"
                for word in ("true", "false"):
                    yield _Edit(first, last, f"({word})" if brackets else word)
        negates = token.text == "!" and at + 1 < len(tokens) and tokens[at + 1].kind == "word"
        macro = at > 0 and (tokens[at - 1].kind == "word" or tokens[at - 1].text == "#")
        if negates and not macro:
            yield _Edit(token.start, token.end, "")


def _flips(tokens: Sequence[_Token]) -> Iterator[_Edit]:
    for at, token in enumerate(tokens):
        if token.kind == "number" and re.fullmatch(r"\d{1,15}", token.text):
            yield _Edit(token.start, token.end, str(int(token.text) + 1))
        elif (other := _FLIPS.get(token.text)) is not None:
            before = tokens[at - 1] if at else None
            binary = before is not None and (before.kind in ("word", "number") or before.text in (")", "]"))
            if before is not None and before.text in ("return", "case", "in", "and", "or", "not", "if", "else"):
                binary = False
            if token.text not in _BETWEEN or binary:
                yield _Edit(token.start, token.end, other)
