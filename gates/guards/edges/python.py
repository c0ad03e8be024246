"""Python: import statements of all kinds, and imports by a literal name."""

from __future__ import annotations

import ast
import posixpath
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence

from gates.guards.edges.forest import Edge, Forest, Unparsed

_BY_NAME = frozenset({"import_module", "__import__", "find_spec", "run_module"})
_BY_PATH = frozenset({"run_path", "spec_from_file_location"})


def python_edges(forest: Forest, path: str) -> Iterator[Edge]:
    """Raises Unparsed. A name goes to the most specific module of the tree that it can mean, as grimp has it."""
    source = forest.read(path) or b""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Unparsed("it is not Python that this interpreter can read") from error
    for name, fallback in _imported(tree, path):
        targets = _resolve(forest, path, name) or (_resolve(forest, path, fallback) if fallback else [])
        for target in targets or [name]:
            yield Edge(path, target, f"imports {name.replace('/', '.').lstrip('.')}")


def _imported(tree: ast.Module, path: str) -> Iterator[tuple[str, str]]:
    """(dotted name, dotted name of what has it) of each import; a name in the tree of a relative import starts at the
    root and has slashes: `/pkg/part`."""
    for node in _walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, alias.name.rpartition(".")[0]
        elif isinstance(node, ast.ImportFrom):
            base = _relative(path, node.level, node.module or "") if node.level else (node.module or "")
            for alias in node.names:
                yield (base, "") if alias.name == "*" else (_joined(base, alias.name), base)
        elif isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            first = node.args[0]
            if called in _BY_NAME and isinstance(first, ast.Constant) and isinstance(first.value, str):
                dots = len(first.value) - len(first.value.lstrip("."))
                name = first.value.lstrip(".")
                if name:
                    yield (_relative(path, dots, name), "") if dots else (name, name.rpartition(".")[0])
            elif called in _BY_PATH:
                for given in node.args:
                    if isinstance(given, ast.Constant) and isinstance(given.value, str) and given.value.endswith(".py"):
                        yield "/" + given.value.removeprefix("./").removesuffix(".py"), ""


def _walk(tree: ast.Module) -> Iterator[ast.AST]:
    todo: list[ast.AST] = [tree]
    while todo:
        node = todo.pop()
        yield node
        todo.extend(ast.iter_child_nodes(node))


def _relative(path: str, level: int, name: str) -> str:
    folder = posixpath.dirname(path)
    for _ in range(level - 1):
        folder = posixpath.dirname(folder)
    return "/" + "/".join(part for part in (folder, name.replace(".", "/")) if part)


def _joined(base: str, name: str) -> str:
    return f"{base.rstrip('/')}/{name}" if base.startswith("/") else f"{base}.{name}" if base else name


def _resolve(forest: Forest, path: str, name: str) -> list[str]:
    """All that a name can mean: which of several folders counts is only known when it runs."""
    if name.startswith("/"):
        places = [name[1:]]
    else:
        parts = name.split(".")
        places = [posixpath.join(root, *parts) for root in _roots(forest, path, parts[0])]
    return list(dict.fromkeys(found for place in places if (found := _module(forest, place))))


def _module(forest: Forest, place: str) -> str | None:
    """The file of a module; for a package without a file of its own, its folder."""
    if found := forest.first((f"{place}.py", f"{place}/__init__.py", f"{place}.pyi", f"{place}/__init__.pyi")):
        return found
    return place if place and place in forest.folders else None


def _roots(forest: Forest, path: str, top: str) -> Iterable[str]:
    """Folders from which a top-level name can be imported: those that are no package, nearest to the file first."""
    found: dict[str, None] = {}
    folder = posixpath.dirname(path)
    own = folder
    while True:
        if _is_root(forest, folder):
            found[folder] = None
            found[posixpath.join(folder, "src")] = None
        if not folder:
            break
        folder = posixpath.dirname(folder)
    if top in sys.stdlib_module_names:
        return [own] if own in found else []
    for place in _places(forest, top):
        if _is_root(forest, place):
            found[place] = None
    return list(found)


def _places(forest: Forest, top: str) -> Sequence[str]:
    files = [posixpath.dirname(path) for path in forest.by_name.get(f"{top}.py", ())]
    packages = [path for path in forest.by_name.get("__init__.py", ()) if path.endswith(f"{top}/__init__.py")]
    outer = [posixpath.dirname(posixpath.dirname(path)) for path in packages if path.split("/")[-2] == top]
    return [*files, *outer]


def _is_root(forest: Forest, folder: str) -> bool:
    return not folder or f"{folder}/__init__.py" not in forest.files
