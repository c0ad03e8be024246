"""Guard "secrets": no added line holds a key or a password."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterator
from itertools import accumulate

from engine.errors import InfrastructureFault
from engine.models.report import GuardResult
from gates.guards.gitleaks import EXCEPTIONS, SETTINGS, GitleaksFault
from gates.guards.guard import GITLINK, SYMLINK, Judged, Row, file_name, listed, printable
from gates.guards.locks.table import kind_of

_FORMATS: tuple[tuple[str, tuple[str, ...], re.Pattern[str]], ...] = tuple(
    (name, hints, re.compile(rf"(?<![A-Za-z0-9_]){expression}"))
    for name, hints, expression in (
        ("an AWS key id", ("AKIA", "ASIA", "ABIA", "ACCA"), r"((?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16})(?![A-Za-z0-9])"),
        ("a GitHub token", ("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"(gh[pousr]_[A-Za-z0-9]{36,255})"),
        ("a GitHub token", ("github_pat_",), r"(github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59})"),
        ("a GitLab token", ("gl",), r"(gl(?:pat|dt|rt|ptt|oas|cbt|agent|soat|ft|imt|ffct)-[A-Za-z0-9_.-]{20,300})"),
        ("a Slack token", ("xox",), r"(xox[abeoprs]-[A-Za-z0-9]{6,60}-[A-Za-z0-9-]{10,200})"),
        ("a Slack token", ("xapp-",), r"(xapp-\d-[A-Z0-9]{1,40}-\d{1,40}-[a-z0-9]{32,})"),
        ("a Slack webhook", ("hooks.slack.com",), r"(hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9+/]{43,60})"),
        ("a Google key", ("AIza",), r"(AIza[0-9A-Za-z_-]{35})(?![0-9A-Za-z_-])"),
        ("a Google client secret", ("GOCSPX-",), r"(GOCSPX-[A-Za-z0-9_-]{28})"),
        ("a Stripe key", ("sk_", "rk_"), r"((?:sk|rk)_(?:live|test|prod)_[A-Za-z0-9]{16,200})"),
        ("a Stripe key", ("whsec_",), r"(whsec_[A-Za-z0-9+/]{32,})"),
        ("an Anthropic key", ("sk-ant-",), r"(sk-ant-(?:api|admin|oat|sid)\d\d-[A-Za-z0-9_-]{40,200})"),
        (
            "an OpenAI key",
            ("sk-",),
            r"(sk-(?:proj|svcacct|admin)-[A-Za-z0-9_-]{40,250}|sk-[A-Za-z0-9]{20}T3BlbkFJ[A-Za-z0-9]{20})",
        ),
        ("a Hugging Face token", ("hf_",), r"(hf_[A-Za-z]{34})(?![A-Za-z0-9])"),
        ("an npm token", ("npm_",), r"(npm_[A-Za-z0-9]{36})(?![A-Za-z0-9])"),
        ("a PyPI token", ("pypi-AgE",), r"(pypi-AgE[A-Za-z0-9_-]{50,})"),
        ("a crates.io token", ("cio",), r"(cio[A-Za-z0-9]{32})(?![A-Za-z0-9])"),
        ("a SendGrid key", ("SG.",), r"(SG\.[A-Za-z0-9_-]{22}\.[A-Za-z0-9_-]{43})"),
        ("a DigitalOcean token", ("_v1_",), r"(do[opr]_v1_[a-f0-9]{64})"),
        ("a Telegram token", (":AA",), r"(\d{8,10}:AA[A-Za-z0-9_-]{33})(?![A-Za-z0-9_-])"),
        (
            "a JSON web token",
            (".eyJ",),
            r"(eyJ[A-Za-z0-9_-]{17,1000}\.eyJ[A-Za-z0-9_-]{17,4000}\.[A-Za-z0-9_-]{20,1000})",
        ),
        ("an age key", ("AGE-SECRET-KEY-1",), r"(AGE-SECRET-KEY-1[0-9A-Z]{58})"),
        (
            "a password in an address",
            ("://",),
            r"[a-z][a-z0-9+.-]{1,20}://[^\s:/@'\"]{1,60}:([^\s:/@'\"{}$<>%]{8,100})@[\w.-]+",
        ),
    )
)
"""What it is, texts of which one must be there before the expression is worth trying, the expression; group 1 is it."""
_HINTS = tuple(dict.fromkeys(hint for _, hints, _ in _FORMATS for hint in hints))
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?:\s|\\r|\\n|[\"'+,#*/])*"
    r"(?:(?:Proc-Type|DEK-Info|Version|Comment):[^\n]*\n\s*)*[A-Za-z0-9+/=]{30}"
)
_ASSIGNED = re.compile(
    r"(?i)(?:secret|token|passw(?:or)?d|passphrase|api_?-?key|access_?-?key|private_?-?key|credentials?|auth_?-?key)"
    r"""[\w-]{0,30}["']?[ \t]{0,4}(?::=|=>|=|:)[ \t]{0,4}(["'`]?)([A-Za-z0-9_/+=.~!@#^&-]{20,200})\1?"""
)
_UNQUOTED_IN = (".env", ".ini", ".cfg", ".conf", ".properties", ".yaml", ".yml", ".toml", ".tfvars", ".envrc", ".sh")
_PLACEHOLDER = re.compile(
    r"(?i)example|changeme|placeholder|dummy|your[_-]|xxxx|0000000|1234567|abcdef|test|fake|sample|redacted|not[_-]?a|"
    r"replace|insert|todo|none|null|environ|getenv|process\.|secrets?\.|vault|\.\.\.|sha(?:256|384|512)-"
)
_WORD = r"(?:[A-Za-z]{1,15}\d{0,2}|v?\d{1,4})"
_CODE = re.compile(rf"^_*{_WORD}(?:[._/:-]+{_WORD})*$|^[A-Za-z_.-]+$")
_KEYWORDS = ("secret", "token", "passw", "passphrase", "key", "credential")
_MOST_BYTES = 32_000_000
_SHOWN_GIVEN = 5
_MIN_BITS = 3.7
"""Bits of entropy per character from which a value looks made by chance; words and names stay below."""


