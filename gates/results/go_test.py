"""Results "go-test": `go test …`, read from its own JSON stream by a launcher outside of the test programs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from gates.results.adapter import Launch, Seen, Watch
from gates.results.children import launch_outside, read_outside
from gates.results.launched import progress

_GO = re.compile(r"^go[0-9.]*(\.exe)?$", re.IGNORECASE)
_SWITCHES = frozenset(
    {
        *("v", "race", "cover", "short", "failfast", "benchmem", "x", "work", "trimpath", "msan", "asan", "a"),
        *("linkshared", "modcacherw", "fullpath"),
    }
)
_WITH_VALUE = frozenset(
    {
        *("run", "skip", "tags", "timeout", "parallel", "p", "cpu", "covermode", "coverpkg", "mod", "modfile", "vet"),
        *("gcflags", "ldflags", "asmflags", "gccgoflags", "shuffle", "buildmode", "bench", "benchtime", "buildvcs"),
    }
)
_SELECTING = frozenset({"run", "skip", "bench"})
_OURS = {"json": "true", "count": "1"}


class GoTestResults:
    """Ids are `import/path::TestName`, with `/subtest` behind it where there are any. Cached results are not taken: the
    tests run every time."""

    counts = True
    version = "go-test/1"

    def problem(self, argv: tuple[str, ...]) -> str:
        parts = _split(argv)
        return parts if isinstance(parts, str) else ""

    def only(self, argv: tuple[str, ...], tests: tuple[str, ...]) -> tuple[str, ...] | None:
        """By package and by whole top-level tests; subtests run with their test."""
        parts = _split(argv)
        if isinstance(parts, str) or not tests or any(name in _SELECTING for name, _ in parts[0]):
            return None
        packages = dict.fromkeys(test.partition("::")[0] for test in tests)
        names = dict.fromkeys(test.partition("::")[2].partition("/")[0] for test in tests)
        if not all(packages) or not all(re.fullmatch(r"\w+", name) for name in names):
            return None
        flags, _, arguments = parts
        words = [f"-{name}={value}" for name, value in flags if name not in _OURS]
        chosen = [f"-run=^({'|'.join(names)})$", *packages]
        return (*argv[:2], *words, *chosen, *(["-args", *arguments] if arguments else []))

    def file_of(self, test: str) -> str:
        return ""

    def launch(self, argv: tuple[str, ...], watch: Watch) -> Launch:
        parts = _split(argv)
        if isinstance(parts, str):
            raise ValueError(parts)
        flags, packages, arguments = parts
        words = [[name, value] for name, value in flags if name not in _OURS]
        plan = {"program": argv[0], "flags": words, "packages": packages, "arguments": arguments}
        return launch_outside("launch_go.py", plan, watch)

    def progress(self, exchange: Path) -> tuple[int, int]:
        return progress(exchange)

    def read(self, exit_code: int, watch: Watch) -> Seen:
        return read_outside(exit_code, watch, "go test")


def _split(argv: Sequence[str]) -> tuple[list[tuple[str, str]], list[str], list[str]] | str:
    """(flags with their values, packages, arguments of the test programs), or why not, as one clause."""
    if len(argv) < 2 or not _GO.match(PureWindowsPath(PurePosixPath(argv[0]).name).name) or argv[1] != "test":
        return 'it has results = "go-test" but is not written as ["go", "test", ...]'
    flags: list[tuple[str, str]] = []
    packages: list[str] = []
    rest = list(argv[2:])
    while rest:
        word = rest.pop(0)
        name, equals, value = word.lstrip("-").partition("=")
        name = name.removeprefix("test.")
        if word in ("-args", "--args"):
            return flags, packages, rest
        if not word.startswith("-"):
            packages.append(word)
        elif name in _SWITCHES or (name in _OURS and (equals or name == "json")):
            flags.append((name, value if equals else "true"))
        elif (name in _WITH_VALUE or name in _OURS) and (equals or rest):
            flags.append((name, value if equals else rest.pop(0)))
        else:
            return f"its option {word} is not understood by go-test results: leave it out"
        if flags and flags[-1][0] in _OURS and flags[-1][1] != _OURS[flags[-1][0]]:
            return f"its option {word} is chosen for it: leave it out"
    return flags, packages, []
