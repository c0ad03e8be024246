"""JUnit, TAP and SARIF: what is read, and that nothing hostile in them ever becomes green."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gates.judge import judge
from gates.results.adapter import Seen, Watch
from gates.results.junit import read_junit
from gates.results.sarif import read_sarif
from gates.results.table import adapter, problem_with
from gates.results.tap import read_tap

SUITE = (
    '<testsuites tests="4" failures="1"><testsuite name="s" tests="4" failures="1" errors="1" skipped="1">'
    '<testcase classname="a.B" name="ok"/><testcase classname="a.B" name="bad">'
    '<failure message="x">y</failure></testcase>'
    '<testcase classname="a.B" name="broken"><error/></testcase><testcase name="off"><skipped/></testcase>'
    "</testsuite></testsuites>"
)


def is_green(seen: Seen) -> bool:
    return judge(seen, counts=True).result == "green"


def test_a_junit_file_is_read_per_test() -> None:
    assert read_junit(SUITE.encode()) == Seen(
        {"a.B::ok": "passed", "a.B::bad": "failed", "a.B::broken": "failed", "s::off": "skipped"},
        how={"a.B::bad": "assertion", "a.B::broken": "error"},
    )


BOMB = '<!DOCTYPE a [<!ENTITY a "1234567890"><!ENTITY b "&a;&a;&a;&a;">]>'
GOOD = '<testsuite name="s" tests="1"><testcase classname="a" name="{}"/></testsuite>'


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (BOMB + GOOD.format("&b;"), "document type"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd">' + GOOD.format("x"), "document type"),
        (GOOD.format("x").replace('tests="1"', 'tests="2"'), "says tests=2 and has 1"),
        (GOOD.format("x").replace('tests="1"', 'failures="1"'), "says failures=1"),
        (GOOD.format("x").replace('tests="1"', 'tests="-1"'), "no count"),
        (GOOD.format("x")[:-3], "broken XML"),
        ("", "broken XML"),
        (GOOD.format("a&#10;b"), "control characters"),
        (GOOD.format(""), "no name"),
        (GOOD.format("x" * 5000), "longer than"),
        ("<html/>", "root"),
        ("<testsuite>" * 200, "nested deeper"),
        ('<testsuite><testcase name="a"/><testcase name="a"/></testsuite>', "two tests are called a"),
        ("<testsuite><properties><testcase name='a'/></properties></testsuite>", "outside of a suite"),
        ('<?xml version="1.0" encoding="no-such"?>' + GOOD.format("x"), "JUnit file"),
    ],
)
def test_a_hostile_junit_file_is_refused_with_a_reason(text: str, says: str) -> None:
    seen = read_junit(text.encode())
    assert says in "; ".join(seen.problems)
    assert not is_green(seen)


def test_control_the_same_junit_file_without_malice_is_green() -> None:
    assert is_green(read_junit(GOOD.format("x").encode()))
    assert not is_green(read_junit(GOOD.format("x").encode("utf-16")[:-1]))
    assert not is_green(read_junit(GOOD.format("\udcff").encode("utf-8", "surrogateescape")))


def test_a_pass_after_a_runners_own_retry_is_a_failure() -> None:
    text = '<testsuite><testcase name="a"><flakyFailure/></testcase></testsuite>'
    assert read_junit(text.encode()).outcomes == {"a": "failed"} or read_junit(text.encode()).outcomes == {
        "::a": "failed"
    }


@given(st.binary(max_size=300))
def test_no_bytes_break_the_parsers(raw: bytes) -> None:
    for seen in (read_junit(raw), read_tap(raw), Seen(problems=read_sarif(raw))):
        assert seen.problems or seen.outcomes
        assert all(problem.isprintable() for problem in seen.problems)


@given(st.lists(st.tuples(st.text(max_size=8), st.sampled_from(["", "failure", "error", "skipped"])), max_size=6))
def test_a_junit_file_is_green_only_if_each_name_is_plain_and_none_failed(cases: list[tuple[str, str]]) -> None:
    rows = "".join(
        f"<testcase classname='c' name={quoteattr(name)}>{f'<{end}/>' if end else ''}</testcase>" for name, end in cases
    )
    seen = read_junit(f"<testsuite tests='{len(cases)}'>{rows}</testsuite>".encode("utf-8", "surrogatepass"))
    names = [name for name, _ in cases]
    plain = all(name.strip() and name.isprintable() for name in names) and len(set(names)) == len(names)
    if is_green(seen):
        assert plain
        assert {end for _, end in cases} <= {"", "skipped"}
        assert len(seen.outcomes) == len(cases)
    elif plain:
        assert {"failure", "error"} & {end for _, end in cases} or "" not in {end for _, end in cases}


TAP = """TAP version 14
1..4
ok 1 - first
not ok 2 - second
  ---
  not ok: 7
  ...
