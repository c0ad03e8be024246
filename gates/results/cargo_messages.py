"""Results "cargo-messages": `cargo build`, `check` or `clippy`; diagnostics are counted from cargo's own stream."""

from __future__ import annotations

from pathlib import Path

from gates.results.adapter import Launch, Seen, Watch
from gates.results.cargo_arguments import is_cargo
from gates.results.children import launch_outside, read_outside

_COMMANDS = ("build", "b", "check", "c", "clippy", "doc", "rustc")


class CargoMessagesResults:
    """No tests are counted. An error of the compiler or of clippy is red, and so is an exit code other than 0; warnings
    stand in the log. `-- -D warnings` makes them errors."""

    counts = False
    version = "cargo-messages/1"

    def problem(self, argv: tuple[str, ...]) -> str:
        if not is_cargo(argv) or len(argv) < 2 or argv[1] not in _COMMANDS:
            return 'it has results = "cargo-messages" but is not written as ["cargo", "build" or "clippy", ...]'
        own = argv[: argv.index("--")] if "--" in argv else argv
        if any(word.partition("=")[0] == "--message-format" for word in own):
            return "--message-format is chosen for it: leave it out"
        return ""

    def only(self, argv: tuple[str, ...], tests: tuple[str, ...]) -> tuple[str, ...] | None:
        return None

    def file_of(self, test: str) -> str:
        return ""

    def launch(self, argv: tuple[str, ...], watch: Watch) -> Launch:
        plan = {"program": argv[0], "command": argv[1], "arguments": list(argv[2:])}
        return launch_outside("launch_cargo_messages.py", plan, watch)

    def progress(self, exchange: Path) -> tuple[int, int]:
        return 0, 0

    def read(self, exit_code: int, watch: Watch) -> Seen:
        return read_outside(exit_code, watch, "cargo")
