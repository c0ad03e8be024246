"""Results of cargo-nextest: its recorded JUnit and list everywhere, the real one where it is installed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gates.results.table import adapter
from tests.gates.results.launcher_source import source
from tests.gates.results.watched import Watched, crate, found, rust

CARGO = found("cargo")
real = pytest.mark.skipif(
    CARGO is None or shutil.which("cargo-nextest") is None,
    reason="needs cargo and cargo-nextest, which is not installed",
)
launcher = source("launch_nextest")

JUNIT = """<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="4" failures="2" errors="0" uuid="9076f96d-e06e-4b5e-860b-01a20d90b4bc" \
timestamp="2026-11-23T01:30:41.000+00:00" time="0.051">
    <testsuite name="one" tests="3" disabled="0" errors="0" failures="2">
        <testcase name="tests::good" classname="one" timestamp="2026-11-23T01:30:41.000+00:00" time="0.009"/>
        <testcase name="tests::bad" classname="one" timestamp="2026-11-23T01:30:41.000+00:00" time="0.013">
            <failure message="tests::bad panicked" type="test failure with exit code 101">...</failure>
            <system-out>test tests::bad ... ok</system-out>
        </testcase>
        <testcase name="tests::aborts" classname="one" timestamp="2026-11-23T01:30:41.000+00:00" time="0.013">
            <failure type="test abort due to signal 6">...</failure>
        </testcase>
    </testsuite>
    <testsuite name="one::api" tests="1" disabled="0" errors="0" failures="0">
        <testcase name="works" classname="one::api" timestamp="2026-11-23T01:30:41.000+00:00" time="0.009"/>
    </testsuite>
