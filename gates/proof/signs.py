"""Signs instead of proofs: a test of a fix that looks at something new, and would pass with the fault still there.

The old code gets all that the change merely adds beside it: new files, new names at the top of Python modules, new
constants of classes. A test that passes then has seen a sign that the change put up, and not the fault. What a change
does inside of functions that were there before is never part of it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from gates.proof.test_files import TestFiles
from gates.proof.trials import Trees
from gates.proof.versions import NOTHING

_WORD = re.compile(r"[^\W\d]\w*")
_READS = re.compile(
    r"\b(getsource\w*|read_text|read_bytes|open|linecache|tokenize|findsource|readlines?"
    r"|include_(?:str|bytes)|read_to_string|fs::read|ReadFile|readFile(?:Sync)?)\b"
)
_SLASHED = (
    ".rs",
    ".go",
    ".js",
    ".mjs",
    ".cjs",
    ".ts",
    ".tsx",
    ".jsx",
    ".java",
    ".kt",
    ".cs",
    ".c",
    ".cc",
    ".cpp",
    ".h",
)
_REGULAR = ("100644", "100755")


def reads_files(text: str) -> bool:
    """Whether a test may read sources instead of running them."""
    return bool(_READS.search(text))


def with_signs(trees: Trees, files: TestFiles, overlay: str, head: str, *, texts: bool) -> str:
    """The tree `overlay` (old sources, new tests) with all that `head` adds beside what was there.

    texts: for tests that read sources, also head's text, as comments. The same tree when nothing is merely added.
    """
    entries: dict[str, tuple[str, str] | None] = {}
    for row in trees.changed(overlay, head):
        if row.new_mode not in _REGULAR:
            continue
        if row.old_mode == NOTHING:
            entries[row.path] = (row.new_mode, row.new_sha)
        elif row.path.endswith((".py", *_SLASHED)) and files.part(row.path) in ("", "inline"):
            old, new = _text(trees, overlay, row.path), _text(trees, head, row.path)
            if old is None or new is None:
                continue
            python = row.path.endswith(".py")
            if (more := additions(old, new) if python else "") or texts:
                mark = "#" if python else "//"
                quoted = "".join(f"{mark} {line}\n" for line in new.splitlines()) if texts else ""
                content = f"{old.rstrip()}\n\n{more}{quoted}"
                entries[row.path] = (row.old_mode, trees.write(content.encode("utf-8", "surrogatepass")))
    return trees.compose(overlay, entries) if entries else overlay


def additions(old: str, new: str) -> str:
    """Python source: what the module `new` has and nothing in `old` speaks of, so that it can be put below `old`.

    A name that the old text mentions is part of the old code, even where it was missing: that may be the very fault.
    """
    try:
        before, after = ast.parse(old), ast.parse(new)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    known = set(_WORD.findall(old))
    found = [*_of_module(before.body, after.body, known), *_of_classes(before.body, after.body, known)]
    # One that cannot be run beside the old code must not keep the others from being there.
    passing = [ast.ExceptHandler(ast.Name("Exception", ast.Load()), None, [ast.Pass()])]
    guarded: list[ast.stmt] = [ast.Try([one], passing, [], []) for one in found]
    try:
        return ast.unparse(ast.fix_missing_locations(ast.Module(guarded, []))) + "\n" if guarded else ""
    except (ValueError, RecursionError):
        return ""


def _of_module(before: Sequence[ast.stmt], after: Sequence[ast.stmt], known: set[str]) -> Iterator[ast.stmt]:
    same = {ast.dump(one) for one in before}
    for one in after:
        names = _bound(one)
        if names and not names & known and ast.dump(one) not in same:
            yield one
        elif _is_import(one) and ast.dump(one) not in same and not names & _assigned(before):
            yield one  # what the new names need


def _of_classes(before: Sequence[ast.stmt], after: Sequence[ast.stmt], known: set[str]) -> Iterator[ast.stmt]:
    there = {one.name for one in before if isinstance(one, ast.ClassDef)}
    for group in after:
        if not isinstance(group, ast.ClassDef) or group.name not in there:
            continue
        for one in group.body:
            names = _bound(one)
            value = one.value if isinstance(one, ast.Assign | ast.AnnAssign) else None
            if isinstance(value, ast.Constant) and len(names) == 1 and not names & known:
                target = ast.Attribute(ast.Name(group.name, ast.Load()), next(iter(names)), ast.Store())
                yield ast.Assign([target], value)


def _bound(one: ast.stmt) -> set[str]:
    """The names that a statement makes, where it is of a kind that only makes names."""
    if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {one.name}
    if isinstance(one, ast.Import | ast.ImportFrom):
        return {alias.asname or alias.name.partition(".")[0] for alias in one.names} - {"*"}
    if isinstance(one, ast.Assign | ast.AnnAssign):
        targets = one.targets if isinstance(one, ast.Assign) else [one.target]
        made = [node for target in targets for node in ast.walk(target) if isinstance(node, ast.Name | ast.Attribute)]
        return {node.attr if isinstance(node, ast.Attribute) else node.id for node in made if _stores(node)}
    return set()


def _stores(node: ast.Name | ast.Attribute) -> bool:
    return isinstance(node.ctx, ast.Store)


def _assigned(body: Sequence[ast.stmt]) -> set[str]:
    return {name for one in body for name in _bound(one)}


def _is_import(one: ast.stmt) -> bool:
    return isinstance(one, ast.Import) or (isinstance(one, ast.ImportFrom) and one.module != "__future__")


def _text(trees: Trees, tree: str, path: str) -> str | None:
    content = trees.read(tree, path)
    try:
        return None if content is None else content.decode("utf-8")
    except UnicodeDecodeError:
        return None
