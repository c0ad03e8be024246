"""Coverage of added lines: reports in both formats, counted line by line, and refused when they cannot be trusted."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.models.settings import Coverage
from gates.guards.coverage import added_lines, judge_coverage
from gates.guards.coverage_reports import UnreadableReport, read_report
from tests.gates.guards.changes import change

SETTINGS = Coverage(gate="unit", report="coverage.xml", min=80)


def cobertura(lines: dict[int, int], path: str = "a.py", source: str = "", head: str = "") -> bytes:
    rows = "".join(f'<line number="{number}" hits="{hits}"/>' for number, hits in lines.items())
    return (
        f'<?xml version="1.0" ?>{head}<coverage version="7"><sources><source>{source}</source></sources>'
        "<packages><package>"
        f'<classes><class filename="{path}" name="x"><methods/><lines>{rows}</lines></class></classes>'
        "</package></packages></coverage>"
    ).encode()


def lcov(lines: dict[int, int], path: str = "a.py") -> bytes:
    rows = "".join(f"DA:{number},{hits}\n" for number, hits in lines.items())
    return f"TN:\nSF:{path}\n{rows}LF:1\nend_of_record\n".encode()


@pytest.mark.parametrize("write", [cobertura, lcov])
def test_the_share_of_added_lines_decides(write) -> None:
    report = write({1: 1, 2: 0, 3: 5, 4: 0, 5: 1, 6: 1, 7: 1, 8: 0})
    fine = judge_coverage(SETTINGS, report, {"a.py": {1, 3, 5, 6, 2}})
    assert fine.ok
    assert "4 of 5 added lines with code are run (80.0 %, asked for 80 %)" in fine.reason
    poor = judge_coverage(SETTINGS, report, {"a.py": {1, 2, 3, 4, 8, 9, 10}})
    assert (poor.ok, poor.rule, poor.paths) == (False, "coverage", ["a.py"])
    assert "2 of 5" in poor.reason
    assert "write tests that run a.py:2, a.py:4, a.py:8" in poor.reason
    assert "a.py:2-4" in judge_coverage(SETTINGS, write({2: 0, 3: 0, 4: 0}), {"a.py": {2, 3, 4}}).reason


@pytest.mark.parametrize("write", [cobertura, lcov])
def test_lines_without_code_do_not_count(write) -> None:
    report = write({1: 1})
    assert judge_coverage(SETTINGS, report, {"a.py": {1, 2, 3}}).ok
    assert judge_coverage(SETTINGS, report, {"a.py": {2, 3}}).ok
    assert judge_coverage(SETTINGS, report, {}).ok
    aside = judge_coverage(SETTINGS, report, {"b.py": {2, 3}, "README.md": {1}})
    assert aside.ok
    assert "Not in the report: b.py." in aside.reason


def test_a_report_that_is_missing_broken_or_empty_is_refused() -> None:
    for report in (None, b"", b"<coverage", b"<html/>", b"nothing", cobertura({}), b"\xff\xfe", b"SF:a.py\nDA:x,1\n"):
        refused = judge_coverage(SETTINGS, report, {"a.py": {1}})
        assert not refused.ok
        assert "coverage.xml of gate unit" in refused.reason
        assert refused.reason.endswith(".")


def test_xml_that_defines_entities_is_refused() -> None:
    bomb = '<!DOCTYPE coverage [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    assert not judge_coverage(SETTINGS, cobertura({1: 1}, head=bomb), {"a.py": {1}}).ok
    outside = '<!DOCTYPE coverage [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
    assert not judge_coverage(SETTINGS, cobertura({1: 1}, head=outside), {"a.py": {1}}).ok
    usual = '<!DOCTYPE coverage SYSTEM "http://cobertura.sourceforge.net/xml/coverage-04.dtd">'
    assert judge_coverage(SETTINGS, cobertura({1: 1}, head=usual), {"a.py": {1}}).ok


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("pkg/a.py", "/slots/1/tree/src"),
        ("/slots/1/tree/src/pkg/a.py", ""),
        ("src/pkg/a.py", "."),
        ("a.py", "/slots/1/tree/src/pkg"),
        ("pkg\\a.py", "C:\\slots\\1\\src"),
    ],
)
def test_paths_of_reports_find_the_changed_file(path: str, source: str) -> None:
    report = cobertura({1: 0}, path, source)
    assert not judge_coverage(SETTINGS, report, {"src/pkg/a.py": {1}}).ok
    assert judge_coverage(SETTINGS, report, {"src/other/a.py": {1}}).ok


def test_a_line_that_any_class_runs_is_run() -> None:
    twice = lcov({1: 0}) + lcov({1: 2})
    assert judge_coverage(SETTINGS, twice, {"a.py": {1}}).ok


@pytest.mark.skipif(shutil.which("coverage") is None, reason="coverage.py is not installed: no real report to read")
def test_a_real_report_of_coverage_py(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def f(x):\n    if x:\n        return 1\n    return 2\n\nf(0)\n", encoding="utf-8")
    for argv in (["run", "a.py"], ["xml", "-q"], ["lcov", "-q"]):
        subprocess.run([sys.executable, "-m", "coverage", *argv], cwd=tmp_path, check=True, capture_output=True)
    for name in ("coverage.xml", "coverage.lcov"):
        lines = next(iter(read_report((tmp_path / name).read_bytes()).values()))
        assert lines == {1: True, 2: True, 3: False, 4: True, 6: True}


def added(old: str | None, new: str) -> set[int]:
    made = change({"a.py": new}, {} if old is None else {"a.py": old})
    return added_lines(made.read, made.rows, "old", "new").get("a.py", set())


def test_added_lines_are_those_that_were_not_there() -> None:
    assert added(None, "a\nb\n") == {1, 2}
    assert added("a\nb\n", "a\nx\nb\n") == {2}
    assert added("a\nb\n", "b\n") == set()
    assert added("a\nb\nc\n", "a\nX\nc\nd\n") == {2, 4}
    assert added("a", "\0binary") == set()
    large = "\n".join(str(n) for n in range(5000))
    assert added(large, "\n".join(str(n * 7) for n in range(5000))) == set(range(2, 5001))


@given(st.lists(st.sampled_from("abc"), max_size=12), st.lists(st.sampled_from("abc"), max_size=12))
def test_what_is_not_added_was_there_in_that_order(old: list[str], new: list[str]) -> None:
    numbers = added("\n".join(old), "\n".join(new)) if old != new else set()
    kept = [line for at, line in enumerate("\n".join(new).splitlines(), 1) if at not in numbers]
    rest = iter("\n".join(old).splitlines())
    assert all(line in rest for line in kept)


@given(st.binary(max_size=300))
def test_any_report_is_read_or_refused(content: bytes) -> None:
    for start in (b"", b"<coverage>", b"SF:a\nDA:"):
        try:
            read_report(start + content)
        except UnreadableReport:
            assert not judge_coverage(SETTINGS, start + content, {"a.py": {1}}).ok
