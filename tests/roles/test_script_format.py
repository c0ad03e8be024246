"""What is a script and what is not."""

from __future__ import annotations

import pytest

from engine.errors import UserError
from roles.agents.script_format import Script, parse_script

WHOLE = """
schema = "script/1"

[[attempt]]
steps = [
    { say = "first" },
    { edit = { path = "a", content = "" } },
    { edit = { path = "a", find = "x", replace = "" } },
    { append = { path = "a", text = "b" } },
    { delete = "a" },
    { run = ["python", "-V"] },
    { sleep = "1s" },
    { ask = { argv = ["rm", "-r", "x"], why = "gone", danger = "large_deletion" } },
    { spend = { tokens = 3, cost = 0.1 } },
    { fail = 9 },
    { hang = true },
    { abort = "no" },
]

[[attempt]]
steps = [{ handin = { summary = "done" } }]
"""


def script(steps: str) -> Script:
    return parse_script(f'schema = "script/1"\n[[attempt]]\nsteps = [{steps}]\n', "x.toml")


def test_every_step_is_understood() -> None:
    assert len(parse_script(WHOLE, "x.toml").attempt[0].steps) == 12


def test_the_last_attempt_is_played_for_all_later_ones() -> None:
    whole = parse_script(WHOLE, "x.toml")
    assert [whole.for_attempt(number) is whole.attempt[-1] for number in (0, 1, 2, 3, 99)] == [
        False,
        False,
        True,
        True,
        True,
    ]


@pytest.mark.parametrize(
    "steps",
    [
        "",
        "{ dance = 1 }",
        "{}",
        '{ say = "a", fail = 1 }',
        '{ edit = { path = "a" } }',
        '{ edit = { path = "a", content = "b", find = "c", replace = "d" } }',
        '{ edit = { path = "a", find = "c" } }',
        '{ edit = { path = "a", find = "", replace = "d" } }',
        "{ hang = false }",
        "{ fail = 0 }",
        "{ sleep = 1 }",
        "{ run = [] }",
        '{ handin = { risk = "none" } }',
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(steps: str) -> None:
    with pytest.raises(UserError) as refused:
        script(steps)
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("x.toml")


def test_text_that_is_no_toml_is_said_so() -> None:
    with pytest.raises(UserError, match="is not TOML"):
        parse_script("attempt = [", "x.toml")


def test_it_has_a_json_schema() -> None:
    assert set(Script.model_json_schema(by_alias=True)["properties"]) == {"schema", "attempt"}
