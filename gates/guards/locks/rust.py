"""Cargo.lock (all versions) and Cargo.toml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gates.guards.locks.package import (
    LOCAL,
    USUAL,
    Listing,
    Package,
    Unreadable,
    listing,
    local_source,
    name_of,
    rows,
    said,
    table,
    text,
    toml,
)

_PUBLIC = frozenset(
    {"registry+https://github.com/rust-lang/crates.io-index", "sparse+https://index.crates.io/", "crates-io"}
)
_OLD_CHECKSUM = re.compile(r"^checksum (\S+) (\S+) \((.+)\)$")
DEPENDENCIES = ("dependencies", "dev-dependencies", "build-dependencies", "dev_dependencies", "build_dependencies")


def cargo_lock(path: str, content: bytes) -> Listing:
    data = toml(content)
    sums: dict[tuple[str, str, str], str] = {}
    for key, value in table(data.get("metadata")).items():
        if found := _OLD_CHECKSUM.match(key):
            sums[found[1], found[2], found[3]] = text(value)
    packages: set[Package] = set()
    unused = rows(table(data.get("patch")).get("unused"))
    for row in map(table, [*rows(data.get("package")), *unused]):
        name, version, source = name_of(row), text(row.get("version")), text(row.get("source"))
        checksum = text(row.get("checksum")) or sums.get((name, version, source), "")
        hashes = frozenset({checksum} if checksum and checksum != "<none>" else ())
        packages.add(Package(name, version, _source(source) if source else LOCAL, hashes))
    return listing(packages)


def cargo_toml(path: str, content: bytes) -> Listing:
    data = toml(content)
    found: set[Package] = set()
    redirects: dict[str, str] = {}
    workspace = table(data.get("workspace"))
    holders = [data, *(table(holder) for holder in table(data.get("target")).values()), workspace]
    for holder in holders:
        for kind in DEPENDENCIES:
            for key, wanted in table(holder.get(kind)).items():
                if package := _wanted(path, key, wanted):
                    found.add(package)
    for registry, patches in table(data.get("patch")).items():
        for key, wanted in table(patches).items():
            redirects[f"patch.{registry}.{key}"] = said(wanted)
    for key, wanted in table(data.get("replace")).items():
        redirects[f"replace.{key}"] = said(wanted)
    return listing(found, redirects)


def _wanted(path: str, key: str, wanted: object) -> Package | None:
    if isinstance(wanted, str):
        return Package(key, wanted)
    if not isinstance(wanted, dict):
        raise Unreadable(f"its dependency {key} is neither a text nor a table")
    row = table(wanted)
    if row.get("workspace") is True:
        return None  # told once, under workspace.dependencies
    return Package(text(row.get("package"), key), text(row.get("version")), _place(path, row))


def _place(path: str, row: Mapping[str, Any]) -> str:
    if git := text(row.get("git")):
        at = "".join(f"&{part}={text(row.get(part))}" for part in ("branch", "tag", "rev") if part in row)
        return f"git+{git}{'?' + at[1:] if at else ''}"
    if "path" in row:
        return local_source(path, text(row["path"]))
    if index := text(row.get("registry-index")):
        return _source(f"registry+{index}")
    if registry := text(row.get("registry")):
        return _source(registry)
    return USUAL


def _source(source: str) -> str:
    return USUAL if source in _PUBLIC else source
