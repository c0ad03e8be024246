"""Results of `cargo test`, with the real cargo: what is counted, and what cannot be faked."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gates.results.adapter import Seen
from gates.results.table import adapter
from tests.gates.results.watched import Watched, crate, found, rust

CARGO = found("cargo")
pytestmark = [
    pytest.mark.skipif(CARGO is None, reason="needs cargo, which is not installed"),
    pytest.mark.slow,
]
GOOD = "#[cfg(test)]\nmod tests {\n    #[test]\n    fn good() {}\n%s}\n"


def cargo() -> Path:
    assert CARGO is not None
    return CARGO.path


def run(watched: Watched, *arguments: str, **env: str) -> Seen:
    return watched.run("cargo-test", cargo(), "test", *arguments, **env)


def test_every_test_of_a_workspace_is_seen_by_name(tmp_path: Path) -> None:
    watched = rust(tmp_path)
    before = watched.files()
    seen = run(watched)
    assert seen.outcomes == {
        "app::bin/app::tests::the_line_lists_the_columns": "passed",
        "app::bin/app::tests::what_the_build_script_said_is_known_when_tests_run": "passed",
        "geometry::doc::geometry/src/lib.rs - Rect::area": "passed",
        "geometry::lib::tests::a_border_beyond_all_bounds_panics": "passed",
        "geometry::lib::tests::a_large_border_leaves_nothing": "passed",
        "geometry::lib::tests::area_is_width_times_height": "passed",
        "geometry::lib::tests::every_inset_is_smaller": "skipped",
        "geometry::test/insets::an_inset_keeps_the_rest": "passed",
        "geometry::test/insets::runs_in_the_folder_of_its_package": "passed",
        "layout::lib::tests::columns_share_the_width": "passed",
    }
    assert (seen.problems, seen.tripwire, watched.exit_code) == ((), "tripped", 0), watched.output
    assert watched.files() == before
    assert not list((watched.tree / "target").rglob("*swarm_*"))
    assert adapter("cargo-test").progress(watched.watch.exchange) == (10, 0)
    assert adapter("cargo-test").file_of("geometry::doc::geometry/src/lib.rs - Rect::area") == "geometry/src/lib.rs"

    # The arguments mean what they mean to cargo.
    assert set(run(watched, "-p", "layout").outcomes) == {"layout::lib::tests::columns_share_the_width"}
    assert set(run(watched, "--lib", "large_border").outcomes) == {
        "geometry::lib::tests::a_large_border_leaves_nothing"
    }
    assert "geometry::lib::tests::every_inset_is_smaller" not in run(watched, "--", "--skip", "every").outcomes
    slow = run(watched, "-p", "geometry", "--", "--ignored", "every")
    assert slow.outcomes == {"geometry::lib::tests::every_inset_is_smaller": "passed"}
    doc = run(watched, "--doc", "--workspace", "--exclude", "app")
    assert (set(doc.outcomes), doc.tripwire) == ({"geometry::doc::geometry/src/lib.rs - Rect::area"}, "")

    # Restricted to named tests, and to none.
    wanted = ("geometry::test/insets::an_inset_keeps_the_rest",)
    argv = adapter("cargo-test").only((str(cargo()), "test"), wanted)
    assert argv is not None
    assert tuple(watched.run("cargo-test", *argv).outcomes) == wanted
    nothing = run(watched, "no_such_test")
    assert (nothing.outcomes, nothing.problems) == ({}, ())  # which is red: zero tests were executed


def test_what_fails_and_how(tmp_path: Path) -> None:
    library = GOOD % (
        "    #[test]\n    fn bad() { assert_eq!(1, 2); }\n"
        "    #[test]\n    fn aborts() { std::process::abort(); }\n"
        "    #[test]\n    fn leaves() { std::process::exit(0); }\n"
        "    #[test]\n    #[should_panic]\n    fn does_not_panic() {}\n"
        '    #[test]\n    fn says_an_error() -> Result<(), String> { Err("no".into()) }\n'
    )
    seen = run(crate(tmp_path, library + "/// ```\n/// assert!(false);\n/// ```\npub fn doc() {}\n"))
    assert seen.outcomes == {
        "one::lib::tests::good": "passed",
        "one::lib::tests::bad": "failed",
        "one::lib::tests::aborts": "failed",
        "one::lib::tests::leaves": "failed",
        "one::lib::tests::does_not_panic": "failed",
        "one::lib::tests::says_an_error": "failed",
        "one::doc::src/lib.rs - doc": "failed",
    }
    assert seen.how["one::lib::tests::bad"] == "assertion"
    assert (seen.how["one::lib::tests::aborts"], seen.how["one::lib::tests::leaves"]) == ("error", "error")
    assert seen.tripwire == "tripped"


def test_documentation_tests_keep_their_names_when_lines_move(tmp_path: Path) -> None:
    docs = "/// ```\n/// assert!(true);\n/// ```\n///\n/// ```\n/// assert!({});\n/// ```\npub fn shown() {{}}\n"
    watched = crate(tmp_path, GOOD % "" + docs.format("true"))
    names = {"one::doc::src/lib.rs - shown", "one::doc::src/lib.rs - shown #2"}
    assert names < set(run(watched).outcomes)
    seen = run(watched.write({"src/lib.rs": "\n\n\n\n\n\n\n" + GOOD % "" + docs.format("false")}))
    assert {name: seen.outcomes[name] for name in names} == {
        "one::doc::src/lib.rs - shown": "passed",
        "one::doc::src/lib.rs - shown #2": "failed",
    }


def test_a_compile_error_is_a_problem_that_names_the_target(tmp_path: Path) -> None:
    watched = crate(tmp_path, GOOD % "", tests__api="#[test]\nfn api() { one::missing(); }\n")
    seen = run(watched)
    assert (seen.outcomes, seen.how) == ({}, {"one::test/api": "error"})
    assert seen.problems == ("one::test/api could not be compiled",)
    assert "cannot find function `missing`" in watched.output
    assert "src" in watched.files()
    assert not [name for name in watched.files() if "swarm_" in name]


_FAKE = r"\ntest tests::bad ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n"
_RAW = 'use std::io::Write; let mut out = std::fs::File::create("/dev/stdout").unwrap(); '
SHAPES = {
    "printed": f'print!("{_FAKE}"); panic!();',
    "past the capture": f'{_RAW} out.write_all(b"{_FAKE}").unwrap(); std::process::exit(101);',
    "with bytes": f'{_RAW} out.write_all(b"\\xff\\xfe\\x00\\x1b[2J{_FAKE}").unwrap(); panic!();',
    "a flood": f"{_RAW} for _ in 0..3000 {{ out.write_all(&[b'x'; 10_000]).unwrap(); }} panic!(\"{_FAKE}\");",
    "and then nothing": "std::process::exit(0);",
}


@pytest.mark.skipif(sys.platform == "win32", reason="writes to /dev/stdout")
def test_what_a_failing_test_prints_never_makes_it_pass(tmp_path: Path) -> None:
    modules = [
        f"#[cfg(test)]\nmod m{at} {{\n    #[test]\n    fn bad() {{ {body} }}\n}}\n".replace("tests::bad", f"m{at}::bad")
        for at, body in enumerate(SHAPES.values())
    ]
    seen = run(crate(tmp_path, GOOD % "" + "".join(modules)))
    bad = {f"one::lib::m{at}::bad": "failed" for at in range(len(SHAPES))}
    assert seen.outcomes == {"one::lib::tests::good": "passed", **bad}


def test_a_passing_test_may_print_what_it_likes(tmp_path: Path) -> None:
    body = 'println!("test tests::other ... FAILED"); std::process::Command::new("echo").arg("hi").status().unwrap();'
    if sys.platform == "win32":
        pytest.skip("needs the program echo")
    seen = run(crate(tmp_path, GOOD % f"    #[test]\n    fn loud() {{ {body} }}\n"))
    assert set(seen.outcomes.values()) == {"passed"}
    assert seen.problems == ()


def test_a_target_with_its_own_harness_is_one_test_judged_by_its_exit_code(tmp_path: Path) -> None:
    manifest = '[[test]]\nname = "own"\nharness = false\n[[test]]\nname = "bad"\nharness = false\n'
    lies = 'fn main() {{ println!("x: test"); println!("test x ... ok"); std::process::exit({}); }}\n'
    watched = crate(tmp_path, GOOD % "", manifest=manifest, tests__own=lies.format(0), tests__bad=lies.format(3))
    assert run(watched).outcomes == {
        "one::lib::tests::good": "passed",
        "one::test/own::main": "passed",
        "one::test/bad::main": "failed",
    }


ATTACK = """
    #[test]
    fn attacks() {
        let me = std::env::current_exe().unwrap();
        for file in std::fs::read_dir(me.parent().unwrap()).unwrap() {
            let file = file.unwrap().path();
            let name = file.file_name().unwrap().to_str().unwrap();
            if name.starts_with("other-") && file.extension().is_none() {
                std::fs::remove_file(&file).unwrap();
                std::fs::copy(&me, &file).unwrap();
            }
        }
    }
