"""Which adapter reads which results. Adding one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from engine.errors import UserError
from gates.results.adapter import ResultsAdapter
from gates.results.none import NoResults
from gates.results.pytest import PytestResults
from gates.results.unittest import UnittestResults

ADAPTERS: Mapping[str, Callable[[], ResultsAdapter]] = {
    "none": NoResults,
    "pytest": PytestResults,
    "unittest": UnittestResults,
}


def adapter(results: str) -> ResultsAdapter:
    """The adapter for a gate's `results`. Raises UserError for the formats that are not built yet."""
    if results not in ADAPTERS:
        known = ", ".join(ADAPTERS)
        raise UserError(f'results = "{results}" comes with Evidence: use one of {known} for now.')
    return ADAPTERS[results]()


def problem_with(results: str, argv: Sequence[str]) -> str:
    """Why a gate with these results cannot run this argv, as one clause; empty when it can."""
    if results not in ADAPTERS:
        return f'results = "{results}" comes with Evidence'
    return ADAPTERS[results]().problem(tuple(argv))
