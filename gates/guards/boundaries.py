"""Guard "boundaries": files do not depend on what the settings keep them from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from engine.models.report import GuardResult
from engine.models.settings import Boundary
from gates.guards.edges.forest import Edge, Forest, Unparsed, forest
from gates.guards.edges.patterns import C_FAMILY, SCRIPTS, c_edges, go_edges, script_edges
from gates.guards.edges.python import python_edges
from gates.guards.edges.rust import module_edges, package_edges
from gates.guards.globs import compiled
from gates.guards.guard import Judged, listed, printable

_ENDINGS: dict[str, Callable[[Forest, str], Iterator[Edge]]] = {
    ".py": python_edges,
    ".pyi": python_edges,
    ".pyw": python_edges,
    ".rs": module_edges,
    ".go": go_edges,
    **dict.fromkeys(SCRIPTS, script_edges),
    **dict.fromkeys(C_FAMILY, c_edges),
}
_MANIFEST = "Cargo.toml"


class BoundariesGuard:
    """Imports are read from the sources: Python by its grammar, Rust by its manifests (near and far dependencies) and
    paths within a crate, JavaScript, TypeScript, Go, C and C++ by patterns. Only direct imports count, but for Rust's
    packages. A `may_not` that matches no file names modules: `requests`, `std/net`, `@scope/name`.

    Files that a change does not touch are looked at where it adds or removes files on the other side. What was so on
    the base already does not stop a change. A touched file that cannot be parsed does.
    """

    name = "boundaries"

    def judge(self, change: Judged) -> GuardResult:
        rules = change.request.guards.boundaries
        if not rules or not change.rows:
            return GuardResult(rule=self.name, ok=True)
        new = forest(change, change.request.tree)
        clauses: dict[str, str] = {}
        older = 0
        for rule in rules:
            said = _Rule(rule, change)
            paths = said.looked_at(change)
            try:
                found = said.violations(new, paths, whole=False)
            except Unparsed as error:
                clauses[f"{error}, so {_told(rule)} cannot be judged: mend it"] = str(error).partition(":")[0]
                continue
            if not found:
                continue
            known = _known(change, rule, paths)
            fresh = [edge for edge in found if (edge.path, edge.target) not in known]
            older += len(found) - len(fresh)
            for edge in fresh:
                clause = f"{printable(edge.path)} {printable(edge.via)}, but {_told(rule)}"
                clauses[clause] = edge.path
        if not clauses:
            told = f"{older} dependencies across a boundary were there before." if older else ""
            return GuardResult(rule=self.name, ok=True, reason=told)
        before = f" ({older} more were there before.)" if older else ""
        reason = f"{listed(list(clauses))} Take the dependency out, or turn it around.{before}"
        paths = list(dict.fromkeys(clauses.values()))
        return GuardResult(rule=self.name, ok=False, reason=reason, paths=paths, ask="boundary")


class _Rule:
    """One boundary. Whether it names files or modules is decided on the base, where the change has no say."""

    def __init__(self, rule: Boundary, change: Judged) -> None:
        self._from = compiled((rule.from_,))
        self._files = compiled((rule.may_not,))
        below = "" if rule.may_not.endswith("**") else rule.may_not.rstrip("/") + "/**"
        self._modules = compiled((rule.may_not, below) if below else (rule.may_not,))
        self._by_name = not any(self._files.fullmatch(path) for path in change.modes(change.request.base_tree))
        self._manifests = any(row.path.rpartition("/")[2] == _MANIFEST for row in change.rows)

    def looked_at(self, change: Judged) -> list[str]:
        """Files on this side that the change touches; all of them when it adds or removes any on the other side."""
        if any(self._files.fullmatch(row.path) and (row.added or row.gone) for row in change.rows):
            mine = [path for path in change.modes(change.request.tree) if self._from.fullmatch(path)]
            change.fetch(change.request.tree, [path for path in mine if _ending(path) in _ENDINGS])
            return mine
        return [row.path for row in change.rows if not row.gone and self._from.fullmatch(row.path)]

    def violations(self, tree: Forest, paths: Iterable[str], *, whole: bool) -> list[Edge]:
        """Raises Unparsed, unless `whole`: then such files are passed over."""
        found: list[Edge] = []
        for path in paths:
            edges = _ENDINGS.get(_ending(path))
            if edges is None or path not in tree.files:
                continue
            try:
                found += [edge for edge in edges(tree, path) if self._crosses(tree, edge)]
            except Unparsed as error:
                if not whole:
                    raise Unparsed(f"{printable(path)}: {error}") from error
        try:
            found += self._packages(tree)
        except Unparsed:
            if not whole:
                raise
        return list({(edge.path, edge.target): edge for edge in found}.values())

    def _packages(self, tree: Forest) -> Iterator[Edge]:
        if not self._manifests or _MANIFEST not in tree.by_name:
            return
        mine = {_owner(tree, path) for path in tree.names if self._from.fullmatch(path)}
        others = {_owner(tree, path) for path in tree.names if self._files.fullmatch(path)}
        for edge in package_edges(tree):
            named = self._by_name and self._modules.fullmatch(edge.target)
            if edge.path in mine and edge.path not in others and (edge.target in others or named):
                yield edge

    def _crosses(self, tree: Forest, edge: Edge) -> bool:
        target = edge.target
        if self._files.fullmatch(target):
            return True
        if target in tree.files:
            return False
        if target in tree.folders:
            return any(self._files.fullmatch(path) for path in tree.inside.get(target, ()))
        name = target if "/" in target else target.replace(".", "/").replace("::", "/")
        return self._by_name and (bool(self._modules.fullmatch(name)) or bool(self._modules.fullmatch(target)))


def _known(change: Judged, rule: Boundary, paths: Sequence[str]) -> set[tuple[str, str]]:
    """What these files depended on across the boundary on the base already."""
    base = forest(change, change.request.base_tree)
    return {(edge.path, edge.target) for edge in _Rule(rule, change).violations(base, paths, whole=True)}


def _owner(tree: Forest, path: str) -> str:
    """The manifest of the package that a file belongs to."""
    folder = path.rpartition("/")[0]
    while True:
        manifest = f"{folder}/{_MANIFEST}" if folder else _MANIFEST
        if manifest in tree.files or not folder:
            return manifest
        folder = folder.rpartition("/")[0]


def _ending(path: str) -> str:
    name = path.rpartition("/")[2]
    return "." + name.rpartition(".")[2].lower() if "." in name else ""


def _told(rule: Boundary) -> str:
    return f"{printable(rule.from_)} may not depend on {printable(rule.may_not)}"
