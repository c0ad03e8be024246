"""Reuse: what a result depends on, what `inputs` leave out, and why a gate runs."""

from collections.abc import Mapping
from typing import Any

import pytest

from engine.errors import UserError
from engine.git.hub import Entry
from engine.models.report import VerificationReport
from engine.models.settings import Gate
from gates.explain import Explained
from gates.inputs import input_digest
from gates.reuse import REUSED_FROM, make_key
from tests.gates.bench import GOOD, Bench, gate, only

PARTS: dict[str, Any] = {
    "argv": ("a", "b"),
    "env": {"A": "1"},
    "machine": "linux-x86_64",
    "tools": ["python sha256:1"],
    "sandbox": "none",
    "adapter": "none/1",
    "needs": {"build": "sha256:1"},
    "tree": "1" * 40,
}
OTHER: dict[str, Any] = {
    "argv": ("a", "c"),
    "env": {"A": "2"},
    "machine": "linux-arm64",
    "tools": ["python sha256:2"],
    "sandbox": "bubblewrap",
    "adapter": "none/2",
    "needs": {"build": "sha256:2"},
    "tree": "2" * 40,
}


@pytest.mark.parametrize("name", list(PARTS))
def test_each_part_changes_the_key(name: str) -> None:
    one = gate()
    assert make_key(one, **PARTS).digest == make_key(one, **PARTS).digest
    assert make_key(one, **{**PARTS, name: OTHER[name]}).digest != make_key(one, **PARTS).digest


def test_definition_and_timeout_change_the_key_and_secrets_are_not_shown() -> None:
    keys = {make_key(gate(timeout=seconds), **PARTS).digest for seconds in ("1s", "2s")}
    assert len(keys) == 2
    shown = make_key(gate(), **{**PARTS, "env": {"TOKEN": "hunter2"}}).shown()
    assert "hunter2" not in str(shown)
    assert shown["timeout"] == "600 s"


def entries(files: Mapping[str, str]) -> list[Entry]:
    return [Entry("100644", "blob", sha * 40, path) for path, sha in sorted(files.items())]


FILES = {"src/a.py": "1", "docs/b.md": "2", "tools/check.py": "3", "Cargo.lock": "4", "deep/conftest.py": "5"}


@pytest.mark.parametrize(
    ("path", "counts"),
    [
        ("src/a.py", True),
        ("docs/b.md", False),
        ("tools/check.py", True),
        ("Cargo.lock", True),
        ("deep/conftest.py", True),
    ],
)
def test_declared_inputs_named_files_and_what_tools_read_count(path: str, counts: bool) -> None:
    one = gate(run=("python", "tools/check.py"), results="none", inputs=["src/**"])
    changed = input_digest(one, entries({**FILES, path: "9"})) != input_digest(one, entries(FILES))
    assert changed == counts


@pytest.mark.parametrize(
    "path",
    [
        *("swarm.toml", "x/uv.lock", "rust-toolchain.toml", "build.rs", "x/BUILD.RS", "pyproject.toml", "x/go.sum"),
        *("package-lock.json", "requirements-dev.txt", ".cargo/config.toml", "x/.python-version", "sitecustomize.py"),
    ],
)
def test_a_new_file_that_some_tool_reads_runs_everything(path: str) -> None:
    one = gate(inputs=["src/**"])
    assert input_digest(one, entries({**FILES, path: "9"})) != input_digest(one, entries(FILES))
    beside = f"docs/{path.rpartition('/')[2]}.orig"
    assert input_digest(one, entries({**FILES, beside: "9"})) == input_digest(one, entries(FILES))


def test_a_mode_and_a_name_are_part_of_the_input() -> None:
    one = gate(inputs=["src/**"])
    plain, moved = Entry("100644", "blob", "1" * 40, "src/a"), Entry("100644", "blob", "1" * 40, "src/b")
    runs = Entry("100755", "blob", "1" * 40, "src/a")
    assert len({input_digest(one, [each]) for each in (plain, moved, runs)}) == 3


async def unit(bench: Bench, files: Mapping[str, str]) -> VerificationReport:
    return (await bench.gates(bench.change(files), gate(inputs=["*.py"]))).report


async def test_with_inputs_a_result_of_another_tree_stands_and_the_report_says_so(bench: Bench) -> None:
    first = await unit(bench, {"docs.md": "one"})
    again = await unit(bench, {"docs.md": "two"})
    assert (only(first).cached, only(again).cached, only(again).executed) == (False, True, 2)
    assert (only(again).reason, again.extra[REUSED_FROM]) == ("", {"unit": first.tree})
    assert REUSED_FROM not in first.extra
    third = await unit(bench, {"docs.md": "three"})
    assert third.extra[REUSED_FROM] == {"unit": first.tree}


