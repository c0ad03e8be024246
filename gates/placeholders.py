"""Code on a command line that is a placeholder for a check: it prints, looks for a file, or does nothing."""

from __future__ import annotations

import ast
import re
from typing import Literal

Placeholder = Literal["looks", "prints", "imports", "nothing", "broken"]
"""looks: whether a file is there. imports: a module that is not of the standard library's most common ones."""

_HARMLESS_CALLS = frozenset(
    {"print", "exit", "quit", "input", "sys.exit", "os._exit", "sys.stdout.write", "time.sleep", "sleep"}
)
_SILENT_CALLS = frozenset({"time.sleep", "sleep", "input"})
_LOOKS = frozenset({"exists", "isfile", "isdir", "is_file", "is_dir", "lexists", "stat", "listdir", "glob", "access"})
_SIMPLE_PARTS = (ast.Constant, ast.Name, ast.Attribute, ast.BinOp, ast.operator, ast.JoinedStr, ast.FormattedValue)
_SIMPLE_CONTEXT = (
    ast.expr_context,
    ast.keyword,
    ast.Tuple,
    ast.List,
    ast.Dict,
    ast.UnaryOp,
    ast.unaryop,
    ast.Compare,
    ast.IfExp,
)


def python_placeholder(code: str) -> Placeholder | None:
    """What the code after `python -c` is in place of a check; None: it may be one."""
    try:
        body = ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return "broken"
    said = [_statement(one) for one in body]
    if None in said:
        return None
    if "looks" in said:
        return "looks"
    return "prints" if "prints" in said else "imports" if "imports" in said else "nothing"


def _statement(one: ast.stmt) -> Literal["looks", "prints", "imports", ""] | None:
    """What kind of nothing a statement is; None: it may be a check."""
    if isinstance(one, ast.Pass | ast.Global):
        return ""
    if isinstance(one, ast.Import | ast.ImportFrom):
        names = [alias.name for alias in one.names] if isinstance(one, ast.Import) else [one.module or ""]
        return "" if all(name.partition(".")[0] in _OFTEN_IMPORTED for name in names) else "imports"
    if isinstance(one, ast.Assert | ast.Expr | ast.Assign):
        value = one.test if isinstance(one, ast.Assert) else one.value
        return _expression(value, checks=isinstance(one, ast.Assert))
    if isinstance(one, ast.If) and _expression(one.test, checks=False) == "looks":
        ends = all(isinstance(part, ast.Raise | ast.Pass) or _ends(part) for part in (*one.body, *one.orelse))
        return "looks" if ends else None
    if isinstance(one, ast.Raise) and isinstance(one.exc, ast.Call) and _dotted(one.exc.func) == "SystemExit":
        return _call(one.exc)
    return None


def _ends(one: ast.stmt) -> bool:
    return isinstance(one, ast.Expr) and isinstance(one.value, ast.Call) and _dotted(one.value.func) in _HARMLESS_CALLS


_OFTEN_IMPORTED = frozenset({"os", "sys", "pathlib", "time", "json", "re", "glob", "shutil", "math", "random"})


def _expression(value: ast.expr, *, checks: bool) -> Literal["looks", "prints", ""] | None:
    if isinstance(value, ast.Constant):
        return None if checks and not value.value else ""
    calls = [node for node in ast.walk(value) if isinstance(node, ast.Call)]
    if any(
        not isinstance(node, (*_SIMPLE_PARTS, *_SIMPLE_CONTEXT, ast.Call, ast.BoolOp, ast.boolop, ast.cmpop))
        for node in ast.walk(value)
    ):
        return None
    if not calls:
        return None if checks and any(isinstance(node, ast.Name) for node in ast.walk(value)) else ""
    said = [_call(call) for call in calls]
    if None in said:
        return None
    return "looks" if "looks" in said else "prints" if "prints" in said else ""


def _call(call: ast.Call) -> Literal["looks", "prints", ""] | None:
    name = _dotted(call.func)
    last = name.rpartition(".")[2]
    if name in ("exit", "quit", "sys.exit", "os._exit", "SystemExit"):
        zero = not call.args or (isinstance(call.args[0], ast.Constant) and call.args[0].value in (0, None, False))
        looks = any(
            isinstance(node, ast.Call) and _call(node) == "looks" for node in ast.walk(call) if node is not call
        )
        return "looks" if looks else "" if zero else None
    if name in _HARMLESS_CALLS:
        inner = [_call(node) for node in ast.walk(call) if isinstance(node, ast.Call) and node is not call]
        said = "" if name in _SILENT_CALLS else "prints"
        return None if None in inner else "looks" if "looks" in inner else "prints" if "prints" in inner else said
    if last in _LOOKS:
        return "looks"
    return "" if name in ("Path", "pathlib.Path", "str", "len", "bool", "int", "os.path.join", "join") else None


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        before = _dotted(node.value)
        return f"{before}.{node.attr}" if before else node.attr
    return node.id if isinstance(node, ast.Name) else ""


_JS_PRINT = re.compile(r"^\s*(console\.\w+\((?:[^()]|\([^()]*\))*\)|process\.exit\(0?\)|void 0|0|true|1|)\s*$")
_JS_LOOKS = re.compile(r"^\s*(?:if\s*\()?.*\b(existsSync|accessSync|statSync)\(")


def javascript_placeholder(code: str) -> Placeholder | None:
    """What the code after `node -e` is in place of a check; None: it may be one."""
    parts = [part for part in re.split(r"[;\n]", code) if part.strip()]
    if all(_JS_PRINT.match(part) for part in parts):
        return "prints" if parts else "nothing"
    return "looks" if len(parts) <= 3 and any(_JS_LOOKS.match(part) for part in parts) else None