class SecretsGuard:
    """Known formats of keys everywhere, and in assignments to names such as `api_key` values that look made by chance.

    Lines that stood on the base (in this file, or in one that the change deletes) are not new. A test that needs such
    a text has its file named in full in the work order's `allow`; no permission opens a file to a value that an agent
    was given. The secret itself is never repeated. Where gitleaks is installed, what it finds in new lines counts too.
    """

    name = "secrets"

    def judge(self, change: Judged) -> GuardResult:
        if not change.request.guards.secrets:
            return GuardResult(
                rule=self.name, ok=True, reason="secrets = false in swarm.toml: they were not looked for."
            )
        moved = {line for row in change.rows if row.gone for line in _lines(change.old(row.path))}
        found: dict[str, list[str]] = {}
        for row in change.rows:
            if row.gone:
                continue
            text = _text(change.new(row.path) or b"")
            clauses = list(_given(change, row, text))
            clauses += [] if change.names(row.path) else _findings(change, row, text, moved)
            if clauses:
                found[row.path] = clauses
        try:
            for path, place, rule in _by_gitleaks(change, moved):
                clauses = found.setdefault(path, [])
                if not any(clause.startswith(f"{place} ") for clause in clauses):
                    clauses.append(f"{place} holds what gitleaks calls {rule}")
        except GitleaksFault as fault:
            if not found:  # not the fault of who made the change: nothing lands, and it is asked again
                raise InfrastructureFault(f"it is not known whether the change holds secrets: {fault}") from fault
        if not found:
            return GuardResult(rule=self.name, ok=True)
        said = listed(list(dict.fromkeys(clause for clauses in found.values() for clause in clauses)))
        reason = f"{said} Take it out and make it void, or name the file in full in the work order's allow."
        return GuardResult(rule=self.name, ok=False, reason=reason, paths=list(found))


def _given(change: Judged, row: Row, text: str) -> Iterator[str]:
    """Values that agents are given, in any form that the redactor knows: in the path, and in lines that are new."""
    in_path = change.redactor.known_in(row.path) if row.added else []
    in_text = change.redactor.known_in(text)[:_SHOWN_GIVEN]
    if not in_path and not in_text:
        return
    shown = printable(change.redactor.redact(row.path))
    if in_path:
        yield f"the path {shown} holds the value of {in_path[0][1]}"
    lines, old = text.split("\n"), set(_lines(change.old(row.path)))
    for at, name in in_text:
        number = text.count("\n", 0, at)
        if lines[number] not in old:
            yield f"{shown}:{number + 1} holds the value of {name}"


