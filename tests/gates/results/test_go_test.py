"""Results of `go test`: the real stream where there is a go, and recorded events everywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gates.results.adapter import Seen
from gates.results.table import adapter
from tests.gates.results.launcher_source import source
from tests.gates.results.watched import Watched, found

GO = found("go")
real = pytest.mark.skipif(GO is None, reason="needs go, which is not installed")
launcher = source("launch_go")

FILES = {
    "go.mod": "module example.com/shapes\n\ngo 1.19\n",
    "geometry/area.go": "package geometry\n\nfunc Area(w, h int) int { return w * h }\n",
    "geometry/area_test.go": """package geometry

import "testing"

func TestArea(t *testing.T) {
	for _, one := range []struct {
		name       string
		w, h, area int
	}{{"small", 1, 2, 2}, {"two words", 2, 3, 6}} {
		t.Run(one.name, func(t *testing.T) {
			if Area(one.w, one.h) != one.area {
				t.Fatal(one)
			}
		})
	}
}

func TestLater(t *testing.T) { t.Skip("later") }
""",
    "app/main.go": """package main

import "example.com/shapes/geometry"

func main() { println(geometry.Area(1, 2)) }
""",
}
AREA = "example.com/shapes/geometry::Test"


def written(body: str, imports: str) -> str:
    return f'package main\n\nimport (\n\t"testing"\n\t{imports}\n)\n\n{body}\n'


def run(watched: Watched, *arguments: str) -> Seen:
    assert GO is not None
    cache = str(watched.folder.parent / "go-cache")
    return watched.run("go-test", GO.path, "test", *(arguments or ("./...",)), GOCACHE=cache, GOFLAGS="-mod=mod")


@real
@pytest.mark.slow
def test_every_test_and_subtest_is_seen_by_name(tmp_path: Path) -> None:
    watched = Watched(tmp_path).write(FILES)
    before = watched.files()
    seen = run(watched)
    assert seen.outcomes == {
        AREA + "Area": "passed",
        AREA + "Area/small": "passed",
        AREA + "Area/two_words": "passed",
        AREA + "Later": "skipped",
    }
    assert (seen.problems, seen.tripwire, watched.exit_code) == ((), "tripped", 0), watched.output
    assert watched.files() == before
    argv = adapter("go-test").only(("go", "test", "-short", "./..."), (AREA + "Area/small",))
    assert argv == ("go", "test", "-short=true", "-run=^(TestArea)$", "example.com/shapes/geometry")
    assert argv is not None
    assert AREA + "Later" not in run(watched, *argv[2:]).outcomes
    assert run(watched, "-run=NoSuchTest", "./...").outcomes == {}


ATTACKS = {
    "a failing test": ("func TestBad(t *testing.T) { t.Error(1) }", "", "failed"),
    "a faked pass": (
        'func TestBad(t *testing.T) { fmt.Println("\\n--- PASS: TestBad (0.00s)\\nPASS"); t.Fail() }',
        '"fmt"',
        "failed",
    ),
    "a faked pass with a marker": (
        'func TestBad(t *testing.T) { fmt.Print("\\n\\x16--- PASS: TestBad (0.00s)\\n"); t.Fail() }',
        '"fmt"',
        "failed",
    ),
    "a test main that runs nothing": ("func TestMain(m *testing.M) { os.Exit(0) }", '"os"', "silent"),
    "a test main that hides failures": (
        "func TestMain(m *testing.M) { m.Run(); os.Exit(0) }\nfunc TestBad(t *testing.T) { t.Fail() }",
        '"os"',
        "failed",
    ),
    "an end in the middle": ("func TestBad(t *testing.T) { syscall.Exit(0) }", '"syscall"', "failed"),
    "an end before": ("func init() { os.Exit(0) }\nfunc TestBad(t *testing.T) {}", '"os"', "silent"),
    "a panic": ("func TestBad(t *testing.T) { panic(1) }", "", "failed"),
    "no compilation": ("func TestBad(t *testing.T) { missing() }", "", "could not be built"),
}


@real
@pytest.mark.slow
def test_the_same_files_with_an_honest_test_are_green(tmp_path: Path) -> None:
    honest = written("func TestMain(m *testing.M) { os.Exit(m.Run()) }\nfunc TestGood(t *testing.T) {}", '"os"')
    seen = run(Watched(tmp_path).write({**FILES, "app/main_test.go": honest}))
    assert (seen.problems, seen.outcomes["example.com/shapes/app::TestGood"]) == ((), "passed")


@real
@pytest.mark.slow
@pytest.mark.parametrize("attack", ATTACKS)
def test_what_is_wrong_is_red(tmp_path: Path, attack: str) -> None:
    body, imports, how = ATTACKS[attack]
    watched = Watched(tmp_path).write({**FILES, "app/main_test.go": written(body, imports)})
    seen = run(watched)
    assert watched.exit_code == 1
    if how == "failed":
        assert seen.outcomes["example.com/shapes/app::TestBad"] == "failed", watched.output
    elif how == "silent":
        assert (seen.tripwire, seen.outcomes.get("example.com/shapes/app::TestBad")) == ("silent", None)
    else:
        assert any(f"example.com/shapes/app {how}" in problem for problem in seen.problems), seen.problems
        assert seen.how == {"example.com/shapes/app": "error"}


class Folded:
    """A stream's events, folded as the launcher does."""

    def __init__(self, lines: list[bytes], status: int) -> None:
        self.tests: dict[str, str] = {}
        self.problems: list[str] = []
        stream = launcher.Stream(self.tests.__setitem__, lambda text, _: self.problems.append(text), lambda _: None)
        for line in lines:
            stream.take(line)
        stream.end(status)

    @property
    def green(self) -> bool:
        return not self.problems and "failed" not in self.tests.values()


