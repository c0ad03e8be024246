"""Secrets out of text: known values first, in every form they are likely to take, then a few well-known patterns.

This is a net under every sink (logs, journal, prompts, reports), not a wall: a program that means to leak can always
encode a secret some other way. The wall is that agents do not get secrets, and no network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple, cast

MIN_CHARACTERS: Final = 6
"""Shorter values are left alone: they would blot out ordinary words."""

_GRAM: Final = 4
"""Bytes of the samples by which a text is found free of known values without a search for each."""
_TOKEN: Final = rb"[A-Za-z0-9_.~+/=-]"
_TOKEN_BYTES: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.~+/=-"
_TOKEN_CAP: Final = 1024
"""No pattern but the private key looks at more bytes than this, so a stream need not hold back more."""
_KEY_CAP: Final = 16_384
_KEY_OPEN: Final = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_CLOSE: Final = re.compile(rb"-----END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY: Final = re.compile(rb"(?:[A-Za-z0-9+/=\s]|\\[nr]){0,%d}" % _KEY_CAP)
_KEY_OPEN_PART: Final = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,60}-{0,4}\Z")
_BEARER_PART: Final = re.compile(rb"[Bb]earer[ \t]{1,4}\Z")


class _Pattern(NamedTuple):
    """`gates`: one of these must be in the data before the expression is tried, which is slow; group 1 is what goes."""

    name: str
    gates: frozenset[bytes]
    expression: re.Pattern[bytes]


def _pattern(name: str, gates: tuple[bytes, ...], expression: bytes) -> _Pattern:
    # Not in the middle of a word; but the letter of an escape in JSON, as in \\nghp_…, is no part of one.
    return _Pattern(name, frozenset(gates), re.compile(rb"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))" + expression))


_PATTERNS: Final = (
    _pattern("github-token", (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_"), rb"(gh[pousr]_[A-Za-z0-9]{20,512})"),
    _pattern("github-token", (b"github_pat_",), rb"(github_pat_[A-Za-z0-9_]{20,512})"),
    _pattern("api-key", (b"sk-ant-",), rb"(sk-ant-[A-Za-z0-9_-]{16,512})"),
    # Without a digit in it, it is a word such as sk-something-very-long.
    _pattern("api-key", (b"sk-",), rb"(sk-(?=[A-Za-z_-]{0,200}[0-9])[A-Za-z0-9_-]{20,512})"),
    _pattern("aws-key-id", (b"AKIA", b"ASIA"), rb"(A[KS]IA[0-9A-Z]{16})(?![0-9A-Z])"),
    _pattern("slack-token", (b"xox",), rb"(xox[abeoprs]-[A-Za-z0-9-]{10,512})"),
    _pattern("gitlab-token", (b"glpat-",), rb"(glpat-[A-Za-z0-9_-]{20,512})"),
    _pattern("google-key", (b"AIza",), rb"(AIza[0-9A-Za-z_-]{35})"),
    _pattern("bearer", (b"earer",), rb"[Bb]earer[ \t]{1,4}(" + _TOKEN + rb"{16,512})"),
)


_GATES: Final = tuple(sorted({gate for pattern in _PATTERNS for gate in pattern.gates}))


class _Span(NamedTuple):
    """What goes, and from where on it must be seen to be recognised (`Bearer` itself stays)."""

    start: int
    end: int
    name: str
    seen_from: int


def _base64_cores(value: bytes) -> list[bytes]:
    """What stands for `value` in any base64 text that contains it: for each alignment, the characters that it alone
    determines. Standard and URL-safe alphabet."""
    import base64

    cores: list[bytes] = []
    for offset in range(3):
        encoded = base64.b64encode(bytes(offset) + value)
        first = -(-offset * 8 // 6)
        last = (offset + len(value)) * 8 // 6
        core = encoded[first:last]
        cores += [core, core.translate(bytes.maketrans(b"+/", b"-_"))]
    return cores


def _forms(value: str) -> set[bytes]:
    # Imported here: a process that only redacts (see `forms`) starts faster without them.
    import json
    from urllib.parse import quote, quote_plus

    raw = value.encode("utf-8", "surrogatepass")
    quoted = [quote(raw, safe=""), quote(raw), quote_plus(raw)]
    forms = {raw, raw[::-1], raw.hex().encode(), raw.hex().upper().encode(), *_base64_cores(raw)}
    forms |= {text.encode() for text in quoted}
    forms |= {re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), text).encode() for text in quoted}
    in_json = [json.dumps(value), json.dumps(value, ensure_ascii=False)]
    forms |= {text[1:-1].encode("utf-8", "surrogatepass") for text in in_json}
    if "\n" in value:
        forms.add(raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"))
    return forms


class Redactor:
    """Replaces secrets by `[redacted:NAME]`. `secrets`: name -> value, such as the environment given to one agent.

    A value counts wherever it occurs whole: as it is, reversed, as base64 in any alignment, as hex, URL-quoted, or in
    JSON. Values under six characters are ignored. Wrapped base64 (with line breaks) and a value that is printed in
    pieces are not found. Immutable, so it may be shared by threads.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        names: dict[bytes, str] = {}
        for name, value in secrets.items():
            if len(value) >= MIN_CHARACTERS:
                label = re.sub(r"[^A-Za-z0-9_.-]", "_", name)[:64]
                names |= {form: label for form in _forms(value) if form not in names}
        self._learn(names.items())

    @classmethod
    def of_forms(cls, forms: Iterable[tuple[bytes, str]]) -> Redactor:
        """The redactor whose `forms` these are, perhaps in another process."""
        made = cls({})
        made._learn(forms)
        return made

    @property
    def forms(self) -> list[tuple[bytes, str]]:
        """Everything that is searched for by value, with its name: as secret as the values themselves."""
        return list(self._known)

    def _learn(self, forms: Iterable[tuple[bytes, str]]) -> None:
        # Longest first, so that a value which contains another one gives the name.
        self._known = tuple(sorted(forms, key=lambda item: (-len(item[0]), item)))
        # A form that stands in a text covers at least one of the text's samples of _GRAM bytes, if they are taken at
        # this distance from each other; and what it covers one with is among these.
        shortest = min((len(form) for form, _ in self._known), default=_GRAM)
        self._distance = shortest - _GRAM + 1
        self._samples: dict[bytes, set[int]] = {}
        for number, (form, _) in enumerate(self._known):
            for at in range(self._distance):
                self._samples.setdefault(form[at : at + _GRAM], set()).add(number)

    def redact(self, text: str) -> str:
        """`text` without secrets. Clean text is returned as it is."""
        data = text.encode("utf-8", "surrogatepass")
        spans = self._spans(data, b"")
        return _replaced(data, spans).decode("utf-8", "surrogatepass") if spans else text

    def redact_bytes(self, data: bytes) -> bytes:
        """`data` without secrets."""
        return _replaced(data, self._spans(data, b""))

    def redact_all(self, value: Any) -> Any:
        """JSON-ready data with every string in it redacted, keys too."""
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, dict):
            pairs = cast("dict[Any, Any]", value).items()
            return {self.redact_all(key): self.redact_all(inner) for key, inner in pairs}
        if isinstance(value, (list, tuple)):
            return [self.redact_all(inner) for inner in cast("list[Any]", value)]
        return value

    def known_in(self, text: str) -> list[tuple[int, str]]:
        """Where known values stand in `text`, in any form: index of the character, and name; sorted."""
        if not self._known:
            return []
        data = text.encode("utf-8", "surrogatepass")
        found = sorted((span.start, span.name) for span in self._known_spans(data))
        return [(len(data[:at].decode("utf-8", "replace")), name) for at, name in found]

    def stream(self) -> RedactingStream:
        """A redactor for bytes that come in chunks."""
        return RedactingStream(self)

    def _spans(self, data: bytes, before: bytes) -> list[_Span]:
        """Where secrets stand in `data`, sorted, without overlaps. `before`: up to two bytes in front of `data`."""
        known = self._known_spans(data)
        present = [gate for gate in _GATES if gate in data]
        if not known and not present and b"-----BEGIN " not in data:
            return []
        guessed: list[_Span] = []
        for pattern in _PATTERNS if present else ():
            if not pattern.gates.isdisjoint(present):
                for found in pattern.expression.finditer(before + data, len(before)):
                    seen_from, start, end = (at - len(before) for at in (found.start(), *found.span(1)))
                    guessed.append(_Span(start, end, pattern.name, seen_from))
        return _merged(known, guessed + _private_keys(data))

    def _known_spans(self, data: bytes) -> list[_Span]:
        known: list[_Span] = []
        for form, name in self._possible(data):
            at = data.find(form)
            while at >= 0:
                known.append(_Span(at, at + len(form), name, at))
                at = data.find(form, at + 1)
        return known

    def _possible(self, data: bytes) -> list[tuple[bytes, str]]:
        """The forms that may stand in `data`: nearly always none."""
        if not self._known:
            return []
        samples, taken = self._samples, range(0, len(data) - _GRAM + 1, self._distance)
        hits = {gram for at in taken if (gram := data[at : at + _GRAM]) in samples}
        return [self._known[number] for number in sorted({each for gram in hits for each in samples[gram]})]

    def _settled(self, data: bytes) -> int:
        """How many leading bytes of `data` no later byte can make part of a secret."""
        cut = len(data)
        for form, _ in self._known:
            cut = min(cut, _start_of_prefix(data, form))
        tail = data[-_TOKEN_CAP:]
        rest = tail.rstrip(_TOKEN_BYTES)
        bearer = _BEARER_PART.search(rest[-16:])
        cut = min(cut, len(data) - len(tail) + len(rest) - (len(bearer[0]) if bearer else 0))
        if (part := _KEY_OPEN_PART.search(data[-80:])) is not None:
            cut = min(cut, len(data[:-80]) + part.start())
        # A private key that is open may still be closed, unless more than a key's length has gone by.
        recent = max(0, len(data) - _KEY_CAP - 200)
        closed = max((found.end() for found in _KEY_CLOSE.finditer(data, recent)), default=recent)
        if (opened := _KEY_OPEN.search(data, closed)) is not None and len(data) - opened.end() < _KEY_CAP + 80:
            cut = min(cut, opened.start())
        return cut