"""


@pytest.mark.skipif(sys.platform == "win32", reason="a running program cannot be replaced there")
def test_a_test_that_replaces_another_test_program_is_red(tmp_path: Path) -> None:
    watched = crate(tmp_path, GOOD % "", tests__other="#[test]\nfn passes() {}\n")
    assert run(watched).problems == ()
    assert "was changed while the tests ran" in run(watched.write({"src/lib.rs": GOOD % ATTACK})).problems[0]


WRAPPER = """#!{python}
import os, pathlib, re, sys
rustc, arguments = sys.argv[1], sys.argv[2:]
for at, one in enumerate(arguments):
    if "--test" in arguments and one.endswith(".rs") and pathlib.Path(one).is_file():
        names = re.findall(r"#\\[test\\]\\s*fn (\\w+)", pathlib.Path(one).read_text())
        arguments[at] = "{folder}/empty.rs"
        pathlib.Path(arguments[at]).write_text("".join("#[test]\\nfn %s() {{}}\\n" % name for name in names))
os.execvp(rustc, [rustc, *arguments])
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the wrapper is a script")
def test_a_build_that_makes_every_test_pass_is_seen_by_the_tripwire(tmp_path: Path) -> None:
    watched = crate(tmp_path, "", tests__api="#[test]\nfn bad() { assert_eq!(1, 2); }\n")
    seen = run(watched)
    assert (seen.outcomes, seen.tripwire) == ({"one::test/api::bad": "failed"}, "tripped")
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(WRAPPER.format(python=sys.executable, folder=tmp_path), encoding="utf-8")
    wrapper.chmod(0o755)
    watched.write({"tests/api.rs": "\n#[test]\nfn bad() { assert_eq!(1, 2); }\n"})
    seen = run(watched.write({".cargo/config.toml": f'[build]\nrustc-wrapper = "{wrapper}"\njobs = 1\n'}))
    assert (seen.outcomes, seen.tripwire) == ({"one::test/api::bad": "passed"}, "silent"), watched.output
    assert "freshly made test that must fail" in seen.problems[0]


