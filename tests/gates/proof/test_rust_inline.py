"""Tests inside Rust sources are found whatever surrounds them, and one version's tests go into another's code."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gates.proof.rust_inline import changed_tests, code_of, graft, items_of, modules_in_tests, spans

MODULE = "#[cfg(test)]\nmod tests {\n    use super::*;\n    #[test]\n    fn adds() { assert_eq!(add(1, 2), 3); }\n}\n"
OLD = "pub fn add(a: i32, b: i32) -> i32 { a - b }\n\n"
NEW = "use std::fmt;\n\npub fn add(a: i32, b: i32) -> i32 {\n    a + b\n}\n\nfn more() {}\n\n"


def found(text: str) -> list[str]:
    assert "".join(text[a:b] for a, b in spans(text)) == "".join(items_of(text))
    return [item.strip() for item in items_of(text)]


@pytest.mark.parametrize(
    "item",
    [
        MODULE,
        "#[cfg(test)] mod tests { fn f() -> [u8; 3] { [0; 3] } }",
        "#[cfg(test)]\nmod tests;",
        "#[cfg(test)]\nuse std::{fmt, io};",
        "#[cfg(test)]\nconst X: P = P { a: 1 };",
        "#[cfg(test)]\npub(crate) const fn f() -> u8 { 1 }",
        '#[cfg(all(test, feature = "x"))]\nimpl A<B, C> for D where B: E, C: F { }',
        "#[cfg(all(unix, test))]\nmod t {}",
        '#[test]\nfn a() { let s = "}"; }',
        '#[test]\n#[should_panic(expected = "] fn {")]\nfn a() { panic!("{}", 1) }',
        "/// What it says: }\n#[test]\nfn a() {}",
        '#[tokio::test(flavor = "multi_thread")]\nasync fn a() {}',
        "#[rstest]\n#[case(1)]\nfn a(#[case] x: u8) {}",
        '#[test]\nfn a() { let r = r#"} "quoted" {"#; let b = br"{"; }',
        "#[test]\nfn a<'a>(x: &'a str) { let c = '}'; let d = '\\''; let e = b'{'; }",
        "#[test]\nfn a() { /* } /* } */ } */ // }\n }",
        "#[test]\nfn a() { let r#fn = 1; 'outer: loop { break 'outer } }",
        "#[cfg(test)]\nmacro_rules! m { ($x:expr) => { $x } }",
    ],
)
def test_a_test_item_is_found_whole_between_other_code(item: str) -> None:
    before, after = "fn one() { let x = '{'; }\n\n", 'fn two() -> &\'static str { "#[test]" }\n'
    assert found(before + item + "\n" + after) == [item.strip()]
    assert code_of(before + item.rstrip("\n") + "\n" + after) == before + after


@pytest.mark.parametrize(
    "text",
    [
        "#[cfg(not(test))]\nmod a {}\n",
        '#[cfg(any(test, feature = "x"))]\nmod a {}\n',
        '#[cfg(feature = "test")]\nmod a {}\n',
        "#[cfg_attr(test, derive(Debug))]\nstruct A;\n",
        "// #[test]\nfn a() {}\n",
        "/* #[cfg(test)] */ mod tests {}\n",
        'const A: &str = "#[cfg(test)] mod t {}";\n',
        'const A: &str = r##"\n#[test]\nfn a() {}\n"#"##;\n',
        "#[derive(Debug)]\nstruct test;\n",
        '#[test]\nfn a() { "no end }\n',
        "#[test]\nfn a() { ( }\n",
        "/* no end #[test] fn a() {}",
    ],
)
def test_what_is_no_test_or_cannot_be_followed_is_code(text: str) -> None:
    assert found(text) == []
    assert code_of(text) == text


def test_fields_arms_and_statements_end_where_they_end() -> None:
    text = "struct A {\n    a: u8,\n    #[cfg(test)]\n    b: Map<A, B>,\n    #[cfg(test)]\n    c: u8\n}\n"
    assert found(text) == ["#[cfg(test)]\n    b: Map<A, B>,", "#[cfg(test)]\n    c: u8"]
    text = "fn f() {\n    #[cfg(test)]\n    let x = if a { 1 } else { 2 };\n    g();\n}\n"
    assert found(text) == ["#[cfg(test)]\n    let x = if a { 1 } else { 2 };"]


def test_a_file_that_is_a_test_as_a_whole() -> None:
    text = "#![cfg(test)]\nfn helper() {}\n"
    assert spans(text) == [(0, len(text))]
    assert modules_in_tests("#[cfg(test)]\nmod checks;\nmod code;\n#[cfg(test)] mod here { mod x; }\n") == ["checks"]


def test_old_code_gets_the_new_tests_and_nothing_else() -> None:
    made = graft(OLD, NEW + MODULE)
    assert made == OLD + MODULE
    assert graft(NEW, OLD + MODULE) == NEW + MODULE


def test_a_test_in_the_middle_stays_in_its_module() -> None:
    old = "mod a {\n    fn f() -> u8 { 1 }\n}\nmod b {\n    fn g() -> u8 { 2 }\n}\n"
    test = "    #[test]\n    fn t() {}\n"
    new = old.replace("{ 1 }\n", "{\n        3\n    }\n" + test)
    assert graft(old, new) == old.replace("{ 1 }\n", "{ 1 }\n" + test)


def test_a_test_in_a_module_that_is_new_has_no_place_in_the_old_code() -> None:
    old = "fn f() {}\n"
    new = "fn f() {}\nmod n {\n    fn g() {}\n    #[cfg(test)]\n    mod tests {}\n}\n"
    assert graft(old, new) == old


def test_which_test_functions_changed() -> None:
    other = MODULE.replace("3", "4").replace("}\n}\n", "}\n    #[test]\n    fn zero() {}\n}\n")
    assert changed_tests(MODULE, MODULE) == set()
    assert changed_tests(MODULE, other) == {"adds", "zero"}
    assert changed_tests(MODULE, MODULE.replace("use super::*;", "use super::add;")) is None
    assert changed_tests("", MODULE) is None


PIECES = st.sampled_from(
    [
        "fn f() { g(); }\n", "struct S<'a> { x: &'a str }\n", "const C: char = '}';\n", "// a } comment {\n",
        "const R: &str = r#\"#[test] { \"#;\n", "/* { /* } */ */\n", "impl A {\n    fn h(&self) -> u8 { 1 }\n}\n", "\n",
        "macro_rules! m { () => {} }\n",
    ]
)  # fmt: skip
ITEMS = st.sampled_from(
    [
        MODULE, "#[test]\nfn one() { let s = \"}{\"; }\n", "#[cfg(test)]\nmod t { mod u { fn x() {} } }\n",
        "/// said\n#[test]\nfn two<'a>() { 'x: loop {} }\n", "#[cfg(test)]\nuse a::{b, c};\n",
    ]
)  # fmt: skip
CODE = st.lists(PIECES, max_size=6)
FILES = st.lists(st.one_of(PIECES.map(lambda text: (False, text)), ITEMS.map(lambda text: (True, text))), max_size=10)


@given(FILES)
def test_items_are_told_from_code_in_any_order(parts: list[tuple[bool, str]]) -> None:
    text = "".join(text for _, text in parts)
    assert "".join(items_of(text)) == "".join(text for tests, text in parts if tests)
    assert code_of(text) == "".join(text for tests, text in parts if not tests)


@given(CODE, FILES)
def test_a_graft_has_the_code_of_one_and_all_tests_of_the_other(code: list[str], other: list[tuple[bool, str]]) -> None:
    old, new = "".join(code), "".join(text for _, text in other)
    made = graft(old, new)
    assert code_of(made) == old
    assert items_of(made) == items_of(new)


@given(FILES)
def test_a_graft_on_equal_code_is_the_file_itself(parts: list[tuple[bool, str]]) -> None:
    text = "".join(text for _, text in parts)
    assert graft(text, text) == text
    assert graft(code_of(text), text) == text


@given(st.text(alphabet="#[]{}()'\"rb/*!\\ \n;,testcfgmodfn", max_size=60))
def test_no_text_is_too_strange(text: str) -> None:
    found_spans = spans(text)
    assert code_of(text) + "".join(items_of(text)) == code_of(text) + "".join(text[a:b] for a, b in found_spans)
    graft(text, text[::-1])
