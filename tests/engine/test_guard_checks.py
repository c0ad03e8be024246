"""Rules of `[guards]` that guard nothing are told, with their place and what to do."""

import pytest

from engine.loading import read_settings

GATE = '[[gate]]\nname = "unit"\nkind = "custom"\nrun = ["x"]\n'


def told(text: str) -> list[tuple[str, str]]:
    problems = read_settings(GATE + text).problems
    return [(problem.level, problem.what) for problem in problems if "guards" in text and _about_guards(problem.what)]


def _about_guards(what: str) -> bool:
    return not any(word in what for word in ("not guarded yet", "implementer", "are not counted"))


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('protected = ["/a"]', "starts with /"),
        ('boundaries = [{ from = "", may_not = "b" }]', "is empty"),
        ('boundaries = [{ from = "a", may_not = "../b" }]', "segment . or .."),
        ('generated = [{ paths = ["a\\\\b"], sources = ["c"] }]', "has a backslash"),
        ('generated = [{ paths = [], sources = ["c"] }]', "without paths"),
        ('generated = [{ paths = ["a"], sources = [] }]', "without sources"),
        ('dependencies = { allow = ["*"] }', "without wildcards"),
        ('dependencies = { allow = [" serde"] }', "spaces"),
        ('dependencies = { allow = ["serde@"] }', "ends in @"),
        ('coverage = { gate = "unitt", report = "c.xml" }', "does not exist"),
        ('coverage = { gate = "unit", report = "../c.xml" }', "segment . or .."),
        ('coverage = { gate = "unit", report = "*.xml" }', "has wildcards"),
    ],
)
def test_a_rule_without_meaning_is_an_error(line: str, what: str) -> None:
    found = told(f"[guards]\n{line}\n")
    assert [level for level, _ in found] == ["error"]
    assert what in found[0][1]


def test_sources_that_may_be_generated_are_a_warning() -> None:
    found = told('[guards]\ngenerated = [{ paths = ["src/**"], sources = ["src/a.in"] }]\n')
    assert [level for level, _ in found] == ["warning"]


def test_sound_rules_are_not_told() -> None:
    text = """[guards]
protected = ["own/**"]
dependencies = { allow = ["serde", "@scope/name", "serde@1.0.0", "own@git+https://example.org/own"] }
boundaries = [{ from = "crates/layout/**", may_not = "crates/app/**" }]
generated = [{ paths = ["src/gen/**"], sources = ["schema/**"] }]
coverage = { gate = "unit", report = "out/coverage.xml", min = 75 }
"""
    assert told(text) == []