def event(action: str, test: str = "", package: str = "p", **more: str) -> bytes:
    return json.dumps({"Action": action, "Package": package, **({"Test": test} if test else {}), **more}).encode()


PASS = event("output", "TestA", Output="    --- PASS: TestA (0.00s)\n")
GREEN = [event("run", "TestA"), PASS, event("pass", "TestA"), event("output", Output="ok  \tp\t0.1s\n"), event("pass")]


def test_an_honest_stream_is_green() -> None:
    folded = Folded(GREEN, 0)
    assert (folded.tests, folded.problems) == ({"p::TestA": "passed"}, [])


@pytest.mark.parametrize(
    ("lines", "status", "problem"),
    [
        ([*GREEN, event("fail", package="q")], 1, "q failed although none"),
        ([event("output", Output="FAIL\tp [build failed]\n"), event("fail")], 1, "p could not be built"),
        ([*GREEN, b"FAIL\tq [setup failed]"], 1, "q could not be built"),
        ([GREEN[0], event("pass", "TestA"), event("pass")], 0, "is 0 although"),
        (GREEN, 1, "ended with exit code 1"),
        (GREEN[:3], 0, "no result of its own"),
        ([GREEN[0], GREEN[4]], 0, "never ended"),
        ([*GREEN[:3], event("fail", "TestA"), event("fail")], 1, "two results"),
        ([event("run", "TestA"), event("fail", "TestA"), event("fail")], 0, "is 0 although"),
        ([*GREEN[:3], event("output", Output="ok  \tp\t(cached)\n"), event("pass")], 0, "taken from a cache"),
    ],
)  # fmt: skip
def test_every_contradiction_is_a_problem(lines: list[bytes], status: int, problem: str) -> None:
    folded = Folded(lines, status)
    assert any(problem in each for each in folded.problems), folded.problems


_junk = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda action, test, text: json.dumps(
            {"Action": action, "Package": "p", "Test": test, "Output": text}
        ).encode(),
        st.sampled_from(["output", "pass", "run", "skip", "bench", "cont"]),
        st.sampled_from(["TestBad", "TestA", "TestBad/sub", "\x1b[2J"]),
        st.one_of(st.text(max_size=20), st.just("--- PASS: TestBad (0.00s)\n")),
    ),
    st.sampled_from([b"null", b"[]", b"1", b'{"Action":"fail"}', b'{"Action":{}}', b"[" * 5000]),
)


@given(before=st.lists(_junk, max_size=8), after=st.lists(_junk, max_size=8))
def test_no_output_turns_a_failure_green(before: list[bytes], after: list[bytes]) -> None:
    failing = [event("run", "TestBad"), *before, event("fail", "TestBad"), *after, event("fail")]
    folded = Folded(failing, 1)
    assert not folded.green
    assert folded.tests["p::TestBad"] == "failed"


@pytest.mark.parametrize(
    ("argv", "problem"),
    [
        (("go", "test", "./..."), ""),
        (("/usr/bin/go1.22", "test", "-race", "-run", "X", "-count=1", "-json", "./..."), ""),
        (("go", "test", "./...", "-args", "-anything"), ""),
        (("go", "vet", "./..."), "not written as"),
        (("go", "test", "-count=3", "./..."), "chosen for it"),
        (("go", "test", "-exec=true", "./..."), "not understood"),
        (("go", "test", "-toolexec", "x"), "not understood"),
        (("go", "test", "-c"), "not understood"),
    ],
)
def test_what_cannot_be_watched_is_refused(argv: tuple[str, ...], problem: str) -> None:
    said = adapter("go-test").problem(argv)
    assert problem in said
    assert bool(said) is bool(problem)


def test_a_plan_has_no_options_that_are_ours(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    argv = ("go", "test", "-json", "-count=1", "-v", "./...", "-args", "x")
    plan: Any = json.loads(adapter("go-test").launch(argv, watched.watch).argv[-1])
    assert (plan["flags"], plan["packages"], plan["arguments"]) == ([["v", "true"]], ["./..."], ["x"])
