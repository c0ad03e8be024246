"""Finds text that a program draws as markup: whatever an agent or a test wrote would be live in it.

A string is markup to `Static`, `Label`, `update`, `notify`, borders, tooltips, and to Rich's `print`; a `Text` or a
`Content` is not. So these may be given a `Text` or `Content`, a string that is written out in the source without
brackets, or numbers between such; `notify` and `print` may also be told `markup=False`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

WIDGETS = frozenset({"Static", "Label", "Button", "Option", "Markdown", "Checkbox", "Collapsible", "Digits", "Link"})
MADE = frozenset({"Text", "Content"})
TITLES = frozenset({"border_title", "border_subtitle", "tooltip", "sub_title"})
PARSERS = frozenset({"from_markup", "from_ansi", "from_rich_text", "render_markup"})
COUNTS = frozenset({"len", "int", "round", "sum"})


@dataclass(frozen=True)
class Finding:
    """`what`: the sink, as in the source."""

    line: int
    what: str


def findings(source: str, known: frozenset[str] = frozenset()) -> list[Finding]:
    """All places in one file, in order. known: functions and methods elsewhere that return a `Text`."""
    tree = ast.parse(source)
    returns = known | {
        node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_annotated(node.returns)
    }
    found: list[Finding] = []
    for scope in _scopes(tree):
        checker = _Scope(returns, _made_here(scope, returns), _quiet_consoles(scope))
        found += [finding for node in _inside(scope) for finding in checker.look(node)]
    return sorted(set(found), key=lambda finding: (finding.line, finding.what))


def texts_made_in(files: Mapping[Path, str]) -> frozenset[str]:
    """Names of functions and methods whose annotation says that they return a `Text` or `Content`."""
    return frozenset(
        node.name
        for source in files.values()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_annotated(node.returns)
    )


@dataclass(frozen=True)
class _Scope:
    """One function, or a module. returns: what gives a `Text`. names: variables that hold one."""

    returns: frozenset[str]
    names: frozenset[str]
    quiet: frozenset[str] = frozenset()
    """Consoles that were told `markup=False`."""

    def look(self, node: ast.AST) -> Iterator[Finding]:
        if isinstance(node, ast.Call):
            yield from self._call(node)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target, value in _pairs(targets, node.value):
                if isinstance(target, ast.Attribute) and target.attr in TITLES and not self._is_plain(value):
                    yield Finding(node.lineno, f"{target.attr} = …")

    def _call(self, node: ast.Call) -> Iterator[Finding]:
        name = _name(node.func)
        given = [*node.args[:1], *(word.value for word in node.keywords if word.arg in ("content", "renderable"))]
        literal = any(word.arg == "markup" and _is(word.value, False) for word in node.keywords)
        if any(word.arg == "markup" and not _is(word.value, False) for word in node.keywords):
            yield Finding(node.lineno, f"{name}(markup=…)")
        if name in PARSERS:
            yield Finding(node.lineno, f"{name}(…)")
        elif literal or (
            name == "print" and isinstance(node.func, ast.Attribute) and _name(node.func.value) in self.quiet
        ):
            return
        elif self._is_sink(node, name) and any(not self._is_plain(value) for value in given):
            yield Finding(node.lineno, f"{name}(…)")
        for word in node.keywords:
            if word.arg in TITLES and name != "Binding" and not self._is_plain(word.value):
                yield Finding(node.lineno, f"{name}({word.arg}=…)")

    def _is_sink(self, node: ast.Call, name: str) -> bool:
        return name in WIDGETS or name == "notify" or (name in ("update", "print") and self._draws(node))

    @staticmethod
    def _draws(node: ast.Call) -> bool:
        """Not the update of a dictionary or a hash, as far as names tell; nor Python's own print."""
        if not isinstance(node.func, ast.Attribute):
            return False
        owner = ast.unparse(node.func.value).lower()
        if node.func.attr == "print":
            return "console" in owner
        return any(
            sign in owner for sign in ("query_one", "status", "banner", "live", "static", "label", "danger")
        ) or (owner == "self")

    def _is_plain(self, value: ast.expr) -> bool:
        if isinstance(value, ast.Constant):
            return not isinstance(value.value, str) or "[" not in value.value
        if isinstance(value, ast.IfExp):
            return self._is_plain(value.body) and self._is_plain(value.orelse)
        if isinstance(value, ast.JoinedStr):
            return all(self._is_number(part) if isinstance(part, ast.FormattedValue) else self._is_plain(part)
                       for part in value.values)  # fmt: skip
        if isinstance(value, ast.Call):
            name = _name(value.func)
            owner = _name(value.func.value) if isinstance(value.func, ast.Attribute) else ""
            return name in MADE or (owner in MADE and name not in PARSERS) or name in self.returns
        if isinstance(value, ast.Name):
            return value.id in self.names
        return isinstance(value, ast.Attribute) and value.attr == "drawn"

    @staticmethod
    def _is_number(part: ast.FormattedValue) -> bool:
        if part.format_spec is not None and ast.unparse(part.format_spec)[-2:-1] in "dfeg%":
            return True
        value = part.value
        if isinstance(value, ast.BinOp):
            return True
        return (isinstance(value, ast.Call) and _name(value.func) in COUNTS) or (
            isinstance(value, ast.Name) and value.id in ("count", "number", "total", "seq")
        )


def _made_here(scope: ast.AST, returns: frozenset[str]) -> frozenset[str]:
    """Variables of a scope that hold nothing but a `Text` or `Content`."""
    made: dict[str, bool] = {}
    if isinstance(scope, ast.FunctionDef | ast.AsyncFunctionDef):
        for argument in [*scope.args.args, *scope.args.kwonlyargs]:
            made[argument.arg] = _is_annotated(argument.annotation)
    checker = _Scope(returns, frozenset())
    for node in _inside(scope):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            for target, value in _pairs(targets, node.value):
                if isinstance(target, ast.Name):
                    plain = checker._is_plain(value)  # pyright: ignore[reportPrivateUsage]
                    made[target.id] = made.get(target.id, True) and plain
    return frozenset(name for name, good in made.items() if good)


def _quiet_consoles(scope: ast.AST) -> frozenset[str]:
    return frozenset(
        target.id
        for node in _inside(scope)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _name(node.value.func) == "Console"
        if any(word.arg == "markup" and _is(word.value, False) for word in node.value.keywords)
        for target in node.targets
        if isinstance(target, ast.Name)
    )


def _pairs(targets: Sequence[ast.expr], value: ast.expr) -> Iterator[tuple[ast.expr, ast.expr]]:
    for target in targets:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            yield from zip(target.elts, value.elts, strict=True)
        else:
            yield target, value


def _scopes(tree: ast.Module) -> Iterator[ast.AST]:
    yield tree
    yield from (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def _inside(scope: ast.AST) -> Iterator[ast.AST]:
    """What belongs to a scope itself, without the functions in it."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield child
            yield from _inside(child)


def _is_annotated(annotation: ast.expr | None) -> bool:
    words = set(ast.unparse(annotation).replace('"', "").replace(" ", "").split("|")) if annotation else set()
    return bool(words) and words <= {"Text", "Content", "None"} and words != {"None"}


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _is(node: ast.expr, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value