def test_without_a_place_for_it_there_is_no_tripwire(tmp_path: Path) -> None:
    watched = crate(tmp_path, GOOD % "")
    text = (watched.tree / "Cargo.toml").read_text(encoding="utf-8")
    watched.write({"Cargo.toml": text + "autotests = false\n"})
    assert (run(watched).tripwire, watched.exit_code) == ("", 0)


def test_children_are_told_neither_the_nonce_nor_where_results_go(tmp_path: Path) -> None:
    exchange = (tmp_path / "exchange-1").as_posix()
    body = (
        f'let exchange = std::path::Path::new("{exchange}");'
        ' assert!(exchange.join("results.jsonl").exists() && !exchange.join("nonce").exists());'
        " assert!(std::env::vars().all(|(_, value)| !value.contains(exchange.to_str().unwrap())));"
        ' assert!(std::env::var("RUSTC_BOOTSTRAP").is_err());'
    )
    seen = run(crate(tmp_path, GOOD % f"    #[test]\n    fn looks() {{ {body} }}\n"), RUSTC_BOOTSTRAP="1")
    assert seen.outcomes["one::lib::tests::looks"] == "passed", seen


def test_a_planted_results_file_is_red(tmp_path: Path) -> None:
    exchange = tmp_path / "exchange-1"
    body = (
        f'let file = std::path::Path::new("{exchange.as_posix()}").join("results.jsonl");'
        ' std::fs::remove_file(&file).unwrap(); std::fs::write(&file, "{}\\n").unwrap();'
    )
    seen = run(crate(tmp_path, GOOD % f"    #[test]\n    fn plants() {{ {body} }}\n"))
    assert seen.outcomes == {}
    assert "not written by the launcher" in seen.problems[0]


def test_a_background_process_is_not_waited_for(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("needs the program sleep")
    body = 'std::process::Command::new("sleep").arg("3600").spawn().unwrap();'
    assert run(crate(tmp_path, GOOD % f"    #[test]\n    fn spawns() {{ {body} }}\n")).problems == ()
