"""Files that people write: what is understood, and what is said when it is not."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import UserError
from engine.loading import (
    load_definitions,
    load_roadmap,
    load_settings,
    parse_roadmap,
    parse_settings,
    read_roadmap,
    read_settings,
)
from engine.toml_lines import Loc, key_lines

AGENT = """
[roles]
implementer = "mine"
[agents.mine]
kind = "command"
run = ["agent"]
"""
GATE = """
[[gate]]
name = "unit"
kind = "unit"
run = ["python", "-m", "pytest"]
results = "pytest"
timeout = "90s"
"""
FLOW = """name = "smoke"
start = { run = ["app"] }
"""


def said(text: str) -> str:
    """What the first error of a settings file says."""
    with pytest.raises(UserError) as error:
        parse_settings(text)
    return str(error.value)


def said_of_roadmap(text: str, gates: str = GATE) -> str:
    with pytest.raises(UserError) as error:
        parse_roadmap(text, settings=parse_settings(gates))
    return str(error.value)


def test_a_whole_settings_file_is_read() -> None:
    reading = read_settings(AGENT + GATE)
    assert reading.problems == ()
    settings = reading.sound()
    assert settings.gate[0].timeout == 90.0
    assert settings.agents["mine"].run == ["agent"]


def test_an_empty_file_is_all_defaults_with_warnings_only() -> None:
    reading = read_settings("")
    assert {problem.level for problem in reading.problems} == {"warning"}
    assert reading.sound().project.main == "main"


def test_a_byte_order_mark_and_windows_line_ends_are_read() -> None:
    text = "\ufeff[project]\r\nmain = 'trunk'\r\n[limits]\r\nattempts = 0\r\n"
    assert said(text) == "swarm.toml:4: limits.attempts is 0; write at least 1"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('[project]\nmian = "x"', 'swarm.toml:2: project has no key "mian"; write "main" instead'),
        ("[gates]", 'swarm.toml:1: the file has no key "gates"; write "gate" instead'),
        (
            GATE + 'timout = "1m"',
            'swarm.toml:8: gate.unit has no key "timout"; write "timeout" instead',
        ),
        ('[[gate]]\nrun = ["x"]', 'swarm.toml:1: gate[1] lacks the key "name"; add name = ...'),
        ('[limits]\nimplementers = "4"', 'swarm.toml:2: limits.implementers is "4"; write a whole number'),
        ("[merge]\nauto = 1", "swarm.toml:2: merge.auto is 1; write true or false"),
        (
            "[limits]\nrun_wall = 600",
            'swarm.toml:2: limits.run_wall is 600; a duration is written as "90s", "10m" or "2h"',
        ),
        (
            '[roles]\nimplementr = "x"',
            'swarm.toml:2: roles has no "implementr"; write "implementer" instead',
        ),
        (
            '[agents.a]\nkind = "command"',
            'swarm.toml:1: agents.a is not right; an agent of kind "command" needs run = ["program", ...]',
        ),
        (
            '[project]\npublish = "yes"',
            'swarm.toml:2: project.publish is "yes"; use one of none, local, remote, both',
        ),
        (
            "[merge]\n\nask_if = { paths = [],\n kind = [] }".replace("\n kind", " kind"),
            'swarm.toml:3: merge.ask_if has no key "kind"; write "kinds" instead',
        ),
        ("[project\nmain = 1", "swarm.toml:1: this is not TOML:"),
        ("[project]\nmain = ", "swarm.toml:2: this is not TOML:"),
        (
            GATE + 'needs = ["biuld"]\n[[gate]]\nname = "build"\nrun = ["make"]',
            'swarm.toml:8: gate unit needs the gate "biuld", which does not exist; write "build" instead',
        ),
        (GATE + GATE, 'swarm.toml:9: there is another gate "unit" at swarm.toml:2; rename one of them'),
        (
            '[[gate]]\nname = "a"\nrun = ["a"]\nneeds = ["b"]\n[[gate]]\nname = "b"\nrun = ["b"]\nneeds = ["a"]',
            "swarm.toml:4: a cycle: a -> b -> a; take one of these away",
        ),
        (
            '[roles]\nimplementer = "me"',
            'swarm.toml:2: the role implementer is given to the agent "me", which does not exist; define it,',
        ),
        (
            '[[gate]]\nname = "a"\nflow = "smoke"',
            'swarm.toml:3: gate a runs the flow "smoke", which does not exist; define it, or take the name away',
        ),
        (
            '[guards]\nprotected = [\n  "a",\n  "/b",\n]',
            'swarm.toml:4: the glob "/b" starts with /; paths are relative to the repository',
        ),
        (
            '[merge]\nask_if = { kinds = ["fature"] }',
            'swarm.toml:2: ask_if names the kind "fature", which does not exist; write "feature" instead',
        ),
    ],
)
def test_a_mistake_is_one_sentence_with_line_and_remedy(text: str, sentence: str) -> None:
    message = said(text)
    assert message.startswith(sentence)
    assert "\n" not in message


def test_all_mistakes_are_listed_from_the_top() -> None:
    reading = read_settings('[project]\nmian = "x"\n[limits]\nattempts = 0\n[gates]\n')
    assert [problem.where for problem in reading.problems] == ["swarm.toml:2", "swarm.toml:4", "swarm.toml:5"]
    assert reading.value is None


def test_weaknesses_are_warnings() -> None:
    reading = read_settings(AGENT + GATE.replace('results = "pytest"\n', ""))
    assert [problem.level for problem in reading.problems] == ["warning"]
    assert "zero tests would be green" in reading.problems[0].what
    reading.sound()


ORDERS = """
[[item]]
id = "one"
title = "One"
[[work_order]]
id = "a"
item = "one"
title = "A"
gates = ["unit"]
[[work_order]]
id = "b"
title = "B"
depends_on = ["a"]
"""


def test_a_whole_roadmap_is_read() -> None:
    reading = read_roadmap(ORDERS, settings=parse_settings(AGENT + GATE))
    assert reading.problems == ()
    assert [order.id for order in reading.sound().work_order] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            ORDERS + '[[work_order]]\nid = "a"\ntitle = "again"\n',
            'roadmap.toml:14: there is another work order "a" at roadmap.toml:5; rename one of them',
        ),
        (
            ORDERS.replace('["a"]', '["aa"]'),
            'roadmap.toml:13: work order b depends on "aa", which does not exist; write "a" instead',
        ),
        (
            ORDERS.replace('item = "one"', 'item = "two"'),
            'roadmap.toml:7: work order a belongs to the item "two", which does not exist; use one of one',
        ),
        (
            ORDERS.replace('["unit"]', '["unti"]'),
            'roadmap.toml:9: work order a asks for the gate "unti", which does not exist; write "unit" instead',
        ),
        (
            ORDERS.replace('gates = ["unit"]', 'depends_on = ["b"]'),
            "roadmap.toml:9: a cycle: a -> b -> a; take one of these away",
        ),
        (
            ORDERS.replace('"a"', '"A b"'),
            'roadmap.toml:6: work_order[1].id is "A b"; use up to 64 lower-case letters,',
        ),
        (ORDERS.replace('"a"', '"a..b"'), 'roadmap.toml:6: the id "a..b" cannot be part of a branch name; choose'),
        (ORDERS.replace('"a"', '"aux.x"'), 'roadmap.toml:6: the id "aux.x" is the name of a device on Windows;'),
        (
            ORDERS + 'resolves = ["WIN-1"]',
            'roadmap.toml:14: work order b resolves the limitation "WIN-1", which does not exist;',
        ),
        (
            ORDERS + 'allow = ["../x"]',
            'roadmap.toml:14: the glob "../x" has a segment . or ..; paths are relative to the repository',
        ),
        ('schema = "roadmap/2"', 'roadmap.toml:1: schema is "roadmap/2"; use one of roadmap/1'),
        (
            '[[work_order]]\nid = "x"\ntitle = "X"\nacceptance = [{ name = "n", run = [] }]',
            "roadmap.toml:4: work_order.x.acceptance.n.run is []; write at least one entry",
        ),
    ],
)
def test_a_mistake_in_the_roadmap_is_one_sentence_with_line_and_remedy(text: str, sentence: str) -> None:
    assert said_of_roadmap(text).startswith(sentence)


def test_gates_are_not_looked_up_without_settings() -> None:
    parse_roadmap(ORDERS.replace('["unit"]', '["anything"]'))


def test_a_scope_that_matches_no_file_is_a_warning() -> None:
    text = ORDERS + 'allow = ["scr/**"]'
    assert read_roadmap(text, files=["scr/x"]).problems == ()
    (problem,) = read_roadmap(text, files=["src/x"]).problems
    assert (problem.where, problem.level) == ("roadmap.toml:14", "warning")


def test_waiting_for_a_draft_is_a_warning() -> None:
    reading = read_roadmap(ORDERS.replace('item = "one"', "draft = true"))
    assert [problem.level for problem in reading.problems] == ["warning"]
    assert "the draft a" in reading.problems[0].what


def test_flows_beside_the_settings_are_part_of_them(tmp_path: Path) -> None:
    (tmp_path / "canary").mkdir()
    (tmp_path / "canary" / "smoke.toml").write_text(FLOW, encoding="utf-8")
    (tmp_path / "canary" / "two.toml").write_text(
        '[[flow]]\nname = "x"\nstart = { run = ["x"] }\n[[flow]]\nname = "y"\nstart = { run = ["y"] }\n',
        encoding="utf-8",
    )
    (tmp_path / "swarm.toml").write_text(GATE, encoding="utf-8")
    assert [flow.name for flow in load_settings(tmp_path / "swarm.toml").canary.flow] == ["smoke", "x", "y"]


def test_a_mistake_in_a_flow_file_names_that_file() -> None:
    with pytest.raises(UserError, match=r'^canary/smoke.toml:3: the file has no key "stpes"; write "steps" instead$'):
        parse_settings(GATE, flows={"canary/smoke.toml": FLOW + "stpes = []"})


def test_a_flow_written_twice_names_both_places() -> None:
    inline = '[[canary.flow]]\nname = "smoke"\nstart = { run = ["app"] }\n'
    with pytest.raises(UserError, match=r'^canary/s.toml:1: there is another flow "smoke" at swarm.toml:1;'):
        parse_settings(inline, flows={"canary/s.toml": FLOW})


def test_definitions_are_read_as_committed() -> None:
    tree = {
        "swarm.toml": GATE.encode(),
        "canary/smoke.toml": FLOW.encode(),
        "canary/golden/deep.toml": b"not a flow",
        "canary/notes.md": b"\xff",
    }
    settings = load_definitions(tree.get, lambda folder: [path for path in tree if path.startswith(f"{folder}/")])
    assert settings is not None
    assert [flow.name for flow in settings.canary.flow] == ["smoke"]


def test_a_revision_without_settings_has_no_definitions() -> None:
    assert load_definitions(lambda path: None, lambda folder: []) is None


def test_a_mistake_as_committed_names_the_revision() -> None:
    with pytest.raises(UserError, match=r"^main:swarm.toml:1: this is not TOML"):
        load_definitions(lambda path: b"[" if path == "swarm.toml" else None, lambda folder: [])


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no swarm.toml in .*; run `swarm init` to write one$"):
        load_settings(tmp_path / "swarm.toml")


def test_a_file_in_another_encoding_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "roadmap.toml").write_bytes(b'schema = "roadmap/1"\n# caf\xe9\n')
    with pytest.raises(UserError, match=r"^roadmap.toml:2: this is not UTF-8; save the file as UTF-8$"):
        load_roadmap(tmp_path / "roadmap.toml")


@pytest.mark.parametrize("depth", [400, 100_000])
def test_nesting_without_end_is_a_user_error(depth: int) -> None:
    assert said(f"x = {'[' * depth}{']' * depth}").startswith("swarm.toml")


def test_lines_are_found_in_every_form_of_toml() -> None:
    text = '''# comment with = and [
a.b = 1
"quoted.key" = """
x = 1 # no key
""" # after
[t."x y".z]
k = [ # [
  1, "]", {i = 2,
  }, '''.replace(",\n  }", " }")
    text += """'''
three
''',
]
[[arr]]
v = 1
[[arr]]
v = 2
[arr.sub]
w = { one = { two = 3 }, three.four = 5 } # }
[[arr.inner]]
u = 1979-05-27 07:32:00
"""
    tomllib.loads(text)
    lines = key_lines(text)
    expected: dict[Loc, int] = {
        ("a", "b"): 2,
        ("quoted.key",): 3,
        ("t", "x y", "z", "k"): 7,
        ("t", "x y", "z", "k", 2, "i"): 8,
        ("t", "x y", "z", "k", 3): 8,
        ("arr", 0, "v"): 13,
        ("arr", 1): 14,
        ("arr", 1, "v"): 15,
        ("arr", 1, "sub", "w", "one", "two"): 17,
        ("arr", 1, "sub", "w", "three", "four"): 17,
        ("arr", 1, "inner", 0, "u"): 19,
    }
    assert {loc: lines.get(loc) for loc in expected} == expected


names = st.text("ab_-1", min_size=1, max_size=3)
scalars = st.one_of(
    st.integers(-9, 9).map(str),
    st.sampled_from(['"a]b"', "'}'", '"\\""', '"""x\n[y]\n"""', "'''\n'''", "true", "1.5", "[]", "{}", "1979-05-27"]),
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3).map(lambda each: f"[{', '.join(each)}]"), max_leaves=6
)


@settings(max_examples=50)
@given(
    st.lists(
        st.tuples(names, st.lists(st.tuples(names, values), max_size=3, unique_by=lambda pair: pair[0])), max_size=4
    )
)
def test_every_key_has_the_line_it_was_written_on(tables: list[tuple[str, list[tuple[str, str]]]]) -> None:
    text = ""
    expected: dict[Loc, int] = {}
    seen: dict[str, int] = {}
    for table, pairs in tables:
        index = seen[table] = seen.get(table, -1) + 1
        text += f"[[{table}]]\n"
        for key, value in pairs:
            expected[table, index, key] = text.count("\n") + 1
            text += f"{key} = {value} # {key} = [\n"
    tomllib.loads(text)
    lines = key_lines(text)
    assert {loc: lines[loc] for loc in expected} == expected


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[merge]\nland_via = "pull_request"\n', "swarm.toml:2: pull requests need a remote"),
        (
            '[project]\nforge = "gitea"\nforge_url = "http://git.example.org/api/v1"\n',
            "swarm.toml:3: forge_url is plain http",
        ),
        ('[project]\nforge_url = "https://git.example.org/api/v1"\n', "swarm.toml:2: forge_url does not say which"),
        ('[project]\nforge = "sourceforge"\n', "swarm.toml:2: project.forge is"),
    ],
)
def test_publishing_that_could_never_work_is_refused(text: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        parse_settings(text, flows={"canary/smoke.toml": FLOW})
    assert str(refused.value).startswith(said)


def test_publishing_by_push_and_by_pull_request_is_taken() -> None:
    both = '[project]\npublish = "both"\nforge = "gitea"\nforge_url = "https://git.example.org/api/v1"\n'
    parse_settings(f'{both}[merge]\nland_via = "pull_request"\n', flows={"canary/smoke.toml": FLOW})


def test_hosts_that_allow_nothing_are_errors_with_their_place() -> None:
    """One that is silently ignored would be missed in the middle of the night."""
    text = '[agents.a]\nkind = "command"\nrun = ["x"]\nnetwork = ["a.example", "https://example.org", "localhost"]\n'
    found = [str(problem) for problem in read_settings(text).problems if problem.level == "error"]
    assert [each.partition(":")[0] for each in found] == ["swarm.toml"] * 2
    assert "'https://example.org' of agent a allows nothing" in found[0]
    assert "it has no port" in found[1]


@pytest.mark.parametrize(("results", "first"), [("pytst", "pytest"), ("Cargo", "cargo-test"), ("JUnit", "junit:PATH")])
def test_results_that_are_not_known_are_answered_with_the_known_ones_the_likest_first(results: str, first: str) -> None:
    (problem,) = read_settings(AGENT + GATE.replace('"pytest"', f'"{results}"')).problems
    assert f'is "{results}"; use one of {first}, ' in str(problem)
    assert all(name in str(problem) for name in ("none", "unittest", "nextest", "tap", "sarif:PATH"))
    assert "^" not in str(problem)


def test_an_agent_that_stands_in_has_to_be_there() -> None:
    text = '[agents.a]\nkind = "command"\nrun = ["x"]\ninstead = "%s"\n[agents.b]\nkind = "command"\nrun = ["x"]\n'
    found = [str(p) for name in ("b", "c") for p in read_settings(text % name).problems if p.level == "error"]
    assert [each[: each.index(" has")] for each in found] == ["swarm.toml:4: the agent a"]


@pytest.mark.parametrize(("name", "wrong"), [("anthropic", []), ("antropic", ['write "anthropic" instead'])])
def test_limits_are_named_for_providers_that_some_agent_has(name: str, wrong: list[str]) -> None:
    text = f'[agents.a]\nkind = "command"\nrun = ["claude"]\n[providers.{name}]\nconcurrency = 2\n'
    assert [problem.do for problem in read_settings(text).problems if problem.level == "error"] == wrong


def test_an_unknown_key_of_a_named_table_is_answered_with_the_likest() -> None:
    text = '[agents.a]\nkind = "command"\nrun = ["x"]\nnetwrk = []\n[providers.a]\nconcurency = 1\n'
    found = [str(problem) for problem in read_settings(text).problems if problem.level == "error"]
    assert found == [
        'swarm.toml:4: agents.a has no key "netwrk"; write "network" instead',
        'swarm.toml:6: providers.a has no key "concurency"; write "concurrency" instead',
    ]


@pytest.mark.parametrize("key", ["limits]\ncost_per_night", "budgets.night]\ncost", "budgets.run]\nwall"])
@pytest.mark.parametrize("amount", ["inf", "nan"])
def test_a_limit_is_a_number_that_can_be_written_down(key: str, amount: str) -> None:
    (problem,) = [each for each in read_settings(f"[{key} = {amount}\n").problems if each.level == "error"]
    assert problem.where == "swarm.toml:2"
    assert read_settings(f"[{key} = 5.0\n").value is not None
