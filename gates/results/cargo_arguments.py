"""What the arguments of `cargo test` mean: which of them build, and which of them choose tests."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath

_CARGO = re.compile(r"^cargo(\.exe)?$", re.IGNORECASE)
_SHARED = frozenset({"--offline", "--locked", "--frozen", "--manifest-path", "--config"})
_WITH_VALUE = frozenset(
    {
        *("-p", "--package", "--exclude", "--bin", "--example", "--test", "--bench", "-F", "--features", "--target"),
        *("--target-dir", "--manifest-path", "--profile", "-j", "--jobs", "--color", "--config"),
    }
)
_SWITCHES = frozenset(
    {
        *("--lib", "--bins", "--tests", "--examples", "--benches", "--all-targets", "--doc", "--workspace", "--all"),
        *("--all-features", "--no-default-features", "-r", "--release", "--locked", "--offline", "--frozen"),
        *("--ignore-rust-version", "-v", "-vv", "--verbose"),
    }
)
_MEANINGLESS = frozenset({"--no-fail-fast", "-q", "--quiet"})
_TARGETS = frozenset(
    {
        *("--lib", "--bins", "--tests", "--examples", "--benches", "--all-targets"),
        *("--bin", "--example", "--test", "--bench"),
    }
)
_IGNORED = {"--ignored": "only", "--include-ignored": "too"}
_FOR_PEOPLE = frozenset({"--nocapture", "--no-capture", "--show-output", "-q", "--quiet"})


class NotUnderstood(ValueError):
    """The arguments ask for something that cannot be watched. The message is one clause."""


@dataclass
class CargoTest:
    """`cargo test …`, taken apart. `build`: all that cargo itself needs for building; `shared`: those of them that
    also find the manifest. `ignored`: "" (they are skipped), "too" or "only". `jobs`: tests that run at once."""

    program: str
    build: list[str] = field(default_factory=list[str])
    shared: list[str] = field(default_factory=list[str])
    packages: list[str] = field(default_factory=list[str])
    excluded: list[str] = field(default_factory=list[str])
    workspace: bool = False
    targets: bool = False
    doc: bool = False
    filters: list[str] = field(default_factory=list[str])
    choose: list[str] = field(default_factory=list[str])
    ignored: str = ""
    jobs: int = 0

    def take(self, name: str, value: str | None) -> None:
        """One of cargo's own options."""
        words = [name] if value is None else [name, value]
        if name == "--doc":
            self.doc = True
            return
        self.build += words
        if name in _SHARED:
            self.shared += words
        self.workspace |= name in ("--workspace", "--all")
        self.targets |= name in _TARGETS
        if name in ("-p", "--package"):
            self.packages.append(value or "")
        elif name == "--exclude":
            self.excluded.append(value or "")

    def take_for_tests(self, words: Sequence[str]) -> None:
        """What stands after `--`: the options of the test programs."""
        rest = list(words)
        while rest:
            name, equals, value = rest.pop(0).partition("=")
            if name in ("--skip", "--test-threads"):
                if not equals and not rest:
                    raise NotUnderstood(f"{name} has no value")
                value = value if equals else rest.pop(0)
                if name == "--skip":
                    self.choose += [name, value]
                elif not value.isdigit() or not int(value):
                    raise NotUnderstood("--test-threads is no number of threads")
                else:
                    self.jobs = int(value)
            elif name == "--exact":
                self.choose.append(name)
            elif name in _IGNORED:
                self.ignored = _IGNORED[name]
            elif name.startswith("-") and name not in _FOR_PEOPLE:
                raise NotUnderstood(f"its {name} after -- is not understood: leave it out")
            elif not name.startswith("-"):
                self.filters.append(name + equals + value)


def is_cargo(argv: Sequence[str]) -> bool:
    return bool(argv) and bool(_CARGO.match(PureWindowsPath(PurePosixPath(argv[0]).name).name))


def parse(argv: Sequence[str]) -> CargoTest:
    """Takes `cargo test [options] [name] [-- options]` apart. Raises NotUnderstood, one clause."""
    if not is_cargo(argv) or len(argv) < 2 or argv[1] not in ("test", "t"):
        raise NotUnderstood('it has results = "cargo-test" but is not written as ["cargo", "test", ...]')
    own, dashes, after = list(argv[2:]), False, list[str]()
    if "--" in own:
        at = own.index("--")
        own, dashes, after = own[:at], True, own[at + 1 :]
    parsed = CargoTest(argv[0])
    while own:
        word = own.pop(0)
        name, equals, value = word.partition("=") if word.startswith("--") else (word, "", "")
        if not word.startswith("-"):
            parsed.filters.append(word)
        elif name in _MEANINGLESS and not equals:
            continue
        elif name in _SWITCHES and not equals:
            parsed.take(name, None)
        elif name in _WITH_VALUE and (equals or own):
            parsed.take(name, value if equals else own.pop(0))
        elif word[:2] in ("-p", "-F", "-j") and not word.startswith("--") and len(word) > 2:
            parsed.take(word[:2], word[2:].removeprefix("="))
        else:
            raise NotUnderstood(f"its option {word} is not understood by cargo-test results: leave it out")
    if dashes:
        parsed.take_for_tests(after)
    return parsed