ok 3 - third # SKIP later
not ok 4 - fourth # TODO one day
"""


def test_a_tap_stream_is_read_per_test() -> None:
    assert read_tap(TAP.encode()) == Seen(
        {"first": "passed", "second": "failed", "third": "skipped", "fourth": "skipped"}, how={"second": "assertion"}
    )


def test_subtests_lie_below_their_parent() -> None:
    text = "# Subtest: a\n    ok 1 - x\n    ok 2\n    1..2\nok 1 - a\n1..1\n"
    assert read_tap(text.encode()) == Seen({"a": "passed", "a > x": "passed", "a > #2": "passed"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ok 1 - a\n", "no plan"),
        ("1..2\nok 1 - a\n", "plans 2 tests and has 1"),
        ("1..1\nok 1 - a\nok 2 - b\n", "plans 1 tests and has 2"),
        ("1..2\nok 1 - a\nok 1 - b\n", "has the number 1 and is test 2"),
        ("1..1\nok 1 - a\n1..1\n", "more than one plan"),
        ("ok 1 - a\n1..2\nok 2 - b\n", "in the middle"),
        ("1..1\nok 1 - a\nBail out! no disk\n", "gave up"),
        ("1..2\nok 1 - a\nok 2 - a\n", "two tests are called a"),
        ("1..1\nok 1 - a\x07b\n", "control characters"),
        ("    not ok 1 - x\n    1..1\nok 1 - a\n1..1\n", "although a subtest"),
        ("    ok 1 - x\n    1..2\nok 1 - a\n1..1\n", "plans 2 tests and has 1"),
        ("1..1\nok 1 - a\n    ok 1 - x\n", "inside of a subtest"),
        ("", "no plan"),
    ],
)
def test_a_broken_tap_stream_is_red_with_a_reason(text: str, says: str) -> None:
    seen = read_tap(text.encode())
    assert says in "; ".join(seen.problems)
    assert not is_green(seen)
    assert not is_green(read_tap(b"\xff" + text.encode()))


@given(st.lists(st.sampled_from(["ok", "not ok", "ok # SKIP", "noise", "    ok", "    not ok", "    1..1", "1..1"])))
def test_a_tap_stream_with_a_failure_is_never_green(lines: list[str]) -> None:
    seen = read_tap("\n".join([*lines, "not ok - bad"]).encode())
    assert not is_green(seen)


def sarif(*results: object, **run: object) -> bytes:
    driver = {"name": "lint", "rules": [{"id": "R1", "defaultConfiguration": {"level": "error"}}]}
    return json.dumps({"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results, **run}]}).encode()


def found(**fields: object) -> dict[str, object]:
    place = {"physicalLocation": {"artifactLocation": {"uri": "a/b.py"}, "region": {"startLine": 3}}}
    return {"ruleId": "R1", "message": {"text": "is wrong\x1b[2J"}, "locations": [place], **fields}


def test_errors_of_a_linter_are_red_with_their_place() -> None:
    assert read_sarif(sarif(found(level="error"))) == ("a/b.py:3: R1 is wrong␛[2J",)
    assert read_sarif(sarif(found())) == ("a/b.py:3: R1 is wrong␛[2J",)
    assert read_sarif(sarif(found(), found(ruleId="R2"))) == ("a/b.py:3: R1 is wrong␛[2J",)
    assert "30 more errors" in read_sarif(sarif(*[found()] * 50))[-1]


def test_what_is_no_error_is_not_red() -> None:
    assert read_sarif(sarif()) == ()
    assert read_sarif(sarif(found(level="warning"), found(kind="pass"), found(baselineState="absent"))) == ()
    assert read_sarif(sarif(found(suppressions=[{"kind": "inSource"}]))) == ()


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"{}", b"[]", b"\xff", b'{"version": "2.1.0", "runs": []}', b'{"version": "1.0.0", "runs": [{}]}',
        b'{"version": "2.1.0", "version": "2.1.0", "runs": [{}]}', b'{"version": "2.1.0", "runs": [{"tool": 7}]}',
        b"[" * 100_000, sarif(found(level="fatal")), sarif(found(suppressions=7)),
        sarif(results=None), sarif(invocations=[{"executionSuccessful": False}]), sarif(7),
        sarif(found(suppressions=[{"kind": "external", "status": "rejected"}])),
    ],
)  # fmt: skip
def test_a_sarif_log_that_says_nothing_sound_is_red(raw: bytes) -> None:
    assert read_sarif(raw)


class Run:
    """A command under watch in a folder, as the runner runs it."""

    def __init__(self, folder: Path) -> None:
        self.tree, exchange = folder / "tree", folder / "exchange"
        self.tree.mkdir()
        exchange.mkdir()
        self.watch = Watch(exchange, "ab" * 32, self.tree)
        (exchange / "nonce").write_text(self.watch.nonce, encoding="ascii")

    def __call__(self, results: str, code: str) -> Seen:
        reader = adapter(results)
        launch = reader.launch((sys.executable, "-c", code), self.watch)
        done = subprocess.run(launch.argv, cwd=self.tree, capture_output=True, stdin=subprocess.DEVNULL, check=False)
        return reader.read(done.returncode, self.watch)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


ONE = '<testsuite tests="1"><testcase classname="a" name="b">{}</testcase></testsuite>'
FAILED = ONE.format("<failure/>")


@pytest.mark.parametrize(
    ("results", "code", "says"),
    [
        ("junit:out/r.xml", f"import os; os.mkdir('out'); open('out/r.xml','w').write('''{ONE}''')", ""),
        ("junit:r.xml", f"open('r.xml','w').write('''{ONE}'''); raise SystemExit(3)", "although no test failed"),
        ("junit:r.xml", f"open('r.xml','w').write('''{FAILED}''')", "exit code is 0 although"),
        ("junit:r.xml", "pass", "left no r.xml"),
        ("junit:r.xml", f"import os; open('r.xml','w').write('''{ONE}'''); os.utime('r.xml', (1, 1))", "older"),
        ("junit:r.xml", f"import os; open('x','w').write('''{ONE}'''); os.symlink('x', 'r.xml')", "no plain file"),
        ("junit:r.xml", "import os; os.mkfifo('r.xml')", "no plain file"),
        ("junit:r.xml", "open('r.xml','wb').truncate(1 << 40)", "more than"),
        (
            "junit:d/r.xml",
            f"import os; os.mkdir('e'); open('e/r.xml','w').write('''{ONE}'''); os.symlink('e', 'd')",
            "behind a link",
        ),
        ("tap", "print('1..1'); print('ok 1 - a')", ""),
        ("tap", "print('1..1'); print('ok 1 - a'); raise SystemExit(1)", "although no test failed"),
        ("tap", "print('1..1'); print('not ok 1 - a')", "exit code is 0 although"),
        ("tap", "import os; print('1..1', flush=True); os._exit(0)", "plans 1 tests and has 0"),
        ("tap", "import os; print('1..1'); print('ok 1', flush=True); os.kill(os.getpid(), 9)", "exit code 137"),
        ("sarif", f"print({sarif(found(level='note')).decode()!r})", ""),
        ("sarif", f"print({sarif(found()).decode()!r})", "a/b.py:3"),
        ("sarif", f"print({sarif().decode()!r}); raise SystemExit(2)", "exit code 2"),
        ("sarif:s.json", f"open('s.json','w').write({sarif().decode()!r})", ""),
        ("sarif:s.json", f"open('s.json','w').write({sarif(found()).decode()!r})", "a/b.py:3"),
    ],
)
@pytest.mark.skipif(sys.platform == "win32", reason="links, FIFOs and signals of POSIX")
def test_results_agree_with_the_exit_code_or_are_red(run: Run, results: str, code: str, says: str) -> None:
    seen = run(results, code)
    if says:
        assert says in "; ".join(seen.problems)
    else:
        assert judge(seen, counts=adapter(results).counts).result == "green", seen


def test_a_file_that_was_there_before_is_no_result(run: Run) -> None:
    (run.tree / "r.xml").write_text(ONE, encoding="utf-8")
    assert "was there before the run" in run("junit:r.xml", f"open('r.xml','w').write('''{ONE}''')").problems[0]


def test_output_that_was_changed_after_the_run_is_noticed(run: Run) -> None:
    assert is_green(run("tap", "print('1..1'); print('ok 1 - a')"))
    (run.watch.exchange / "stdout").write_text("1..1\nok 1 - b\n", encoding="utf-8")
    assert adapter("tap").read(0, run.watch).problems == ("the output was changed after it was kept",)
    assert adapter("tap").progress(run.watch.exchange) == (1, 0)


def test_a_command_that_is_not_there_is_a_fault(run: Run) -> None:
    reader = adapter("tap")
    launch = reader.launch((str(run.tree / "no-such"),), run.watch)
    done = subprocess.run(launch.argv, cwd=run.tree, capture_output=True, check=False, env=dict(os.environ))
    assert "cannot be started" in reader.read(done.returncode, run.watch).fault


def test_paths_outside_the_tree_are_refused() -> None:
    assert problem_with("junit:out/results.xml", ["x"]) == ""
    for path in ("/etc/passwd", "../x.xml", "a\\b", "C:x", "a\nb"):
        assert "no path inside the tree" in problem_with(f"junit:{path}", ["x"])
    assert "not known" in problem_with("xunit:x", ["x"])
    assert adapter("junit:a.xml").only(("x",), ("t",)) is None