</testsuites>
"""


RETRIES = """[profile.default]
retries = 3
[[profile.default.overrides]]
filter = "all()"
retries = 3
"""


def cargo() -> Path:
    assert CARGO is not None
    return CARGO.path


def test_recorded_results_are_read() -> None:
    assert launcher.read_junit(JUNIT.encode()) == (
        {
            "one::lib::tests::good": ("passed", ""),
            "one::lib::tests::bad": ("failed", "assertion"),
            "one::lib::tests::aborts": ("failed", "error"),
            "one::test/api::works": ("passed", ""),
        },
        [],
    )
    assert launcher.test_id("app::bin/app", "tests::x") == "app::bin/app::tests::x"


@pytest.mark.parametrize(
    "broken", ["", "<testsuites>", "<html/>", '<!DOCTYPE x [<!ENTITY a "b">]><testsuites/>', JUNIT[:-20], "\x00"]
)
def test_a_broken_report_is_refused(broken: str) -> None:
    with pytest.raises(ValueError):
        launcher.read_junit(broken.encode())


@given(st.binary(max_size=200), st.integers(0, len(JUNIT)))
def test_damage_never_makes_a_failure_pass(noise: bytes, at: int) -> None:
    raw = JUNIT.encode()
    try:
        found, problems = launcher.read_junit(raw[:at] + noise + raw[at:])
    except ValueError:
        return
    # A test without a result is one of the listed tests that have none, which is red.
    assert problems or found.get("one::lib::tests::bad", ("failed",))[0] == "failed"


@pytest.mark.parametrize("tag", ["flakyFailure", "rerunFailure", "flakyError", "rerunError"])
def test_a_test_that_was_tried_again_is_a_problem(tag: str) -> None:
    again = JUNIT.replace('time="0.009"/>', f'time="0.009"><{tag} type="x"/></testcase>', 1)
    found, problems = launcher.read_junit(again.encode())
    assert found["one::lib::tests::good"][0] == "failed"
    assert problems == ["one::lib::tests::good was tried more than once"]


def test_a_recorded_list_is_read() -> None:
    def case(status: str, ignored: bool, **more: str) -> dict[str, Any]:
        return {"ignored": ignored, "filter-match": {"status": status, **more}}

    cases = {
        "a": case("matches", False),
        "b": case("mismatch", True, reason="ignored"),
        "c": case("mismatch", False, reason="string"),
        "d": case("matches", True),
    }
    raw = json.dumps({"test-count": 4, "rust-suites": {"one::bin/tool": {"testcases": cases}}})
    assert launcher.read_list(raw) == (["one::bin/tool::a", "one::bin/tool::d"], ["one::bin/tool::b"])
    for broken in ("[]", "{}", "x", '{"rust-suites": {"a": {}}}', '{"rust-suites": []}'):
        with pytest.raises(ValueError):
            launcher.read_list(broken)


@pytest.mark.parametrize(
    "word", ["--retries=3", "--no-run", "--message-format", "--no-tests=pass", "--", "--tool-config-file=x"]
)
def test_what_would_choose_the_results_is_refused(word: str) -> None:
    assert "leave it out" in adapter("nextest").problem(("cargo", "nextest", "run", word))
    assert adapter("nextest").problem(("cargo", "nextest", "run", "--workspace", "-j", "1")) == ""
    assert "not written as" in adapter("nextest").problem(("cargo", "test"))


@pytest.mark.skipif(CARGO is None, reason="needs cargo, which is not installed")
def test_where_it_is_missing_the_fault_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    seen = Watched(tmp_path).run("nextest", cargo(), "nextest", "run")
    assert "install it" in seen.fault


@real
@pytest.mark.slow
def test_every_test_of_a_workspace_is_seen_by_the_ids_of_cargo_test(tmp_path: Path) -> None:
    watched = rust(tmp_path)
    before = watched.files()
    seen = watched.run("nextest", cargo(), "nextest", "run")
    assert (seen.problems, seen.tripwire, watched.exit_code) == ((), "tripped", 0), watched.output
    assert watched.files() == before
    other = watched.run("cargo-test", cargo(), "test")
    assert seen.outcomes == {name: outcome for name, outcome in other.outcomes.items() if "::doc::" not in name}
    wanted = ("geometry::test/insets::an_inset_keeps_the_rest",)
    argv = adapter("nextest").only((str(cargo()), "nextest", "run"), wanted)
    assert argv is not None
    ran = watched.run("nextest", *argv).outcomes
    assert tuple(name for name, outcome in ran.items() if outcome != "skipped") == wanted
    assert watched.run("nextest", cargo(), "nextest", "run", "no_such_test").problems == ("no tests were run",)


@real
@pytest.mark.slow
def test_the_tree_cannot_ask_for_retries_and_failures_are_red(tmp_path: Path) -> None:
    flaky = (
        "#[cfg(test)]\nmod tests {\n    #[test]\n    fn good() {}\n    #[test]\n    fn flaky() {\n"
        '        let seen = std::path::Path::new("seen");\n        let again = seen.exists();\n'
        '        std::fs::write(seen, "").unwrap();\n        assert!(again);\n    }\n'
        '    #[test]\n    fn fakes() { println!("test tests::fakes ... ok"); std::process::exit(3); }\n}\n'
    )
    watched = crate(tmp_path, flaky)
    watched.write({".config/nextest.toml": RETRIES})
    seen = watched.run("nextest", cargo(), "nextest", "run")
    assert seen.outcomes == {
        "one::lib::tests::good": "passed",
        "one::lib::tests::flaky": "failed",
        "one::lib::tests::fakes": "failed",
    }
    assert seen.how == {"one::lib::tests::flaky": "assertion", "one::lib::tests::fakes": "error"}
    assert (seen.problems, watched.exit_code) == ((), 1)


@real
@pytest.mark.slow
def test_a_compile_error_is_a_problem(tmp_path: Path) -> None:
    seen = crate(tmp_path, "pub fn x() { missing() }").run("nextest", cargo(), "nextest", "run")
    assert "could not be compiled" in seen.problems[0]
