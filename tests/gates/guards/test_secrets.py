"""Secrets: well-known keys and chance-made values are refused and never repeated; ordinary text passes."""

import base64
import hashlib
import json
import string
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text.redact import Redactor
from gates.guards.secrets import SecretsGuard
from tests.gates.guards.changes import Base, Files, Link, change, judge


def chance(count: int, signs: str = string.ascii_letters + string.digits, seed: str = "x") -> str:
    """Made by chance, and always the same; no key is written out in this file."""
    raw = b"".join(hashlib.sha256(f"{seed}{n}".encode()).digest() for n in range(count // 16 + 1))
    return "".join(signs[byte % len(signs)] for byte in raw)[:count]


UPPER = string.ascii_uppercase + "234567"
KEYS = {
    "aws": "AKI" + "A" + chance(16, UPPER),
    "github": "gh" + "p_" + chance(36),
    "github fine": "github" + "_pat_" + chance(22) + "_" + chance(59),
    "gitlab": "glp" + "at-" + chance(20),
    "slack": "xox" + "b-" + chance(12, string.digits) + "-" + chance(24),
    "google": "AI" + "za" + chance(35),
    "stripe": "sk" + "_live_" + chance(24),
    "anthropic": "sk-" + "ant-api03-" + chance(80),
    "openai": "sk-" + "proj-" + chance(60),
    "hugging face": "hf" + "_" + chance(34, string.ascii_letters),
    "npm": "np" + "m_" + chance(36),
    "jwt": "ey" + "J" + chance(30) + ".ey" + "J" + chance(40) + "." + chance(43),
    "url": "postgres://app:" + chance(16) + "@db.internal/main",
}


def secrets(files: Files, base: Base | None = None, **fields: object):
    return judge(SecretsGuard(), files, base, **fields)


@pytest.mark.parametrize("kind", KEYS)
@pytest.mark.parametrize("around", ["{}", 'KEY = "{}"', "curl -H 'x: {}' # y", "{{a: {}}}"])
def test_known_formats_are_refused_and_not_repeated(kind: str, around: str) -> None:
    key = KEYS[kind]
    refused = secrets({"src/a.py": "x = 1\n" + around.format(key) + "\n"})
    assert (refused.ok, refused.paths) == (False, ["src/a.py"])
    assert "src/a.py:2 holds what looks like" in refused.reason
    secret = key.partition(":")[2] or key
    assert not any(secret[at : at + 8] in refused.reason for at in range(4, len(secret) - 8))
    assert secrets({"src/a.py": "x = 1\n" + around.format(key[: len(key) // 2 - 4]) + "\n"}).ok


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("a.py", 'api_key = "{}"'),
        ("a.py", "SECRET_TOKEN = '{}'"),
        ("a.json", '"clientSecret": "{}"'),
        (".env", "DB_PASSWORD={}"),
        (".env.local", "TOKEN={}"),
        ("deploy.yaml", "  password: {}"),
        ("a.toml", 'private_key = "{}"'),
    ],
)
def test_values_made_by_chance_in_assignments(path: str, line: str) -> None:
    assert not secrets({path: line.format(chance(32)) + "\n"}).ok
    assert secrets({path: line.format("your-secret-goes-here-please") + "\n"}).ok
    assert secrets({path: line.format("settings.token_of_the_user_name") + "\n"}).ok


@pytest.mark.parametrize(
    "text",
    [
        "token = os.environ['SOME_LONG_VARIABLE_NAME_1']",
        'password = get_password_from_the_keyring("service-name-12345")',
        "AKIA" + "IOSFODNN7EXAMPLE",
        'commit = "' + hashlib.sha1(b"x").hexdigest() + '"',
        '"integrity": "sha512-' + base64.b64encode(hashlib.sha512(b"x").digest()).decode() + '"',
        'uuid = "123e4567-e89b-12d3-a456-426614174000"',
        "-----BEGIN PRIVATE KEY-----",
        "re.compile('-----BEGIN [A-Z ]+PRIVATE KEY-----')",
        "token_type: access_token_response_with_a_long_name",
        "https://user:${PASSWORD}@host/x",
        "tokenizer = 'bert-base-multilingual-cased-v2-large'",
        "sk-learn-is-a-library-with-a-name-that-starts-like-a-key",
    ],
)
def test_ordinary_lines_pass(text: str) -> None:
    result = secrets({"src/a.py": text + "\n"})
    assert result.ok, result.reason


def test_private_keys_are_seen_over_lines_and_in_one() -> None:
    body = "\n".join(chance(64, string.ascii_letters + string.digits + "+/", str(n)) for n in range(5))
    for kind in ("RSA ", "EC ", "OPENSSH ", "ENCRYPTED ", ""):
        pem = f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----\n"
        assert not secrets({"deep/id": pem}).ok
        assert not secrets({"a.json": json.dumps({"k": pem})}).ok
        assert not secrets({"a.py": 'K = """' + pem.replace("\n", "\r\n") + '"""'}).ok
    public = f"-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"
    assert secrets({"id.pub": public}).ok


def test_lines_that_stood_there_before_are_not_new() -> None:
    line = f"key = '{KEYS['github']}'\n"
    assert secrets({"a.py": "x = 1\n" + line}, {"a.py": line}).ok
    assert secrets({"b.py": line, "a.py": None}, {"a.py": line}).ok
    assert not secrets({"b.py": line}, {"a.py": line}).ok
    assert not secrets({"a.py": line}, {"a.py": "key = None\n"}).ok


def test_a_test_that_needs_one_is_named_in_full() -> None:
    files = {"tests/fixture.txt": KEYS["github"]}
    assert secrets(files, allow=("tests/fixture.txt",)).ok
    assert not secrets(files, allow=("tests/**",)).ok
    switched_off = secrets(files, secrets=False)
    assert switched_off.ok
    assert "were not looked for" in switched_off.reason


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_other_encodings_do_not_hide_a_key(coding: str) -> None:
    assert not secrets({"a.txt": f"x {KEYS['github']} y\n".encode(coding)}).ok


def test_names_and_link_targets_are_looked_at() -> None:
    named = secrets({f"docs/{KEYS['github']}.md": "x"})
    assert not named.ok
    assert KEYS["github"] not in named.reason
    assert not secrets({"link": Link(KEYS["github"].encode())}).ok


def test_what_is_too_large_to_look_through_is_refused() -> None:
    assert secrets({"a.txt": b"x" * 32_000_000}).ok
    assert "too large" in secrets({"a.txt": b"x" * 32_000_001}).reason


@given(st.binary(max_size=400))
def test_any_bytes_are_judged(content: bytes) -> None:
    SecretsGuard().judge(change({"a.py": content, ".env": content}))


GIVEN = "k3y.of-this/agent+alone=91"


@pytest.mark.parametrize("form", [GIVEN, GIVEN[::-1], GIVEN.encode().hex(), base64.b64encode(GIVEN.encode()).decode()])
def test_a_value_that_an_agent_was_given_is_found_in_any_form_and_never_repeated(form: str) -> None:
    made = change({"a.py": f"x = 1\ny = {form!r}\n"}, allow=("a.py",))
    assert SecretsGuard().judge(made).ok  # the control: nobody knows it
    found = SecretsGuard().judge(replace(made, redactor=Redactor({"API_KEY": GIVEN})))
    assert not found.ok
    assert found.reason.startswith("a.py:2 holds the value of API_KEY")
    assert form not in found.reason


def test_a_path_that_holds_such_a_value_is_refused_and_one_that_stood_there_before_is_not_new() -> None:
    known = Redactor({"API_KEY": GIVEN.replace("/", "_")})
    value = GIVEN.replace("/", "_")
    named = SecretsGuard().judge(replace(change({f"docs/{value}.md": "x"}), redactor=known))
    assert not named.ok
    assert value not in named.reason
    before = {"a.py": f"x = {value!r}\n"}
    assert SecretsGuard().judge(replace(change({"a.py": f"x = {value!r}\ny = 2\n"}, before), redactor=known)).ok
