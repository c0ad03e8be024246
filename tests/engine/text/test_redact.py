from __future__ import annotations

import base64
import json
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.text.redact import Redactor

SECRET = "tOp/s3cret+val ue"
REDACTOR = Redactor({"API_KEY": SECRET})
GONE = "[redacted:API_KEY]"
PRIVATE_KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\n" + "b3BlbnNzaC1rZXk\n" * 40 + "-----END OPENSSH PRIVATE KEY-----"


def chunked(data: bytes, cuts: list[int], redactor: Redactor) -> bytes:
    stream = redactor.stream()
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    out = [stream.feed(data[start:end]) for start, end in pairwise(edges)]
    return b"".join([*out, stream.finish()])


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        SECRET[::-1],
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
        quote(SECRET),
        quote(SECRET, safe=""),
        quote(SECRET, safe="").replace("%2F", "%2f").replace("%2B", "%2b"),
        quote_plus(SECRET),
    ],
)
def test_a_known_value_goes_in_every_form(form: str) -> None:
    assert REDACTOR.redact(f"before {form} after") == f"before {GONE} after"


@pytest.mark.parametrize("before", ["", "x", "xy", "xyz"])
@pytest.mark.parametrize("after", ["", "z", "zz"])
def test_base64_goes_in_every_alignment_and_alphabet(before: str, after: str) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(f"{before}{SECRET}{after}".encode()).decode()
        redacted = REDACTOR.redact(encoded)
        assert GONE in redacted
        # What is left at the borders determines no whole character of the value.
        assert len(redacted) - len(GONE) <= 4 * ((len(before) + 2) // 3) + 4 + len(after) * 2


def test_values_inside_json_go() -> None:
    tricky = 'päss"wörd\\\n'
    redactor = Redactor({"P": tricky})
    for ascii_only in (True, False):
        assert redactor.redact(json.dumps({"a": tricky}, ensure_ascii=ascii_only)) == '{"a": "[redacted:P]"}'


def test_short_values_and_clean_text_are_left_alone() -> None:
    redactor = Redactor({"A": "abcde", "B": "", "C": "abcdef"})
    text = "abcde and \udc80 lone"
    assert redactor.redact(text) is text
    assert redactor.redact("abcdef") == "[redacted:C]"


def test_overlapping_values_leave_nothing_of_either() -> None:
    redactor = Redactor({"ONE": "abcdefgh", "TWO": "efghijkl", "INNER": "cdefgh"})
    assert redactor.redact("<abcdefghijkl>") == "<[redacted:ONE]>"
    assert redactor.redact("<cdefgh>") == "<[redacted:INNER]>"


def test_a_name_cannot_smuggle_text() -> None:
    assert Redactor({"a\x1b]b c": "secret-value"}).redact("secret-value") == "[redacted:a__b_c]"


@pytest.mark.parametrize(
    ("name", "token"),
    [
        ("github-token", "ghp_" + "a1B2" * 9),
        ("github-token", "github_pat_" + "11ABCDE_x" * 5),
        ("api-key", "sk-" + "abcd1234" * 6),
        ("api-key", "sk-proj-" + "abcd1234" * 6),
        ("api-key", "sk-ant-api03-" + "abCD_-12" * 6),
        ("aws-key-id", "AKIA" + "ABCDEFGH12345678"),
        ("slack-token", "xoxb-123456789012-abcdef"),
        ("gitlab-token", "glpat-" + "abcdefghij0123456789"),
        ("google-key", "AIza" + "SyA-1234567890abcdefghijklmnopqrstu"),
        ("private-key", PRIVATE_KEY),
        ("private-key", PRIVATE_KEY.replace("\n", "\\n")),
    ],
)
def test_well_known_tokens_go_though_nobody_named_them(name: str, token: str) -> None:
    redactor = Redactor({})
    assert redactor.redact(f"export X='{token}';") == f"export X='[redacted:{name}]';"


def test_a_bearer_header_keeps_its_first_word() -> None:
    assert (
        Redactor({}).redact("Authorization: Bearer abc.def-123_456~7890==\n")
        == "Authorization: Bearer [redacted:bearer]\n"
    )


@pytest.mark.parametrize(
    "innocent",
    [
        "task-something-very-long-and-hyphenated-2024",
        "sk-learn is a library, sk-something-with-words-only-in-it",
        "the bearer of this token",
        "Bearer tokens",
        "AKIA is a prefix",
        "-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----",
        "ghp_short",
        "commit 3f786850e387550fdab836ed7e6dc881de23001b",
    ],
)
def test_ordinary_text_stays(innocent: str) -> None:
    assert Redactor({}).redact(innocent) == innocent


def test_a_token_is_found_at_the_start_of_a_line_inside_json() -> None:
    said = json.dumps({"text": "first line\nghp_" + "a1B2" * 9})
    assert Redactor({}).redact(said) == '{"text": "first line\\n[redacted:github-token]"}'
    data = said.encode()
    assert chunked(data, list(range(len(data))), Redactor({})) == Redactor({}).redact_bytes(data)


def test_a_key_that_is_cut_off_goes_as_far_as_it_reaches() -> None:
    cut_off = PRIVATE_KEY[:300]
    assert Redactor({}).redact(f"x {cut_off}; y") == "x [redacted:private-key]; y"


def test_a_stream_gives_whole_lines_at_once() -> None:
    stream = Redactor({"API_KEY": SECRET}).stream()
    assert stream.feed(b"line one\n") == b"line one\n"
    assert stream.feed(b"the " + SECRET.encode() + b"\n") == b"the " + GONE.encode() + b"\n"
    assert stream.feed(b"half tOp/s3") == b"half "
    assert stream.feed(b"cret+v") == b""
    assert stream.feed(b"al ue.\n") == GONE.encode() + b".\n"
    assert stream.finish() == b""


def test_a_stream_without_line_ends_holds_back_little() -> None:
    stream = Redactor({"API_KEY": SECRET}).stream()
    given_out = sum(len(stream.feed(b"A" * 10_000)) for _ in range(10))
    assert given_out >= 98_000
    assert given_out + len(stream.finish()) == 100_000


PARTS = ("ghp_", "Bearer ", "abc123" * 5, "sk-", "\n", "\\n", " ", "x", "-", "=", "é", "A" * 1500)
ENCODED = (base64.b64encode(SECRET.encode()).decode(), SECRET.encode().hex(), quote(SECRET))
KEYS = ("-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----", PRIVATE_KEY, "-----BEGIN ")
TOKENS = (SECRET, SECRET[:9], SECRET[5:], "ghp_" + "a1B2" * 9, "AKIAABCDEFGH12345678")
PIECES = st.sampled_from([*PARTS, *ENCODED, *KEYS, *TOKENS])
FORMS = st.sampled_from(["raw", "base64", "hex", "url"])


@given(st.lists(PIECES, max_size=12).map("".join), st.lists(st.integers(0, 10_000), max_size=12))
def test_a_stream_gives_the_same_as_the_whole_for_any_chunks(text: str, cuts: list[int]) -> None:
    data = text.encode()
    assert chunked(data, cuts, REDACTOR) == REDACTOR.redact_bytes(data)


@given(
    st.lists(st.text('abAB01/+ é\n%"\\', min_size=6, max_size=20), min_size=1, max_size=4),
    st.lists(
        st.tuples(st.integers(0, 3), st.sampled_from(["raw", "base64", "hex", "url"]), st.text("ab0\n ", max_size=5))
    ),
    st.lists(st.integers(0, 10_000), max_size=10),
)
def test_a_known_value_never_leaks_over_any_chunks(
    values: list[str], plan: list[tuple[int, str, str]], cuts: list[int]
) -> None:
    encoders = {
        "raw": lambda raw: raw,
        "base64": base64.b64encode,
        "hex": lambda raw: raw.hex().encode(),
        "url": lambda raw: quote(raw, safe="").encode(),
    }
    redactor = Redactor({f"S{number}": value for number, value in enumerate(values)})
    data = b""
    for which, form, between in plan:
        data += between.encode() + encoders[form](values[which % len(values)].encode())
    out = chunked(data, cuts, redactor)
    assert out == redactor.redact_bytes(data)
    for value in values:
        raw = value.encode()
        assert raw not in out
        assert raw.hex().encode() not in out
        assert quote(raw, safe="").encode() not in out
        assert base64.b64encode(raw).rstrip(b"=")[:-1] not in out


@settings(max_examples=40)
@given(st.text(st.characters(exclude_categories=[])), st.text(min_size=6, max_size=12))
def test_text_without_secrets_is_not_changed(text: str, value: str) -> None:
    redactor = Redactor({"V": value})
    assume("[redacted" not in redactor.redact(text))
    assert redactor.redact(text) is text
