"""Tests that sit in Rust sources: which parts of a file they are, and one version's code with another one's tests.

A lexer is enough: items end at a matching brace, a semicolon or a comma. What it cannot make sense of (brackets that do
not match, a string without an end) is no test, so the file as a whole counts as code.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

_LEXICAL = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<doc>//(?:/(?!/)[^\n]*|![^\n]*))
  | (?P<comment>//[^\n]*)
  | (?P<block>/\*)
  | (?P<raw>(?:b|c)?r(?P<hashes>\#*)")
  | (?P<string>[bc]?"(?:[^"\\]|\\.)*")
  | (?P<char>b?'(?:\\(?:u\{[^}']*\}|x[0-9A-Fa-f]{2}|.)|[^'\\])')
  | (?P<lifetime>'[A-Za-z_][A-Za-z0-9_]*)
  | (?P<word>(?:r\#)?[^\W\d]\w*)
  | (?P<number>\d\w*)
  | (?P<arrow>->|=>|::)
  | (?P<sign>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_PART = re.compile(r"/\*|\*/")
_TEST_ATTRIBUTES = frozenset(
    {"test", "bench", "rstest", "test_case", "proptest", "quickcheck", "wasm_bindgen_test", "test_log", "case"}
)
_TEST_CFG = re.compile(r"cfg\(test\)|cfg\(all\((?:[^()]|\([^()]*\))*?(?<![\w(])test(?![\w(=])|cfg\(all\(test[,)]")
_NAMED_FILE = re.compile(r"(?:#\[path\s*=|\binclude(?:_str|_bytes)?!\s*[(\[{])\s*\"([^\"\\]+)\"")
_ENDS_AT_SEMICOLON = frozenset({"use", "const", "static", "type", "let"})
_ITEMS = frozenset(
    {"fn", "mod", "struct", "enum", "impl", "trait", "union", "extern", "macro_rules", "unsafe", "async"}
)
_BEFORE_ITEMS = frozenset({"pub", "default", "unsafe", "async"})
_OPEN, _CLOSE = "([{", ")]}"


@dataclass(frozen=True)
class Token:
    """One lexical element. `kind` is word, sign, literal or doc; space and plain comments are left out."""

    kind: str
    text: str
    start: int
    end: int


class _Unclear(Exception):
    """The text is no Rust that the lexer can follow."""


def spans(text: str) -> list[tuple[int, int]]:
    """(start, end) of each test item in order: `#[cfg(test)]` on anything, `#[test]` and its kin on functions, with
    their attributes and documentation, and with the rest of their lines where that is blank. Nested ones count once.

    [] for a file that cannot be followed; a file with `#![cfg(test)]` is a test as a whole.
    """
    try:
        return [_with_line(text, start, end) for start, end in _items(text, _tokens(text))]
    except _Unclear:
        return []


def code_of(text: str) -> str:
    """The file without its tests."""
    return "".join(text[start:end] for start, end in _gaps(text, spans(text)))


def items_of(text: str) -> list[str]:
    """The text of each test item."""
    return [text[start:end] for start, end in spans(text)]


def modules_in_tests(text: str) -> list[str]:
    """Names of the modules in other files that are tests as a whole: `#[cfg(test)] mod tests;`."""
    pattern = re.compile(r"\bmod\s+((?:r#)?\w+)\s*;")
    return [found[1] for item in items_of(text) if (found := pattern.search(item)) and "{" not in item]


def files_in_tests(text: str) -> list[str]:
    """What tests name as their own source by a path: `#[path = "checks.rs"] mod checks;`, `include!("checks.rs")`.
    Relative to the folder of the file itself."""
    found = [path for item in items_of(text) for path in _NAMED_FILE.findall(item)]
    return [path for path in found if not path.startswith("/")]


def changed_tests(old: str, new: str) -> set[str] | None:
    """Names of the test functions that differ between two versions; None: also something that they may share."""
    before, after = _functions(old), _functions(new)
    if before is None or after is None or before[1] != after[1]:
        return None
    return {name for name in {*before[0], *after[0]} if before[0].get(name) != after[0].get(name)}


def graft(code: str, tests: str) -> str:
    """A file with the code of `code` and the test items of `tests`, each where it stood in `tests`.

    A test that has no place there (its module is new) is left out. Equal code gives `tests`, equal tests give `code`.
    """
    ours, theirs = _pieces(code), _pieces(tests)
    old, new = ours.lines, theirs.lines
    place: dict[int, list[str]] = {}
    steps = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    for at, item in theirs.holes:
        depth = theirs.depths[at]
        spots = [
            spot
            for tag, i1, i2, j1, j2 in reversed(steps)
            if j1 <= at <= j2
            for spot in ([i1 + at - j1] if tag == "equal" else _inside(i1, i2, at - j1, j2 - j1))
            if ours.depths[spot] == depth
        ]
        found = spots[0] if spots else len(old) if depth == 0 else None
        if found is not None:
            place.setdefault(found, []).append(item)
    parts: list[str] = []
    for at in range(len(old) + 1):
        for item in place.get(at, []):
            if at == len(old) and parts and "//" in parts[-1] and not parts[-1].endswith("\n"):
                parts.append("\n")
            parts.append(item)
        parts += old[at : at + 1]
    return "".join(parts)


def _inside(first: int, last: int, at: int, length: int) -> list[int]:
    """Places among the old lines of a changed block, the likeliest first."""
    spots = list(range(first, last + 1))
    return spots if at == 0 and length else spots[::-1]


@dataclass(frozen=True)
class _Pieces:
    """Code without its tests, line by line. depths: how many brackets are open before each line (and after the last).
    holes: (before which line, the test item)."""

    lines: Sequence[str]
    depths: Sequence[int]
    holes: Sequence[tuple[int, str]]


def _pieces(text: str) -> _Pieces:
    items = spans(text)
    depth_at = _depths(text)
    lines: list[str] = []
    depths: list[int] = []
    holes: list[tuple[int, str]] = []
    gaps = _gaps(text, items)
    for number, (start, end) in enumerate(gaps):
        at = start
        for line in text[start:end].splitlines(keepends=True):
            lines.append(line)
            depths.append(depth_at(at))
            at += len(line)
        if number < len(items):
            holes.append((len(lines), text[items[number][0] : items[number][1]]))
    depths.append(depth_at(len(text)))
    return _Pieces(lines, depths, holes)


def _depths(text: str):
    """A function from a place in the text to the number of brackets that are open there."""
    marks: list[tuple[int, int]] = [(0, 0)]
    try:
        for token in _tokens(text):
            if token.kind == "sign" and token.text in _OPEN + _CLOSE:
                marks.append((token.end, marks[-1][1] + (1 if token.text in _OPEN else -1)))
    except _Unclear:
        pass
    places = [place for place, _ in marks]

    def depth(at: int) -> int:
        return marks[bisect.bisect_right(places, at) - 1][1]

    return depth


def _gaps(text: str, items: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    edges = [0, *(edge for item in items for edge in item), len(text)]
    return list(zip(edges[::2], edges[1::2], strict=True))


def _functions(text: str) -> tuple[dict[str, str], str] | None:
    """(test functions by name, all other text of test items without blanks)."""
    functions: dict[str, str] = {}
    rest = ""
    for item in items_of(text):
        opened = re.search(r"\bmod\s+\w+\s*\{", item)
        inner = item[opened.end() : item.rstrip().rfind("}")] if opened else item
        tests = spans(inner)
        for start, end in tests:
            name = re.search(r"\bfn\s+((?:r#)?\w+)", inner[start:end])
            if name is None or name[1] in functions:
                return None
            functions[name[1]] = " ".join(inner[start:end].split())
        rest += "".join("".join(inner[start:end].split()) for start, end in _gaps(inner, tests))
    return functions, rest


# ---- lexing --------------------------------------------------------------------------------------------------------


def _tokens(text: str) -> list[Token]:
    """Raises _Unclear for a string or comment without an end."""
    found: list[Token] = []
    at = 0
    while at < len(text):
        match = _LEXICAL.match(text, at)
        if match is None:  # pragma: no cover - the last alternative takes anything
            raise _Unclear
        kind, end = match.lastgroup or "", match.end()
        if kind == "block":
            end = _block_end(text, end)
            if text.startswith(("/**", "/*!"), at) and not text.startswith(("/***", "/**/"), at):
                found.append(Token("doc", text[at:end], at, end))
        elif match["raw"] is not None:
            close = text.find('"' + match["hashes"], end)
            if close < 0:
                raise _Unclear
            end = close + 1 + len(match["hashes"])
            found.append(Token("literal", text[at:end], at, end))
        elif kind == "sign" and match[0] == '"':
            raise _Unclear
        elif kind not in ("space", "comment"):
            group = {"arrow": "sign", "char": "literal", "string": "literal", "number": "literal"}.get(kind, kind)
            found.append(Token(group, match[0], at, end))
        at = end
    return found


def _block_end(text: str, at: int) -> int:
    depth = 1
    while depth:
        found = _BLOCK_PART.search(text, at)
        if found is None:
            raise _Unclear
        depth += 1 if found[0] == "/*" else -1
        at = found.end()
    return at


# ---- items ---------------------------------------------------------------------------------------------------------


def _items(text: str, tokens: Sequence[Token]) -> list[tuple[int, int]]:
    """Raises _Unclear when brackets do not match."""
    found: list[tuple[int, int]] = []
    at = 0
    stack: list[str] = []
    while at < len(tokens):
        token = tokens[at]
        if token.text == "#" and token.kind == "sign" and _is(tokens, at + 1, "!") and _is(tokens, at + 2, "["):
            end = _closing(tokens, at + 2)
            if _is_test(tokens[at + 3 : end]) and not stack:
                return [(0, len(text))]
            at = end + 1
        elif token.kind == "doc" or (token.text == "#" and token.kind == "sign" and _is(tokens, at + 1, "[")):
            first, tests = at, False
            while at < len(tokens):
                if tokens[at].kind == "doc":
                    at += 1
                elif tokens[at].text == "#" and _is(tokens, at + 1, "["):
                    end = _closing(tokens, at + 1)
                    tests = tests or _is_test(tokens[at + 2 : end])
                    at = end + 1
                else:
                    break
            if tests:
                last = _item_end(tokens, at)
                if last >= at:
                    found.append((tokens[first].start, tokens[last].end))
                    at = last + 1
        else:
            if token.kind == "sign" and token.text in _OPEN:
                stack.append(token.text)
            elif (
                token.kind == "sign"
                and token.text in _CLOSE
                and (not stack or stack.pop() != _OPEN[_CLOSE.index(token.text)])
            ):
                raise _Unclear
            at += 1
    if stack:
        raise _Unclear
    return found


def _is(tokens: Sequence[Token], at: int, sign: str) -> bool:
    return at < len(tokens) and tokens[at].kind == "sign" and tokens[at].text == sign


def _is_test(attribute: Sequence[Token]) -> bool:
    words = "".join(token.text for token in attribute)
    if words.startswith("cfg("):
        return _TEST_CFG.match(words) is not None and "not(test" not in words
    path = words.partition("(")[0].partition("=")[0]
    return path.rpartition("::")[2] in _TEST_ATTRIBUTES


def _closing(tokens: Sequence[Token], at: int) -> int:
    """The index of the bracket that closes the one at `at`. Raises _Unclear."""
    stack: list[str] = []
    for index in range(at, len(tokens)):
        token = tokens[index]
        if token.kind == "sign" and token.text in _OPEN:
            stack.append(token.text)
        elif token.kind == "sign" and token.text in _CLOSE:
            if not stack or stack.pop() != _OPEN[_CLOSE.index(token.text)]:
                raise _Unclear
            if not stack:
                return index
    raise _Unclear


def _item_end(tokens: Sequence[Token], at: int) -> int:
    """The index of the last token of the item that starts at `at`; at - 1 when there is none."""
    start = at
    if at + 1 < len(tokens) and tokens[at].text == "pub" and _is(tokens, at + 1, "("):
        at = _closing(tokens, at + 1) + 1
    words = [token.text for token in tokens[at : at + 6] if token.kind == "word" and token.text not in _BEFORE_ITEMS]
    first, second = (words[0] if words else ""), (words[1] if len(words) > 1 else "")
    to_semicolon = first in _ENDS_AT_SEMICOLON and not (first == "const" and second in ("fn", "unsafe", "async"))
    item = first in _ITEMS or first in _ENDS_AT_SEMICOLON
    angles = 0
    while at < len(tokens):
        token = tokens[at]
        if token.kind == "sign":
            if token.text in _CLOSE:
                return at - 1
            if token.text in _OPEN:
                at = _closing(tokens, at)
                if token.text == "{" and not to_semicolon:
                    return at + 1 if not item and _is(tokens, at + 1, ",") else at
            elif token.text == ";" or (token.text == "," and not item and angles <= 0):
                return at
            angles += {"<": 1, ">": -1}.get(token.text, 0)
        at += 1
    if at == start:
        return start - 1
    raise _Unclear


def _with_line(text: str, start: int, end: int) -> tuple[int, int]:
    """The span with the blanks before and after it on its lines."""
    line = text.rfind("\n", 0, start) + 1
    start = line if not text[line:start].strip() else start
    after = re.compile(r"[ \t]*(?:\r?\n|\Z)").match(text, end)
    return start, after.end() if after else end