class RedactingStream:
    """Redacts a stream of chunks, such as a run's output, so that no border between chunks hides a secret.

    What comes out in all is what `redact_bytes` gives for the whole. After a line feed hardly anything is held back,
    except inside a private key. One stream, one thread.
    """

    def __init__(self, redactor: Redactor) -> None:
        self._redactor = redactor
        self._held = b""
        self._before = b""

    def feed(self, chunk: bytes) -> bytes:
        """Take a chunk; give what is settled by now, redacted."""
        data = self._held + chunk
        cut = self._redactor._settled(data)  # pyright: ignore[reportPrivateUsage]  # two halves of one thing
        spans = self._redactor._spans(data, self._before)  # pyright: ignore[reportPrivateUsage]
        for span in reversed(spans):
            if span.seen_from < cut < span.end:
                cut = span.seen_from
        self._held = data[cut:]
        settled = data[:cut]
        self._before = (self._before + settled)[-2:]
        return _replaced(settled, [span for span in spans if span.end <= cut])

    def finish(self) -> bytes:
        """Give what was held back, redacted; the stream may then be used anew."""
        data, before = self._held, self._before
        self._held = self._before = b""
        return _replaced(data, self._redactor._spans(data, before))  # pyright: ignore[reportPrivateUsage]


def _private_keys(data: bytes) -> list[_Span]:
    """Private keys in PEM; one that is cut off, as far as its body looks like one. Linear, whatever the data."""
    if b"-----BEGIN " not in data:
        return []
    spans: list[_Span] = []
    closings = [found.span() for found in _KEY_CLOSE.finditer(data)][::-1]
    for opened in _KEY_OPEN.finditer(data):
        if spans and opened.start() < spans[-1].end:
            continue
        while closings and closings[-1][0] < opened.end():
            closings.pop()
        if closings and closings[-1][0] - opened.end() <= _KEY_CAP:
            end = closings[-1][1]
        else:
            body = _KEY_BODY.match(data, opened.end())
            end = body.end() if body else opened.end()
        spans.append(_Span(opened.start(), end, "private-key", opened.start()))
    return spans


