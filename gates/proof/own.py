"""Which tests a change adds or touches: they get no second try, and no quarantine."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from engine.git.hub import Hub
from engine.models.report import TestOutcome
from engine.models.settings import Gate
from engine.ports import GateRequest
from gates.proof.candidates import candidates
from gates.proof.versions import sorter, touched
from gates.results.table import adapter
from gates.trials import HubTrees


def own_tests(
    hub: Hub,
    request: GateRequest,
    gate: Gate,
    base: Mapping[str, TestOutcome] | None,
    head: Mapping[str, TestOutcome],
    asked: Collection[str],
) -> frozenset[str]:
    """Those of `asked` that the request's tree has and its base has not, or that lie in files that differ.

    base, head: outcome per test id of the gate; base None: not known, and then nothing counts as new. Blocking.
    """
    if not asked or request.tree == request.base_tree:
        return frozenset()
    trees, reading = HubTrees(hub), adapter(gate.results)
    named = frozenset(file for test in {*head, *(base or {})} if (file := reading.file_of(test)))
    files = sorter(trees, named, request.base_tree, request.tree)
    change = touched(trees, files, request.base_tree, request.tree)
    return frozenset(candidates(gate, change, base, dict.fromkeys(asked, "passed")).own)
