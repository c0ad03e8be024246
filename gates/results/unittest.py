"""Results "unittest": `python -m unittest …`, watched by a launcher with its own TestResult."""

from __future__ import annotations

import re
from pathlib import Path

from gates.results.adapter import Launch, Seen, Watch
from gates.results.launched import launch, problem_with_module, progress, read_records, restricted

_NOTHING_COLLECTED = 5
_NOT_IMPORTED = "unittest.loader._FailedTest."
_MEANING = {2: "unittest was called wrongly"}


class UnittestResults:
    """Ids are dotted, as `TestCase.id()` gives them. A failed subTest fails its test; expectedFailure is skipped."""

    counts = True
    version = "unittest/2"

    def problem(self, argv: tuple[str, ...]) -> str:
        return problem_with_module(argv, "unittest")

    def only(self, argv: tuple[str, ...], tests: tuple[str, ...]) -> tuple[str, ...] | None:
        return restricted(argv, tests)

    def file_of(self, test: str, argv: tuple[str, ...] = ()) -> str:
        """A guess by the usual names (a class begins with a capital). `argv`: the gate's, for `discover -s FOLDER`."""
        name = re.sub(r"^\w+ \((.*)\)$", r"\1", test)
        if name.startswith(_NOT_IMPORTED):
            return name.removeprefix(_NOT_IMPORTED).replace(".", "/") + ".py"
        parts = name.split(".")
        classes = [at for at, part in enumerate(parts) if part[:1].isupper()]
        modules = parts[: classes[0]] if classes else parts[:-2]
        start = _start_folder(argv)
        return f"{start}{'/'.join(modules)}.py" if modules else ""

    def launch(self, argv: tuple[str, ...], watch: Watch) -> Launch:
        return launch(argv, watch, "launch_unittest.py")

    def progress(self, exchange: Path) -> tuple[int, int]:
        return progress(exchange)

    def read(self, exit_code: int, watch: Watch) -> Seen:
        return read_records(exit_code, watch, "unittest", empty_status=_NOTHING_COLLECTED, meanings=_MEANING)


def _start_folder(argv: tuple[str, ...]) -> str:
    """The folder that `discover` starts in when ids do not name it, with a slash; "" for the tree itself."""
    if "discover" not in argv or "-t" in argv or "--top-level-directory" in argv:
        return ""
    rest = argv[argv.index("discover") + 1 :]
    for at, word in enumerate(rest):
        if word in ("-s", "--start-directory") and at + 1 < len(rest):
            return _folder(rest[at + 1])
        if word.startswith("--start-directory="):
            return _folder(word.partition("=")[2])
    return _folder(rest[0]) if rest and not rest[0].startswith("-") else ""


def _folder(name: str) -> str:
    plain = name.removeprefix("./").strip("/")
    return "" if plain in ("", ".") else f"{plain}/"
