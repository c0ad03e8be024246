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


def inventories(store: ArtifactStore, base: VerificationReport | None) -> dict[str, list[str]]:
    """Gate name -> ids of the tests that passed on the base. Raises InfrastructureFault when an artifact is gone."""
    if base is None:
        return {}
    try:
        seen = {result.name: outcomes_of(store, result) for result in base.gates}
    except SwarmError as error:
        raise InfrastructureFault(f"the base's inventory of tests cannot be read: {error}") from error
    return {gate: [name for name, outcome in tests.items() if outcome == "passed"] for gate, tests in seen.items()}