@pytest.mark.parametrize(
    "files", [{"other.py": "x = 1\n"}, {"conftest.py": "x = 1\n"}, {"uv.lock": "x"}, {"test_a.py": GOOD + "\n"}]
)
async def test_a_change_of_an_input_or_of_what_tools_read_runs_the_gate(bench: Bench, files: Mapping[str, str]) -> None:
    await unit(bench, {"docs.md": "one"})
    assert not only(await unit(bench, {"docs.md": "one", **files})).cached


async def test_without_inputs_another_tree_runs(bench: Bench) -> None:
    await bench.gates(bench.change({"docs.md": "one"}), gate())
    assert not only((await bench.gates(bench.change({"docs.md": "two"}), gate())).report).cached


async def test_a_gate_that_needs_one_of_the_whole_tree_is_not_reused_from_another_tree(bench: Bench) -> None:
    build = gate("build", ("python", "-c", "import test_a"), "none")
    for docs in ("one", "two"):
        one = gate(inputs=["*.py"], needs=["build"])
        report = (await bench.gates(bench.change({"docs.md": docs}), build, one)).report
        assert [result.cached for result in report.gates] == [False, False]


async def test_a_result_of_another_tree_is_held_to_todays_inventory(bench: Bench) -> None:
    files = {"test_a.py": GOOD.replace("test_two", "renamed")}
    await unit(bench, files)
    base = await bench.base_report(gate(inputs=["*.py"]))
    tree = bench.change({**files, "docs.md": "two"})
    report = (await bench.gates(tree, gate(inputs=["*.py"]), base_report=base)).report
    assert (only(report).cached, report.result, only(report).lost) == (True, "red", ["test_a.T.test_two"])


async def test_explain_says_why_before_anything_runs(bench: Bench) -> None:
    one, tree = gate(), bench.change({"a": "1"})

    def explained(tree: str, *gates: Gate) -> list[Explained]:
        return bench.runner.explain(bench.request(tree, *gates))

    (said,) = explained(tree, one)
    assert (said.reused, said.why) == (False, "it has no earlier result here.")
    await bench.gates(tree, one)
    (said,) = explained(tree, one)
    assert (said.reused, said.differs) == (True, ())
    assert {"argv", "environment", "timeout", "retry policy", "definition", "machine", "tools", "needs", "input"} <= {
        *said.parts
    }
    (said,) = explained(bench.change({"a": "2"}), one)
    assert (said.reused, said.differs) == (False, ("input",))
    (said,) = explained(tree, gate(env={"A": "1"}))
    assert set(said.differs) == {"definition", "environment"}
    (said,) = explained(tree, gate(run=("no-such-tool",), results="none"))
    assert (said.reused, "cannot run" in said.why) == (False, True)
    with pytest.raises(UserError, match="circle"):
        explained(tree, gate("a", needs=["b"]), gate("b", needs=["a"]))


async def test_explain_tells_that_a_needed_gate_runs_again_for_its_files(bench: Bench) -> None:
    build = gate("build", ("python", "-c", "open('built', 'w').close()"), "none")
    await bench.gates(bench.base_tree, build)
    use = gate("use", ("python", "-c", "open('built')"), "none", needs=["build"])
    said = bench.runner.explain(bench.request(bench.base_tree, build, use))
    assert [each.reused for each in said] == [False, False]
    assert "needs the files" in said[0].why


async def test_a_report_fits_this_machine_until_tools_or_sandbox_change(bench: Bench) -> None:
    tool = bench.repo.parent / "tool"
    tool.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    tool.chmod(0o755)
    report = (await bench.gates(bench.base_tree, gate(run=(str(tool),), results="none"))).report
    assert bench.runner.unfit(report) == ""
    assert "sandbox" in bench.runner.unfit(report.model_copy(update={"sandbox_backend": "other"}))
    assert "fs_write" in bench.runner.unfit(report.model_copy(update={"sandbox": {"fs_write": True}}))
    assert "ran on" in bench.runner.unfit(report.model_copy(update={"toolchain": {"machine": "other"}}))
    tool.write_text("#!/bin/sh\nexit 0 # another\n", encoding="utf-8")
    assert "another program" in bench.runner.unfit(report)
