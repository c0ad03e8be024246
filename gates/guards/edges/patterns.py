"""Languages of which only the words of an import are looked for: JavaScript and TypeScript, Go, C and C++."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from gates.guards.edges.forest import Edge, Forest
from gates.guards.locks.package import beside

SCRIPTS = (".js", ".jsx", ".mjs", ".cjs", ".ts", ".tsx", ".mts", ".cts", ".vue", ".svelte")
C_FAMILY = (".c", ".h", ".cc", ".cpp", ".cxx", ".hh", ".hpp", ".hxx", ".inl", ".m", ".mm", ".cu", ".cuh")
_SPECIFIER = re.compile(
    r"""(?:\bfrom|\bimport|\bimport\s*\(|\brequire\s*\(|\brequire\.resolve\s*\()\s*(?:/\*[^*]*\*/\s*)?['"`]([^'"`\n$]+)['"`]"""
)
_INCLUDE = re.compile(r"""^[ \t]*#[ \t]*(?:include|import|include_next)[ \t]*(?:"([^"\n]+)"|<([^>\n]+)>)""", re.M)
_GO_IMPORT = re.compile(r"""^\s*import\s*(?:\(([^)]*)\)|(?:[\w.]+\s+)?["`]([^"`\n]+)["`])""", re.M)
_GO_LINE = re.compile(r"""["`]([^"`\n]+)["`]""")
_GO_MODULE = re.compile(r"""^\s*module\s+"?([^\s"]+)""", re.M)
_PACKAGE_NAME = re.compile(r'"name"\s*:\s*"([^"\n]+)"')


def script_edges(forest: Forest, path: str) -> Iterator[Edge]:
    for found in _SPECIFIER.finditer(forest.text(path)):
        said = found[1]
        yield Edge(path, _script(forest, path, said) or said, f"imports {said}")


def _script(forest: Forest, path: str, said: str) -> str | None:
    if said.startswith("."):
        place = beside(path, said)
        return _with_ending(forest, place) if place is not None else None
    folders = [""]
    if said.startswith(("@/", "~/", "#/")):
        said = said[2:]
        folders = ["", "src", *(posixpath.join(posixpath.dirname(one), "src") for one in _packages(forest, path))]
    elif found := _workspace_package(forest, said):
        return found
    elif said.startswith("/"):
        said = said[1:]
    return next((one for folder in folders if (one := _with_ending(forest, posixpath.join(folder, said)))), None)


def _packages(forest: Forest, path: str) -> list[str]:
    found: list[str] = []
    folder = posixpath.dirname(path)
    while folder:
        if f"{folder}/package.json" in forest.files:
            found.append(f"{folder}/package.json")
        folder = posixpath.dirname(folder)
    return found


def _workspace_package(forest: Forest, said: str) -> str | None:
    parts = said.split("/")
    name, rest = ("/".join(parts[:2]), parts[2:]) if said.startswith("@") else (parts[0], parts[1:])
    for manifest in forest.by_name.get("package.json", ()):
        named = _PACKAGE_NAME.search(forest.text(manifest))
        if named and named[1] == name and "node_modules/" not in manifest:
            place = posixpath.join(posixpath.dirname(manifest), *rest)
            return _with_ending(forest, place) or manifest
    return None


def _with_ending(forest: Forest, place: str) -> str | None:
    stem = place.rsplit(".", 1)[0] if place.endswith((".js", ".mjs", ".cjs", ".jsx")) else place
    endings = (*SCRIPTS, ".d.ts", ".json", ".css")
    if found := forest.first([place, *(f"{one}{end}" for one in (place, stem) for end in endings)]):
        return found
    return forest.first(f"{place}/index{end}" for end in SCRIPTS) or (place if place in forest.folders else None)


def go_edges(forest: Forest, path: str) -> Iterator[Edge]:
    modules = {
        found[1]: posixpath.dirname(manifest)
        for manifest in forest.by_name.get("go.mod", ())
        if (found := _GO_MODULE.search(forest.text(manifest)))
    }
    for found in _GO_IMPORT.finditer(forest.text(path)):
        for said in [found[2]] if found[2] else _GO_LINE.findall(found[1]):
            yield Edge(path, _go_folder(forest, modules, said) or said, f"imports {said}")


def _go_folder(forest: Forest, modules: dict[str, str], said: str) -> str | None:
    for module in sorted(modules, key=len, reverse=True):
        if said == module or said.startswith(f"{module}/"):
            folder = posixpath.join(modules[module], said[len(module) :].strip("/")).rstrip("/")
            return folder if folder in forest.folders else None
    return None


def c_edges(forest: Forest, path: str) -> Iterator[Edge]:
    for found in _INCLUDE.finditer(forest.text(path)):
        said = found[1] or found[2]
        place = beside(path, said)
        if place is not None and place in forest.files:
            yield Edge(path, place, f"includes {said}")
            continue
        tail = posixpath.normpath(said).lstrip("./")
        near = forest.by_name.get(tail.rpartition("/")[2], ()) if found[1] or "/" in said else ()
        ends = [one for one in near if one == tail or one.endswith(f"/{tail}")]
        for one in ends or [said]:
            yield Edge(path, one, f"includes {said}")
