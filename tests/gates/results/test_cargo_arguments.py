"""What the arguments of `cargo test` are taken to mean, and what its output is taken to say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gates.results.cargo_arguments import parse
from gates.results.table import adapter
from tests.gates.results.launcher_source import source

launcher = source("launch_cargo")
workspace = source("cargo_workspace")


def test_building_and_choosing_are_told_apart() -> None:
    argv = "cargo test -p a --package=b --workspace --exclude c -Fx --locked name -- --skip s --exact more --ignored"
    plan = parse((*argv.split(), "--test-threads=1", "--nocapture"))
    assert plan.build == "-p a --package b --workspace --exclude c -F x --locked".split()  # noqa: SIM905
    assert (plan.packages, plan.excluded, plan.workspace) == (["a", "b"], ["c"], True)
    assert (plan.filters, plan.choose, plan.ignored, plan.jobs) == (
        ["name", "more"],
        ["--skip", "s", "--exact"],
        "only",
        1,
    )
    assert (plan.shared, plan.targets, plan.doc) == (["--locked"], False, False)


@pytest.mark.parametrize(
    "argv",
    [
        "cargo build",
        "make test",
        "cargo",
        "cargo +nightly test",
        "cargo test --no-run",
        "cargo test --message-format=json",
        "cargo test -Zunstable",
        "cargo test -- --logfile x",
        "cargo test -- --format json",
        "cargo test -- --skip",
        "cargo test -- --test-threads=0",
        "cargo test -p",
    ],
)
def test_what_is_not_understood_is_refused(argv: str) -> None:
    assert adapter("cargo-test").problem(tuple(argv.split()))
    assert adapter("cargo-test").problem(("cargo", "test")) == ""


@pytest.mark.parametrize(
    ("argv", "tests", "expected"),
    [
        ("cargo test", ("a::lib::m::t",), "cargo test -p a -- m::t"),
        ("cargo test", ("a::lib::m::t", "b::test/api::u"), "cargo test -p a -p b -- m::t u"),
        ("cargo test --workspace", ("a::lib::t",), "cargo test --workspace -- t"),
        ("cargo test -- --test-threads=1", ("a::lib::t",), "cargo test -p a -- t --test-threads=1"),
        ("cargo test name", ("a::lib::t",), None),
        ("cargo test -- --skip x", ("a::lib::t",), None),
        ("cargo test", ("a/src/lib.rs",), None),
        ("cargo test", ("a",), None),
        ("cargo test", (), None),
    ],
)
def test_only_some_tests(argv: str, tests: tuple[str, ...], expected: str | None) -> None:
    found = adapter("cargo-test").only(tuple(argv.split()), tests)
    assert found == (None if expected is None else tuple(expected.split()))


def test_documentation_tests_of_the_second_of_an_item_are_numbered() -> None:
    class Found:
        def package_of(self, place: str) -> str:
            return place.partition("/")[0]

    names = ["a/src/lib.rs - x (line 10)", "a/src/lib.rs - x (line 9)", "a\\src\\m.rs - (line 1)"]
    assert launcher._documentation_ids(names, Found()) == {
        "a/src/lib.rs - x (line 9)": "a::doc::a/src/lib.rs - x",
        "a/src/lib.rs - x (line 10)": "a::doc::a/src/lib.rs - x #2",
        "a\\src\\m.rs - (line 1)": "a::doc::a/src/m.rs -",
    }


@given(
    st.lists(
        st.one_of(st.text(max_size=30), st.sampled_from(["test a ... ok", "test result: ok. 9 passed; 0 failed; "]))
    )
)
def test_of_documentation_tests_a_failed_line_is_never_undone(noise: list[str]) -> None:
    said, _, _ = launcher.read_documentation("\n".join([*noise, "", "test a ... FAILED", *noise]))
    assert said["a"] == "failed"


@pytest.mark.parametrize(
    ("spec", "name"),
    [("a", "a"), ("a@1.2.3", "a"), ("a:1.2", "a"), ("path+file:///x/b#a@1.0", "a"), ("file:///x/b", "b"), ("a*", "a*")],
)
def test_the_name_in_a_package_specification(spec: str, name: str) -> None:
    assert workspace._name_of(spec) == name
