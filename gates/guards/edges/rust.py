"""Rust: packages by their manifests, as `cargo metadata` has them, and modules by `crate::` and `super::` paths."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gates.guards.edges.forest import Edge, Forest, Unparsed
from gates.guards.locks.package import Unreadable, beside, rows, table, text, toml
from gates.guards.locks.rust import DEPENDENCIES

_COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.DOTALL)
_PATH = re.compile(r"\b(crate|super|self)((?:\s*::\s*(?:r#)?[A-Za-z_]\w*)*)(\s*::\s*\{)?")
_FILE = re.compile(r"""(?:#\[path\s*=\s*|include(?:_str|_bytes)?!\s*\(\s*)"([^"\n]+)\"""")
_WORD = re.compile(r"(?:r#)?([A-Za-z_]\w*)")


@dataclass
class Package:
    """One package of the tree. `local`: manifests of packages of the tree that it depends on. `others`: names of those
    from elsewhere."""

    manifest: str
    name: str
    local: set[str] = field(default_factory=set[str])
    others: set[str] = field(default_factory=set[str])


def packages(forest: Forest) -> dict[str, Package]:
    """Every package of the tree by its manifest's path. Raises Unparsed for a manifest that cannot be read."""
    manifests = list(forest.by_name.get("Cargo.toml", ()))
    forest.fetch(manifests)
    data: dict[str, dict[str, Any]] = {}
    for path in manifests:
        try:
            data[path] = toml(forest.read(path) or b"")
        except Unreadable as error:
            raise Unparsed(f"{path}: {error}") from error
    try:
        return {path: _package(forest, path, data) for path in manifests if "package" in data[path]}
    except Unreadable as error:
        raise Unparsed(f"{error}") from error


def _package(forest: Forest, path: str, data: Mapping[str, dict[str, Any]]) -> Package:
    here = data[path]
    root = _workspace(path, here, data)
    shared = table(table(data[root].get("workspace")).get("dependencies")) if root else {}
    patches = {
        name: table(patch)["path"]
        for patched in table(data[root or path].get("patch")).values()
        for name, patch in table(patched).items()
        if "path" in table(patch)
    }
    found = Package(path, text(table(here["package"]).get("name")))
    for holder in (here, *map(table, table(here.get("target")).values())):
        for kind in DEPENDENCIES:
            for key, wanted in table(holder.get(kind)).items():
                origin, row = path, wanted if isinstance(wanted, dict) else {}
                if row.get("workspace") is True:
                    inherited = shared.get(key)
                    origin, row = root or path, inherited if isinstance(inherited, dict) else {}
                name = text(row.get("package"), key)
                place = beside(origin, text(row["path"])) if "path" in row else None
                if place is None and name in patches:
                    place = beside(root or path, text(patches[name]))
                manifest = posixpath.join("" if place in (None, ".") else str(place), "Cargo.toml")
                if place is not None and manifest in forest.files:
                    found.local.add(manifest)
                else:
                    found.others.add(name)
    return found


def _workspace(path: str, here: Mapping[str, Any], data: Mapping[str, dict[str, Any]]) -> str | None:
    """The manifest of the workspace that a manifest belongs to."""
    if "workspace" in here:
        return path
    if named := text(table(here.get("package")).get("workspace")):
        place = beside(path, named)
        manifest = posixpath.join("" if place in (None, ".") else str(place), "Cargo.toml")
        return manifest if manifest in data else None
    folder = posixpath.dirname(path)
    while folder:
        folder = posixpath.dirname(folder)
        manifest = posixpath.join(folder, "Cargo.toml")
        if "workspace" in data.get(manifest, {}):
            excluded = [text(one) for one in rows(table(data[manifest]["workspace"]).get("exclude"))]
            inside = posixpath.relpath(posixpath.dirname(path), folder or ".")
            return None if any(inside == one or inside.startswith(f"{one}/") for one in excluded) else manifest
    return None


def package_edges(forest: Forest) -> Iterator[Edge]:
    """From each package's manifest to the manifests of all packages that it is built with, near or far, and to the
    names of others that it names itself."""
    every = packages(forest)
    for start in every.values():
        chains: dict[str, str] = {start.manifest: start.name}
        todo = [start.manifest]
        for manifest in todo:
            for target in sorted(every[manifest].local) if manifest in every else ():
                if target not in chains:
                    chains[target] = f"{chains[manifest]} -> {every[target].name if target in every else target}"
                    todo.append(target)
        for target in todo[1:]:
            yield Edge(start.manifest, target, f"depends on it ({chains[target]})")
        for name in sorted(start.others):
            yield Edge(start.manifest, name, f"depends on {name}")


def module_edges(forest: Forest, path: str) -> Iterator[Edge]:
    """What a source file names within its own crate, and files that it includes."""
    source = forest.text(path)
    for found in _FILE.finditer(source):
        if target := beside(path, found[1]):
            yield Edge(path, target, f"includes {found[1]}")
    source = _COMMENT.sub(" ", source)
    root, own = _crate_root(forest, path), _own_module(path)
    for found in _PATH.finditer(source):
        start = root
        if found[1] != "crate":
            start = own if found[1] == "self" else posixpath.dirname(own)
        if start is None:
            continue
        words = _WORD.findall(found[2] or "")
        while words and words[0] == "super":
            start, words = posixpath.dirname(start), words[1:]
        heads = _group(source, found.end()) if found[3] else [()]
        for head in heads:
            if target := _module(forest, start, [*words, *head]):
                yield Edge(path, target, f"names {'::'.join([found[1], *words, *head])}")


def _group(source: str, start: int) -> Iterator[tuple[str, ...]]:
    """The paths in a group of `use`, of which the opening brace stands before `start`."""
    stack: list[tuple[str, ...]] = [()]
    path: list[str] = []
    for found in re.finditer(r"(?:r#)?([A-Za-z_]\w*)|[{},]|::|\*", source[start : start + 100_000]):
        sign = found[0]
        if sign == "{":
            stack.append((*stack[-1], *path))
            path = []
        elif sign in (",", "}"):
            if path:
                yield (*stack[-1], *path)
            path = []
            if sign == "}":
                stack.pop()
                if not stack:
                    return
        elif found[1]:
            path.append(found[1])


def _module(forest: Forest, start: str, words: list[str]) -> str | None:
    """The file of the longest part of a path that is a module."""
    for count in range(len(words), 0, -1):
        place = posixpath.join(start, *words[:count])
        if found := forest.first((f"{place}.rs", f"{place}/mod.rs")):
            return found
    return None


def _crate_root(forest: Forest, path: str) -> str | None:
    folder = posixpath.dirname(path)
    while True:
        if forest.first((posixpath.join(folder, "lib.rs"), posixpath.join(folder, "main.rs"))):
            return folder
        if not folder:
            return None
        folder = posixpath.dirname(folder)


def _own_module(path: str) -> str:
    """The folder in which a file's own submodules lie."""
    folder, _, name = path.rpartition("/")
    return folder if name in ("mod.rs", "lib.rs", "main.rs") else posixpath.join(folder, name.removesuffix(".rs"))
