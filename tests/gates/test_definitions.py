"""Definitions: digests, order, selection, and gates that prove nothing."""

from collections.abc import Sequence
from typing import Any

import pytest

from engine.errors import UserError
from engine.models.settings import Gate
from gates.definitions import gate_digest, groups, in_order, needed_by, problems, select


def gate(name: str = "unit", run: Sequence[str] = ("make",), **fields: Any) -> Gate:
    return Gate.model_validate({"name": name, "run": list(run), **fields})


def names(gates: Sequence[Gate]) -> list[str]:
    return [each.name for each in gates]


def test_a_gate_comes_after_what_it_needs_and_otherwise_as_written() -> None:
    assert names(in_order([gate("c", needs=["a"]), gate("b"), gate("a"), gate("d")])) == ["b", "a", "c", "d"]


def test_a_circle_of_needs_is_a_user_error() -> None:
    with pytest.raises(UserError, match="circle"):
        in_order([gate("a", needs=["b"]), gate("b", needs=["a"])])


def test_two_gates_of_one_name_are_a_user_error() -> None:
    with pytest.raises(UserError, match="two gates"):
        in_order([gate("a"), gate("a")])


def test_selection_takes_what_is_needed_along() -> None:
    gates = [gate("build"), gate("unit", needs=["build"]), gate("night", when=["canary"]), gate("lint")]
    assert names(select(gates, ["unit"])) == ["build", "unit"]
    assert names(select(gates)) == ["build", "unit", "lint"]
    with pytest.raises(UserError, match='no gate "x"'):
        select(gates, ["x"])


def test_digests_follow_the_definitions_and_nothing_else() -> None:
    assert gate_digest(gate(timeout="60s")) == gate_digest(gate(timeout="1m"))
    assert gate_digest(gate(env={"A": "1"})) != gate_digest(gate())


def test_gates_that_need_each_other_are_one_group() -> None:
    gates = [gate("lint"), gate("unit", needs=["build"]), gate("build"), gate("types"), gate("night", needs=["unit"])]
    assert [names(group) for group in groups(gates)] == [["lint"], ["build", "unit", "night"], ["types"]]


@pytest.mark.parametrize(
    "run",
    [
        ["sh", "-c", "make test"],
        ["/bin/bash", "run.sh"],
        ["C:\\Windows\\System32\\cmd.exe", "/c", "x"],
        ["env", "A=1", "bash", "x"],
        ["make", "test", "||", "true"],
        ["make", "test", "|", "tee", "log"],
        ["make", "test || true"],
        ["make test | tee log"],
    ],
)
def test_shells_and_their_syntax_are_errors_unless_the_settings_say_so(run: list[str]) -> None:
    assert [each.level for each in problems(gate(run=run))] == ["error"]
    assert not [each for each in problems(gate(run=run, shell=True)) if each.level == "error"]


@pytest.mark.parametrize("run", [["true"], ["echo", "ok"], ["test", "-f", "README.md"], ["python", "-c", "print(1)"]])
def test_commands_that_prove_nothing_are_errors_and_with_a_shell_in_the_settings_warnings(run: list[str]) -> None:
    assert [each.level for each in problems(gate(run=run))] == ["error"]
    assert [each.level for each in problems(gate(run=run, shell=True))] == ["warning"]


def test_a_flow_has_no_results_of_its_own() -> None:
    flow = Gate(name="flow", flow="smoke")
    assert problems(flow) == ()
    assert [each.level for each in problems(flow.model_copy(update={"results": "pytest"}))] == ["error"]


def test_what_a_gate_needs_is_known_over_any_number_of_steps() -> None:
    ordered = in_order([gate("d", needs=["c"]), gate("c", needs=["b", "a"]), gate("b"), gate("a"), gate("x")])
    assert names(needed_by(ordered, "d")) == ["b", "a", "c"]
    assert needed_by(ordered, "x") == ()


def test_an_honest_gate_has_no_problems() -> None:
    assert problems(gate(run=["cargo", "test", "--locked"])) == ()
    assert problems(gate(run=["python", "-X", "dev", "-m", "pytest", "-q"], results="pytest")) == ()
    assert problems(gate(run=["python", "-c", "import a; assert a.f() == 3"])) == ()


def test_results_need_a_runner_that_can_be_watched() -> None:
    assert "python" in problems(gate(run=["pytest", "-q"], results="pytest"))[0].what
    assert "python" in problems(gate(run=["python", "-m", "pytest"], results="unittest"))[0].what
    assert problems(gate(run=["make"], results="cargo-test"))[0].level == "error"
