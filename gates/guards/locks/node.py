"""Node: package-lock.json and npm-shrinkwrap.json (all versions), and package.json."""

from __future__ import annotations

import re
from typing import Any

from gates.guards.locks.package import (
    LOCAL,
    USUAL,
    Listing,
    Package,
    beside,
    json_table,
    listing,
    local_source,
    origin,
    said,
    table,
    text,
)

_PUBLIC = frozenset({"https://registry.npmjs.org", "https://registry.yarnpkg.com"})
_KINDS = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
_RANGE = re.compile(r"^[\w\s.*^~<>=|+-]*$")


def package_lock(path: str, content: bytes) -> Listing:
    data = json_table(content)
    found: set[Package] = set()
    for place, row in table(data.get("packages")).items():
        _, installed, name = place.rpartition("node_modules/")
        if not installed:
            if place and beside(path, place) is None:
                found.add(Package(place, "", f"path+{place}"))
            continue  # the root and the workspaces: their code is in the tree
        found.add(_locked(path, name, table(row)))
    todo: list[dict[str, Any]] = [table(data.get("dependencies"))]
    while todo:
        for name, row in todo.pop().items():
            row = table(row)
            if not _says_where(row):
                row = {**row, "resolved": text(row.get("version"))}
            found.add(_locked(path, name, row))
            todo.append(table(row.get("dependencies")))
    return listing(found)


def _says_where(row: dict[str, Any]) -> bool:
    version = text(row.get("version"))
    return "resolved" in row or ":" not in version


def _locked(path: str, name: str, row: dict[str, Any]) -> Package:
    resolved, version = text(row.get("resolved")), text(row.get("version"))
    hashes = frozenset(text(row.get("integrity")).split())
    if row.get("link") is True or resolved.startswith("file:"):
        return Package(name, version, local_source(path, resolved.removeprefix("file:")), hashes)
    alias = text(row.get("name"), name)
    source = _from(resolved, alias)
    if alias != name:
        source = f"npm:{alias}@{version}" + (f" from {source}" if source else "")
    return Package(name, version, source, hashes)


def _from(resolved: str, name: str) -> str:
    """The registry of an address that belongs to this package, otherwise the whole address."""
    host = origin(resolved)
    rest = resolved[len(host) :]
    if host and re.fullmatch(rf"(?:/[^?#]*)?/{re.escape(name)}/-/[^/?#]+\.tgz", rest.replace("%2f", "/")):
        return USUAL if host in _PUBLIC else host
    return USUAL if resolved in ("", "bundled") else resolved


def package_json(path: str, content: bytes) -> Listing:
    data = json_table(content)
    found: set[Package] = set()
    for kind in _KINDS:
        for name, wanted in table(data.get(kind)).items():
            wanted = text(wanted).strip()
            if wanted.startswith("workspace:"):
                found.add(Package(name, "", LOCAL))
            elif wanted.startswith(("file:", "link:", "portal:")):
                found.add(Package(name, "", local_source(path, wanted.partition(":")[2])))
            elif _RANGE.match(wanted):
                found.add(Package(name, wanted))
            else:
                found.add(Package(name, "", wanted))
    keys = ("overrides", "resolutions", "pnpm", "packageManager", "publishConfig", "bundleDependencies", "catalog")
    return listing(found, {key: said(data[key]) for key in keys if key in data})
