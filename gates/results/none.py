"""Results "none": the exit code is all there is."""

from __future__ import annotations

from pathlib import Path

from gates.results.adapter import Launch, Seen, Watch


class NoResults:
    """A command that has no tests to count: green is exit code 0."""

    counts = False
    version = "none/1"

    def problem(self, argv: tuple[str, ...]) -> str:
        return "" if argv else "it has no command"

    def only(self, argv: tuple[str, ...], tests: tuple[str, ...]) -> tuple[str, ...] | None:
        return None

    def file_of(self, test: str) -> str:
        return ""

    def launch(self, argv: tuple[str, ...], watch: Watch) -> Launch:
        return Launch(argv)

    def progress(self, exchange: Path) -> tuple[int, int]:
        return 0, 0

    def read(self, exit_code: int, watch: Watch) -> Seen:
        return Seen() if exit_code == 0 else Seen(problems=(f"the command ended with exit code {exit_code}",))
