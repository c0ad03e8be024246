"""Which adapter reads which results. Adding one is one file and one line here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from engine.errors import UserError
from gates.results.adapter import ResultsAdapter
from gates.results.cargo_messages import CargoMessagesResults
from gates.results.cargo_test import CargoTestResults
from gates.results.go_test import GoTestResults
from gates.results.junit import JUnitResults
from gates.results.nextest import NextestResults
from gates.results.none import NoResults
from gates.results.pytest import PytestResults
from gates.results.sarif import SarifResults
from gates.results.tap import TapResults
from gates.results.unittest import UnittestResults

ADAPTERS: Mapping[str, Callable[[], ResultsAdapter]] = {
    "none": NoResults,
    "pytest": PytestResults,
    "unittest": UnittestResults,
    "cargo-test": CargoTestResults,
    "nextest": NextestResults,
    "cargo-messages": CargoMessagesResults,
    "go-test": GoTestResults,
    "tap": TapResults,
    "sarif": SarifResults,
}
WITH_PATH: Mapping[str, Callable[[str], ResultsAdapter]] = {"junit": JUnitResults, "sarif": SarifResults}


def adapter(results: str) -> ResultsAdapter:
    """The adapter for a gate's `results`: a name, or `FORMAT:PATH`. Raises UserError for a format that is not known."""
    name, _, path = results.partition(":")
    if path and name in WITH_PATH:
        return WITH_PATH[name](path)
    if results not in ADAPTERS:
        known = ", ".join([*ADAPTERS, *(f"{name}:PATH" for name in WITH_PATH)])
        raise UserError(f'results = "{results}" is not known: use one of {known}.')
    return ADAPTERS[results]()


def problem_with(results: str, argv: Sequence[str]) -> str:
    """Why a gate with these results cannot run this argv, as one clause; empty when it can."""
    try:
        return adapter(results).problem(tuple(argv))
    except UserError:
        return f'results = "{results}" is not known'
