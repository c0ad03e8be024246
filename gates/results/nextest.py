"""Results "nextest": `cargo nextest run …`, with a profile of ours that writes JUnit outside of the tree."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from gates.results.adapter import Launch, Seen, Watch
from gates.results.cargo_arguments import is_cargo
from gates.results.children import launch_outside, read_outside
from gates.results.launched import progress

_REFUSED = frozenset(
    {
        *("--message-format", "--message-format-version", "--no-run", "--retries", "--no-tests", "--tool-config-file"),
        *("--archive-file", "--binaries-metadata", "--cargo-metadata", "--stress-count", "--stress-duration"),
        *("--debugger", "--tracer", "--rerun", "-R", "--flaky-result", "--", "-Z", "--cargo-message-format"),
    }
)
_BUILD_WITH_VALUE = frozenset(
    {
        *("-p", "--package", "--exclude", "-F", "--features", "--target", "--target-dir", "--manifest-path"),
        *("--cargo-profile", "--config", "--build-jobs"),
    }
)
_BUILD_SWITCHES = frozenset(
    {
        *("--workspace", "--all", "--all-features", "--no-default-features", "-r", "--release", "--locked"),
        *("--offline", "--frozen", "--ignore-rust-version"),
    }
)
_SHARED = frozenset({"--offline", "--locked", "--frozen", "--manifest-path", "--config"})
_RUNNER_WITH_VALUE = frozenset(
    {
        *("-j", "--jobs", "--test-threads", "--max-fail", "--status-level", "--final-status-level"),
        *("--failure-output", "--success-output", "--show-progress", "--max-progress-running"),
    }
)
_RUNNER_SWITCHES = frozenset(
    {
        *("--no-capture", "--nocapture", "--hide-progress-bar", "--no-input-handler", "--no-output-indent"),
    }
)
_PROFILE = frozenset({"-P", "--profile"})
_STOPPING = frozenset({"--no-fail-fast", "--nff", "--fail-fast", "--ff", "--max-fail"})
_CHOOSING = ("-E", "--filterset", "--filter-expr", "--partition", "--run-ignored")
_OTHER_WITH_VALUE = frozenset(
    {*_CHOOSING, "--bin", "--example", "--test", "--bench", "--color", "--config-file", "--user-config-file"}
)


class NextestResults:
    """Ids as those of cargo-test: `package::target::path of the test`. No retries; documentation tests are not run by
    nextest."""

    counts = True
    version = "nextest/1"

    def problem(self, argv: tuple[str, ...]) -> str:
        if not is_cargo(argv) or tuple(argv[1:3]) not in (("nextest", "run"), ("nextest", "r")):
            return 'it has results = "nextest" but is not written as ["cargo", "nextest", "run", ...]'
        refused = [word for word in argv[3:] if word.partition("=")[0] in _REFUSED]
        return f"its option {refused[0]} is chosen for it or not understood: leave it out" if refused else ""

    def only(self, argv: tuple[str, ...], tests: tuple[str, ...]) -> tuple[str, ...] | None:
        if not tests or _plan(argv)["chooses"]:
            return None
        expressions: list[str] = []
        for test in tests:
            package, _, rest = test.partition("::")
            own = rest.partition("::")[2]
            if not own or re.search(r"[^\w:/-]", test) or "/" in package + own:
                return None
            expressions.append(f"(package(={package}) & test(~{own}))")
        return (*argv, "-E", " | ".join(expressions))

    def file_of(self, test: str) -> str:
        return ""

    def launch(self, argv: tuple[str, ...], watch: Watch) -> Launch:
        return launch_outside("launch_nextest.py", _plan(argv), watch)

    def progress(self, exchange: Path) -> tuple[int, int]:
        return progress(exchange)

    def read(self, exit_code: int, watch: Watch) -> Seen:
        return read_outside(exit_code, watch, "nextest")


def _plan(argv: Sequence[str]) -> dict[str, object]:
    """What the launcher needs. `run`: all arguments less the profile; `list`: those that `nextest list` knows too;
    `build`: those that choose packages and how they are built."""
    run: list[str] = []
    listed: list[str] = []
    build: list[str] = []
    shared: list[str] = []
    packages: list[str] = []
    excluded: list[str] = []
    profile, workspace, chooses = "", False, False
    rest = list(argv[3:])
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        takes = name in _BUILD_WITH_VALUE | _RUNNER_WITH_VALUE | _PROFILE | _OTHER_WITH_VALUE
        words = [word]
        if takes and not equals and rest:
            value = rest.pop(0)
            words = [word, value]
        if name in _PROFILE:
            profile = value
            continue
        if name in _STOPPING:
            continue
        run += words
        listed += words if name not in _RUNNER_WITH_VALUE | _RUNNER_SWITCHES else []
        build += words if name in _BUILD_WITH_VALUE | _BUILD_SWITCHES else []
        shared += words if name in _SHARED else []
        packages += [value] if name in ("-p", "--package") else []
        excluded += [value] if name == "--exclude" else []
        workspace |= name in ("--workspace", "--all")
        chooses |= name in _CHOOSING or not word.startswith("-")
    return {
        "program": argv[0],
        "run": run,
        "list": listed,
        "build": build,
        "shared": shared,
        "packages": packages,
        "excluded": excluded,
        "workspace": workspace,
        "profile": profile,
        "chooses": chooses,
    }
