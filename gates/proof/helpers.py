"""What a judge stands on: the files beside a script that it imports and reads, in a folder that nobody knows."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

Read = Callable[[str], bytes | None]
"""The content of a file of main, None where there is none."""
_MOST = 200
_MAY_BE_A_PATH = re.compile(r"[^\n\0]{1,200}")


def helpers_of(script: str, read: Read) -> tuple[str, ...]:
    """Paths that a Python script of main takes its imports and data from, first of all: also of files that are not
    there, since one that a change brings would be taken. A path with a slash at its end is a folder.

    () for a script that is a part of what it runs: in a package, or where it reaches for nothing outside its folder.
    """
    folder = str(PurePosixPath(script).parent)
    if folder == "." or read(f"{folder}/__init__.py") is not None:
        return ()
    seen: dict[str, None] = {script: None}
    names: dict[str, None] = {}
    words: dict[str, None] = {}
    todo = [script]
    while todo and len(seen) < _MOST:
        for kind, word in _wanted(read(todo.pop(0)) or b""):
            if kind == "word":
                words[word] = None
                continue
            names[word] = None
            for path in _modules(f"{folder}/", word):
                if path not in seen and read(path) is not None:
                    seen[path] = None
                    todo.append(path)
    if not _looks_elsewhere(folder, names, words, read):
        return ()
    found = [path for name in names for path in (f"{folder}/{name}.py", f"{folder}/{name}/")]
    found += [f"{folder}/{word}" for word in words if read(f"{folder}/{word}") is not None]
    # A script that puts the top of the tree on its path would take a module there for one of Python's own.
    own = [name for name in names if name in sys.stdlib_module_names and not _any(_modules("", name), read)]
    return tuple(dict.fromkeys([*found, *(path for name in own for path in (f"{name}.py", f"{name}/"))]))


def _looks_elsewhere(folder: str, names: dict[str, None], words: dict[str, None], read: Read) -> bool:
    beside = {name for name in names if _any(_modules(f"{folder}/", name), read)}
    others = (path for name in names if name not in beside for top in ("", "src/") for path in _modules(top, name))
    if _any(others, read):
        return True
    return any(not word.startswith(f"{folder}/") and read(word) is not None for word in words)


def _modules(top: str, name: str) -> tuple[str, str]:
    return f"{top}{name}.py", f"{top}{name}/__init__.py"


def _any(paths: Iterator[str] | tuple[str, ...], read: Read) -> bool:
    return any(read(path) is not None for path in paths)


def _wanted(source: bytes) -> Iterator[tuple[str, str]]:
    """("module", top name) of each import, ("word", text) of each string that may be the path of a file."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (("module", alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield "module", node.module.partition(".")[0]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and _MAY_BE_A_PATH.fullmatch(node.value):
            yield "word", node.value.removeprefix("./")