def _findings(change: Judged, row: Row, text: str, moved: set[str]) -> Iterator[str]:
    if row.added and (kind := next((kind for _, kind in _known_formats(row.path)), "")):
        yield f"the name of {printable(row.path)[:8]}… holds what looks like {kind}"
    if row.size > _MOST_BYTES:
        yield f"{printable(row.path)} is too large to be looked through for secrets"
        return
    if not text:
        return
    old = set(_lines(change.old(row.path))) | moved
    added = [(number, line) for number, line in enumerate(text.split("\n"), 1) if len(line) >= 16 and line not in old]
    new = "\n".join(line for _, line in added)
    starts = list(accumulate((len(line) + 1 for _, line in added), initial=0))
    found = list(_known_formats(new))
    if kind_of(row.path) is None:
        name = file_name(row.path)
        found += _assignments(new, bare=name.startswith(".env") or name.endswith(_UNQUOTED_IN))
    places = {added[bisect_right(starts, at) - 1][0]: kind for at, kind in reversed(found)}
    places.update(dict.fromkeys(_private_keys(text, old), "a private key"))
    for number, kind in sorted(places.items()):
        yield f"{printable(row.path)}:{number} holds what looks like {kind}"


def _by_gitleaks(change: Judged, moved: set[str]) -> Iterator[tuple[str, str, str]]:
    """Path, place for a sentence and rule of what gitleaks finds in new lines. Raises GitleaksFault."""
    files = {
        row.path: content
        for row in change.rows
        if not row.gone and row.new_mode not in (SYMLINK, GITLINK) and row.size <= _MOST_BYTES
        if not change.names(row.path) and (content := change.new(row.path))
    }
    if change.gitleaks is None or not files:
        return
    base = change.request.base_tree
    for leak in change.gitleaks.find(files, change.read(base, SETTINGS), change.read(base, EXCEPTIONS)):
        lines = _lines(files[leak.path])[leak.first - 1 : leak.last]
        old = set(_lines(change.old(leak.path))) | moved
        if not lines or any(line not in old for line in lines):
            yield leak.path, f"{printable(leak.path)}:{leak.first}", printable(leak.rule)


def _known_formats(text: str) -> Iterator[tuple[int, str]]:
    """Where in the text one begins, and what it is."""
    if not any(hint in text for hint in _HINTS):
        return
    for kind, hints, expression in _FORMATS:
        for match in expression.finditer(text) if any(hint in text for hint in hints) else ():
            value = match[1]
            if not value.endswith("EXAMPLE") and _bits(value) > 2.5 and not re.search(r"(.)\1{6}", value):
                yield match.start(1), kind


def _assignments(text: str, *, bare: bool) -> Iterator[tuple[int, str]]:
    lowered = text.lower()
    if not any(word in lowered for word in _KEYWORDS):
        return
    for match in _ASSIGNED.finditer(text):
        quote, value = match[1], match[2]
        if (not quote and not bare) or _PLACEHOLDER.search(value) or _CODE.match(value):
            continue
        if any(sign.isdigit() for sign in value) and any(sign.isalpha() for sign in value):
            hexadecimal = re.fullmatch(r"[0-9a-fA-F]{32,}", value) is not None
            if _bits(value) >= (3.0 if hexadecimal else _MIN_BITS):
                yield match.start(2), "a secret in an assignment"


def _private_keys(text: str, old: Collection[str]) -> Iterator[int]:
    """Numbers of the lines where a private key begins of which some line is new."""
    for match in _PRIVATE_KEY.finditer(text) if "PRIVATE KEY" in text else ():
        if any(line not in old for line in match[0].split("\n")):
            yield text.count("\n", 0, match.start()) + 1


def _bits(value: str) -> float:
    """Shannon's entropy per character."""
    return -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values())


def _lines(content: bytes | None) -> list[str]:
    return _text(content).split("\n") if content else []


def _text(content: bytes) -> str:
    """Any bytes as text in which a key can be found: UTF-16 too, and with zero bytes taken out."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16", "replace").replace("\r", "")
    if b"\0" in content:
        content = content.replace(b"\0", b"")
    return content.decode("utf-8", "replace").replace("\r", "")
