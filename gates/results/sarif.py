"""Results "sarif" and "sarif:PATH": a linter that says what it found in SARIF 2.1.0, on standard output or in a file.

Results of level error are red, each with its place. There are no tests to count. Weakness: a linter that runs code of
the tree (its plugins, its settings) can be made to keep silent; protect those files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from gates.results.adapter import Launch, Seen, Watch
from gates.results.outputs import Output, expect_file, launch_stream, left_file, problem_with_path, shown, streamed
from gates.strict_json import JsonRefused, parse

_SHOWN = 20


class SarifResults:
    """`path` "": standard output. Suppressed, absent and informational results are no errors."""

    counts = False
    version = "sarif/1"

    def __init__(self, path: str = "") -> None:
        self._path = path

    def problem(self, argv: tuple[str, ...]) -> str:
        if not argv:
            return "it has no command"
        return problem_with_path(self._path) if self._path else ""

    def only(self, argv: tuple[str, ...], tests: tuple[str, ...]) -> tuple[str, ...] | None:
        return None

    def file_of(self, test: str) -> str:
        return ""

    def launch(self, argv: tuple[str, ...], watch: Watch) -> Launch:
        if not self._path:
            return launch_stream(argv, watch)
        expect_file(self._path, watch)
        return Launch(argv)

    def progress(self, exchange: Path) -> tuple[int, int]:
        return 0, 0

    def read(self, exit_code: int, watch: Watch) -> Seen:
        output: Output = left_file(self._path, watch) if self._path else streamed(exit_code, watch)
        if output.fault or output.problem:
            return Seen(fault=output.fault, problems=(output.problem,) if output.problem else ())
        problems = read_sarif(output.raw)
        if exit_code != 0 and not problems:
            problems = (f"the command ended with exit code {exit_code} although it reported no error",)
        return Seen(problems=problems)


def read_sarif(raw: bytes) -> tuple[str, ...]:
    """One clause per error that the log reports, or why it is not believed; empty when there is none."""
    try:
        log = parse(raw)
    except JsonRefused:
        return ("the SARIF log is no plain JSON",)
    try:
        found = list(_errors(_mapping(log)))
    except _NotSarif as error:
        return (f"the SARIF log is not as SARIF 2.1.0 wants it: {error}",)
    more = [f"{len(found) - _SHOWN} more errors"] if len(found) > _SHOWN else []
    return (*found[:_SHOWN], *more)


class _NotSarif(Exception):
    """Why, as one clause."""


def _errors(log: Mapping[str, Any]) -> Iterator[str]:
    if log.get("version") != "2.1.0":
        raise _NotSarif("its version is not 2.1.0")
    runs = _list(log.get("runs"), "runs")
    if not runs:
        raise _NotSarif("it has no runs")
    for run in map(_mapping, runs):
        driver = _mapping(_mapping(run.get("tool")).get("driver"))
        tool = shown(str(driver.get("name", "the linter")))
        for invocation in map(_mapping, _list(run.get("invocations", []), "invocations")):
            if invocation.get("executionSuccessful") is not True:
                yield f"{tool} says that it did not run to its end"
        rules = [_mapping(rule) for rule in _list(driver.get("rules", []), "rules")]
        if run.get("results") is None:
            raise _NotSarif(f"{tool} has no results, so it did not look")
        for result in map(_mapping, _list(run["results"], "results")):
            if _is_error(result, rules):
                yield f"{_place(result)}: {shown(str(result.get('ruleId', tool)))} {_message(result)}".rstrip()


def _is_error(result: Mapping[str, Any], rules: list[Mapping[str, Any]]) -> bool:
    if result.get("kind", "fail") != "fail" or result.get("baselineState") == "absent":
        return False
    suppressions = [_mapping(one) for one in _list(result.get("suppressions") or [], "suppressions")]
    if suppressions and all(one.get("status", "accepted") == "accepted" for one in suppressions):
        return False
    level = result.get("level")
    if level is None:
        level = _default_level(result, rules)
    if level not in ("error", "warning", "note", "none"):
        raise _NotSarif("a result has an unknown level")
    return level == "error"


def _default_level(result: Mapping[str, Any], rules: list[Mapping[str, Any]]) -> object:
    index = result.get("ruleIndex", _mapping(result.get("rule") or {}).get("index", -1))
    named = [rule for rule in rules if rule.get("id") == result.get("ruleId")]
    if isinstance(index, int) and not isinstance(index, bool) and 0 <= index < len(rules):
        named = [rules[index]]
    return _mapping((named[0].get("defaultConfiguration") if named else None) or {}).get("level", "warning")


def _place(result: Mapping[str, Any]) -> str:
    locations = _list(result.get("locations") or [], "locations")
    if not locations:
        return "somewhere"
    physical = _mapping(_mapping(locations[0]).get("physicalLocation") or {})
    uri = str(_mapping(physical.get("artifactLocation") or {}).get("uri", "somewhere")).removeprefix("file://")
    line = _mapping(physical.get("region") or {}).get("startLine")
    return f"{shown(uri)}:{line}" if isinstance(line, int) else shown(uri)


def _message(result: Mapping[str, Any]) -> str:
    return shown(str(_mapping(result.get("message") or {}).get("text", "")))


def _mapping(value: object) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _NotSarif("something in it is no object")
    return cast("Mapping[str, Any]", value)


def _list(value: object, name: str) -> list[object]:
    if not isinstance(value, list):
        raise _NotSarif(f"{name} is no list")
    return cast("list[object]", value)
