"""Results "unittest": `python -m unittest …`, watched by a launcher with its own TestResult."""

from __future__ import annotations

from pathlib import Path

from gates.results.adapter import Launch, Seen, Watch
from gates.results.launched import launch, problem_with_module, progress, read_records

_NOTHING_COLLECTED = 5
_MEANING = {2: "unittest was called wrongly"}


class UnittestResults:
    """Ids are dotted, as `TestCase.id()` gives them. A failed subTest fails its test; expectedFailure is skipped."""

    counts = True
    version = "unittest/1"

    def problem(self, argv: tuple[str, ...]) -> str:
        return problem_with_module(argv, "unittest")

    def launch(self, argv: tuple[str, ...], watch: Watch) -> Launch:
        return launch(argv, watch, "launch_unittest.py")

    def progress(self, exchange: Path) -> tuple[int, int]:
        return progress(exchange)

    def read(self, exit_code: int, watch: Watch) -> Seen:
        return read_records(exit_code, watch, "unittest", empty_status=_NOTHING_COLLECTED, meanings=_MEANING)
