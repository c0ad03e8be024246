"""Which tests passed on the base: the inventory that a change is held to."""

from __future__ import annotations

from collections.abc import Mapping

from engine.artifacts import ArtifactStore
from engine.errors import InfrastructureFault, SwarmError
from engine.models.report import GateResult, TestOutcome, VerificationReport

NO_BASE = "no-base-inventory"
"""Flag of a report: lost tests could not be looked for."""
_OUTCOMES: Mapping[object, TestOutcome] = {"passed": "passed", "failed": "failed", "skipped": "skipped"}


def outcomes_of(store: ArtifactStore, result: GateResult) -> dict[str, TestOutcome]:
    """Outcome per test id of a reported gate. Raises SwarmError when the artifact is missing or damaged."""
    if not result.tests:
        return {}
    found = store.get_json(result.tests)
    if not isinstance(found, dict):
        raise SwarmError(f"artifact {result.tests} holds no test outcomes")
    return {str(name): _OUTCOMES.get(outcome, "failed") for name, outcome in found.items()}


def outcomes_by_gate(store: ArtifactStore, base: VerificationReport | None) -> dict[str, dict[str, TestOutcome]]:
    """Gate name -> outcome per test id on the base. Raises InfrastructureFault when an artifact is gone."""
    if base is None:
        return {}
    try:
        return {result.name: outcomes_of(store, result) for result in base.gates}
    except SwarmError as error:
        raise InfrastructureFault(f"the base's inventory of tests cannot be read: {error}") from error


def passed(outcomes: Mapping[str, TestOutcome]) -> list[str]:
    """The tests that passed: the inventory that a change is held to."""
    return [name for name, outcome in outcomes.items() if outcome == "passed"]
