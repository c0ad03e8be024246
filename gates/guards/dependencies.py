"""Guard "dependencies": no package, version, source or hash of others' code that a person has not allowed."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from engine.models.report import GuardResult
from gates.guards.guard import SYMLINK, Judged, Row, file_name, listed, printable
from gates.guards.locks.package import LOCAL, USUAL, Listing, Package, Unreadable
from gates.guards.locks.table import Kind, kind_of, read_listing

MOST_HASHES = 4
_BY_HAND = "a person has to look at it and land it by hand"


class DependenciesGuard:
    """What lock files and manifests name is compared with the base. `dependencies.allow` has `name` (any version from
    where the ecosystem gets its packages), `name@version` (just that one) or `name@source` (from there).

    Without an entry nothing new comes in: no package, and no other version of one that is there. Taking a package out
    is always fine. A package that comes from somewhere else needs `name@source`. Another hash for the same version,
    and settings that redirect a whole registry, are never allowed. What cannot be read is refused, unless nobody here
    can read that kind of file: then the work order may name it in full.
    """

    name = "dependencies"

    def judge(self, change: Judged) -> GuardResult:
        found = [(row, kind) for row in change.rows if (kind := kind_of(row.path)) is not None]
        faults: dict[str, list[str]] = defaultdict(list)
        facts: dict[str, str] = {}
        for path in _linked(change):
            said = f"{printable(path)} is a symbolic link, so what it locks cannot be judged: make it a file"
            faults[said] += [path]
            facts[said] = ""
        removed = _removed(change, found)
        allow = frozenset(change.request.guards.dependencies.allow)
        for row, kind in found:
            if row.gone:
                continue
            for fault in _faults(change, row, kind, removed, allow):
                faults[fault.said].append(row.path)
                facts.setdefault(fault.said, fault.fact)
        if not faults:
            return GuardResult(rule=self.name, ok=True)
        said = [f"{clause} ({', '.join(printable(path) for path in paths[:2])})" for clause, paths in faults.items()]
        offending = list(dict.fromkeys(path for paths in faults.values() for path in paths))
        ask = "dependency" if all(facts.values()) else ""
        told = list(facts.values()) if ask else []
        return GuardResult(rule=self.name, ok=False, reason=listed(said), paths=offending, ask=ask, facts=told)


class Fault(NamedTuple):
    """One thing that is wrong, in words. `fact`: the package with version, source and hashes, where a person may allow
    it in a question; "" where he has to look at the files."""

    said: str
    fact: str = ""


def _faults(
    change: Judged, row: Row, kind: Kind, removed: Mapping[str, Listing], allow: Collection[str]
) -> Sequence[Fault]:
    if SYMLINK in (row.old_mode, row.new_mode):
        return [Fault("a symbolic link stands where a list of packages belongs: make it a file")]
    if kind.read is None and change.names(row.path):
        return []
    try:
        new = read_listing(kind, row.path, change.new(row.path))
    except Unreadable as error:
        do = "name it in full in the work order's allow" if kind.read is None else "mend it"
        return [Fault(f"{printable(row.path)} cannot be judged, because {error}: {do}")]
    try:
        old = read_listing(kind, row.path, change.old(row.path))
    except Unreadable:
        old = Listing()  # nothing is known to have been there
    if row.added:
        old = removed.get(file_name(row.path), old)
    return [*_redirects(old, new), *_packages(old, new, allow)]


def _redirects(old: Listing, new: Listing) -> list[Fault]:
    fresh = [place for place, value in new.redirects.items() if old.redirects.get(place) != value]
    gone = [place for place in old.redirects if place not in new.redirects]
    return [
        Fault(f"{printable(place)} changes where packages come from or which are taken: {_BY_HAND}")
        for place in [*fresh, *gone]
    ]


def _packages(old: Listing, new: Listing, allow: Collection[str]) -> list[Fault]:
    before: dict[str, list[Package]] = defaultdict(list)
    for package in old.packages:
        before[package.name].append(package)
    fresh = sorted(new.packages - old.packages, key=lambda package: (package.name, package.version, package.source))
    clauses = [(_clause(package, before[package.name], allow), package) for package in fresh]
    return [Fault(said, "" if said.endswith(_BY_HAND) else _fact(package)) for said, package in clauses if said]


def _fact(package: Package) -> str:
    """All that is known of a package: what a person judges it by."""
    source = {USUAL: "the usual registry", LOCAL: LOCAL}.get(package.source, package.source)
    hashes = ", ".join(sorted(package.hashes)[:MOST_HASHES]) or "no hash"
    more = f" and {len(package.hashes) - MOST_HASHES} more" if len(package.hashes) > MOST_HASHES else ""
    told = [printable(text) for text in (package.name, package.version or "any version", source, hashes)]
    return f"{told[0]} {told[1]} from {told[2]}, {told[3]}{more}"


def _clause(package: Package, before: Sequence[Package], allow: Collection[str]) -> str:
    """Why this package may not come in; "" when it may."""
    if package.source == LOCAL and all(old.source == LOCAL for old in before):
        return ""
    told = printable(f"{package.name} {package.version}".strip())
    same = [old for old in before if (old.version, old.source) == (package.version, package.source)]
    if same:
        known = frozenset[str]().union(*(old.hashes for old in same))
        if package.hashes and (package.hashes <= known or not known):
            return ""
        fault = "has another hash than before" if package.hashes else "has lost its hash"
        return f"{told} {fault} at the same version: {_BY_HAND}"
    version = package.version.removesuffix("/go.mod")
    strange = not any(old.source == package.source for old in before) and (bool(before) or package.source != USUAL)
    entries = [f"{package.name}@{package.source}"]
    if package.source == USUAL or not strange:
        entries = [package.name, f"{package.name}@{version}"]
    if any(entry in allow for entry in entries):
        return ""
    if package.source == LOCAL:
        return f"{told} now comes from {LOCAL}: {_BY_HAND}"
    do = f'add "{printable(entries[0])}" to dependencies.allow in swarm.toml, or do without it'
    if strange:
        place = "the usual registry" if package.source == USUAL else printable(package.source)
        return f"{told} {'now ' if before else ''}comes from {place}: {do}"
    return f"{told} {'is another version than before' if before else 'is a new package'}: {do}"


def _removed(change: Judged, found: Sequence[tuple[Row, Kind]]) -> dict[str, Listing]:
    """What deleted files listed, by file name: a list that only moves brings nothing new."""
    moved: dict[str, Listing] = {}
    for row, kind in found:
        if row.gone and row.old_mode != SYMLINK:
            try:
                old = read_listing(kind, row.path, change.old(row.path))
            except Unreadable:
                continue
            had = moved.get(file_name(row.path), Listing())
            moved[file_name(row.path)] = Listing(had.packages | old.packages, {**had.redirects, **old.redirects})
    return moved


def _linked(change: Judged) -> list[str]:
    """Lists of packages that were links before already, and whose target the change touches."""
    touched = {row.path for row in change.rows}
    links = [path for path, mode in change.modes(change.request.tree).items() if mode == SYMLINK]
    found: list[str] = []
    for path in links:
        target = (change.old(path) or b"").decode("utf-8", "replace") if kind_of(path) and path not in touched else ""
        if target and posixpath.normpath(posixpath.join(posixpath.dirname(path), target)) in touched:
            found.append(path)
    return found
