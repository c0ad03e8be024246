"""The files of one tree as those need them who follow imports."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from gates.guards.guard import Judged


@dataclass(frozen=True)
class Edge:
    """A file depends on something: `target` is a path of the tree, or the name of a module if nothing there has it.
    `via`: what the file says, or the chain of packages."""

    path: str
    target: str
    via: str


class Unparsed(ValueError):
    """A file of a language that is known cannot be taken apart."""


@dataclass(frozen=True)
class Forest:
    """One tree of a change. `names`: every path."""

    names: Sequence[str]
    read: Callable[[str], bytes | None]
    fetch: Callable[[Sequence[str]], None]

    @cached_property
    def files(self) -> frozenset[str]:
        return frozenset(self.names)

    @cached_property
    def folders(self) -> frozenset[str]:
        found: set[str] = {""}
        for path in self.names:
            folder = posixpath.dirname(path)
            while folder not in found:
                found.add(folder)
                folder = posixpath.dirname(folder)
        return frozenset(found)

    @cached_property
    def by_name(self) -> Mapping[str, Sequence[str]]:
        """Paths by their last part."""
        found: dict[str, list[str]] = {}
        for path in self.names:
            found.setdefault(path.rpartition("/")[2], []).append(path)
        return found

    @cached_property
    def inside(self) -> Mapping[str, Sequence[str]]:
        """The files that lie directly in each folder."""
        found: dict[str, list[str]] = {}
        for path in self.names:
            found.setdefault(posixpath.dirname(path), []).append(path)
        return found

    def first(self, candidates: Iterable[str]) -> str | None:
        """The first of these that is a file of the tree."""
        return next((path for path in candidates if path in self.files), None)

    def text(self, path: str) -> str:
        """A file's text; broken bytes become U+FFFD, which no name in an import has."""
        return (self.read(path) or b"").decode("utf-8-sig", "replace")


def forest(change: Judged, tree: str) -> Forest:
    return Forest(
        names=list(change.modes(tree)),
        read=lambda path: change.read(tree, path),
        fetch=lambda paths: change.fetch(tree, paths),
    )
