"""Results "cargo-test": `cargo test …` on stable Rust. The launcher runs every test in a process of its own."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from gates.results.adapter import Launch, Seen, Watch
from gates.results.cargo_arguments import NotUnderstood, parse
from gates.results.children import launch_outside, read_outside
from gates.results.launched import progress

_DOC = "::doc::"


class CargoTestResults:
    """Ids are `package::target::path of the test`, with the target as `lib`, `bin/NAME`, `test/NAME` or `example/NAME`;
    those of documentation tests `package::doc::FILE - item`, numbered from the second one of an item on.

    A target without the standard harness is one test, `package::test/NAME::main`, judged by its exit code. Passed means
    exit code 0, the test's own line and the summary. `#[ignore]` is skipped.
    """

    counts = True
    version = "cargo-test/2"

    def problem(self, argv: tuple[str, ...]) -> str:
        try:
            parse(argv)
        except NotUnderstood as error:
            return str(error)
        return ""

    def only(self, argv: tuple[str, ...], tests: tuple[str, ...]) -> tuple[str, ...] | None:
        """By package and by the tests' own names, as substrings: some others with such a name may run too."""
        try:
            plan = parse(argv)
        except NotUnderstood:
            return None
        packages = dict.fromkeys(test.partition("::")[0] for test in tests)
        names = dict.fromkeys(_own_name(test) for test in tests)
        selects = plan.packages or plan.workspace or plan.excluded
        if plan.filters or plan.choose or not tests or not all(packages) or not all(names):
            return None
        chosen = () if selects else tuple(word for package in packages for word in ("-p", package))
        before = argv[: argv.index("--")] if "--" in argv else argv
        after = argv[len(before) + 1 :]
        return (*before, *chosen, "--", *names, *after)

    def file_of(self, test: str) -> str:
        _, found, place = test.partition(_DOC)
        return place.partition(" - ")[0] if found else ""

    def launch(self, argv: tuple[str, ...], watch: Watch) -> Launch:
        return launch_outside("launch_cargo.py", asdict(parse(argv)), watch)

    def progress(self, exchange: Path) -> tuple[int, int]:
        return progress(exchange)

    def read(self, exit_code: int, watch: Watch) -> Seen:
        return read_outside(exit_code, watch, "cargo test")


def _own_name(test: str) -> str:
    """What the test programs are told: the part of the id behind package and target, without a number."""
    parts = test.split("::", 2)
    return parts[2].partition(" #")[0] if len(parts) == 3 and "/" not in parts[0] else ""