def _start_of_prefix(data: bytes, form: bytes) -> int:
    """Where the longest proper prefix of `form` starts that ends `data`; len(data) if there is none."""
    if not data or data[-1:] not in form:
        return len(data)
    at = data.find(form[:1], max(0, len(data) - len(form) + 1))
    while at >= 0:
        if form.startswith(data[at:]):
            return at
        at = data.find(form[:1], at + 1)
    return len(data)


def _merged(known: list[_Span], guessed: list[_Span]) -> list[_Span]:
    """One sorted list; overlapping spans become one, named after a known value if there is one in it."""
    rank = {id(span): place for place, span in enumerate(known)}
    merged: list[tuple[_Span, int]] = []
    for span in sorted([*known, *guessed], key=lambda span: (span.start, -span.end)):
        place = rank.get(id(span), len(known))
        if merged and span.start < merged[-1][0].end:
            last, best = merged[-1]
            name = span.name if place < best else last.name
            seen_from = min(last.seen_from, span.seen_from)
            merged[-1] = (_Span(last.start, max(last.end, span.end), name, seen_from), min(place, best))
        else:
            merged.append((span, place))
    return [span for span, _ in merged]


def _replaced(data: bytes, spans: list[_Span]) -> bytes:
    if not spans:
        return data
    parts: list[bytes] = []
    at = 0
    for span in spans:
        parts += [data[at : span.start], b"[redacted:%b]" % span.name.encode()]
        at = span.end
    return b"".join([*parts, data[at:]])
