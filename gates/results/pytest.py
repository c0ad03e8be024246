"""Results "pytest": `python -m pytest …`, watched by a launcher that imports pytest before the tree can be imported."""

from __future__ import annotations

from pathlib import Path

from gates.results.adapter import Launch, Seen, Watch
from gates.results.launched import launch, problem_with_module, progress, read_records, restricted

_NOTHING_COLLECTED = 5
_MEANING = {
    2: "pytest was interrupted, or a file could not be collected",
    3: "pytest had an internal error",
    4: "pytest was called wrongly",
}


class PytestResults:
    """Ids are pytest's node ids. A failure in setup or teardown counts; xfail is skipped, xpass is no proof either."""

    counts = True
    version = "pytest/2"

    def problem(self, argv: tuple[str, ...]) -> str:
        return problem_with_module(argv, "pytest")

    def only(self, argv: tuple[str, ...], tests: tuple[str, ...]) -> tuple[str, ...] | None:
        return restricted(argv, tests, "--continue-on-collection-errors")

    def file_of(self, test: str) -> str:
        file = test.partition("::")[0]
        return file if "/" in file or file.endswith(".py") else ""

    def launch(self, argv: tuple[str, ...], watch: Watch) -> Launch:
        return launch(argv, watch, "launch_pytest.py")

    def progress(self, exchange: Path) -> tuple[int, int]:
        return progress(exchange)

    def read(self, exit_code: int, watch: Watch) -> Seen:
        return read_records(exit_code, watch, "pytest", empty_status=_NOTHING_COLLECTED, meanings=_MEANING)
