"""One understanding of a request, or none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.egress.hosts import Target
from engine.egress.requests import HEADERS_MAX, Refusal, parse_request


def head(*lines: str | bytes) -> bytes:
    return b"".join((line if isinstance(line, bytes) else line.encode()) + b"\r\n" for line in (*lines, ""))


def test_a_tunnel() -> None:
    request = parse_request(head("CONNECT API.example.com:443 HTTP/1.1", "Host: api.example.com"))
    assert request.is_tunnel
    assert request.target == Target("api.example.com", 443)


def test_a_plain_request_is_written_anew_without_what_is_meant_for_the_proxy() -> None:
    request = parse_request(
        head(
            "POST http://Api.example.com/v1?a=b HTTP/1.1",
            "Host: api.example.com:80",
            "Content-Length: 5",
            "Authorization: Bearer x",
            "Proxy-Authorization: Basic c3dhcm06eA==",
            "Proxy-Connection: keep-alive",
            "Connection: keep-alive, X-Mine",
            "X-Mine: 1",
            "Upgrade: h2c",
            "X-Other:  kept ",
        )
    )
    assert (request.target, request.length, request.authorization) == (
        Target("api.example.com", 80), 5, "Basic c3dhcm06eA==",
    )  # fmt: skip
    assert request.head().decode().split("\r\n") == [
        "POST /v1?a=b HTTP/1.1", "Host: api.example.com", "content-length: 5", "authorization: Bearer x",
        "x-other: kept",
        "Connection: close", "", "",
    ]  # fmt: skip
    through = request.head(through=(b"Proxy-Authorization: Basic Zm9v",)).decode().split("\r\n")
    assert through[0] == "POST http://api.example.com/v1?a=b HTTP/1.1"
    assert through[2] == "Proxy-Authorization: Basic Zm9v"
    assert "keep-alive" not in "".join(through)


@pytest.mark.parametrize(
    ("url", "target", "path"),
    [
        ("http://a.example", Target("a.example", 80), "/"),
        ("http://a.example:8080/x", Target("a.example", 8080), "/x"),
        ("HTTP://a.example?q", Target("a.example", 80), "/?q"),
        ("http://[::1]:99/", Target("::1", 99), "/"),
        ("http://a.example/http://b.example/@c", Target("a.example", 80), "/http://b.example/@c"),
    ],
)
def test_urls(url: str, target: Target, path: str) -> None:
    request = parse_request(head(f"GET {url} HTTP/1.1"))
    assert (request.target, request.path) == (target, path.encode())


OK = "GET http://a.example/ HTTP/1.1"
BAD = {
    "no absolute form": ["GET / HTTP/1.1", "Host: a.example"],
    "https": ["GET https://a.example/ HTTP/1.1"],
    "user": ["GET http://a.example@evil.test/ HTTP/1.1"],
    "user 2": ["GET http://evil.test:80@a.example/ HTTP/1.1"],
    "backslash": ["GET http://evil.test\\.a.example/ HTTP/1.1"],
    "fragment": ["GET http://a.example#@evil.test/ HTTP/1.1"],
    "blank in the target": ["GET http://a.example/ x HTTP/1.1"],
    "two blanks": ["GET  http://a.example/ HTTP/1.1"],
    "HTTP/2": ["GET http://a.example/ HTTP/2.0"],
    "HTTP/0.9": ["GET http://a.example/"],
    "small method": ["get http://a.example/ HTTP/1.1"],
    "letters beyond ASCII": ["GET http://exаmple.com/ HTTP/1.1"],
    "encoded host": ["GET http://a%2eexample/ HTTP/1.1"],
    "number for a host": ["GET http://2130706433/ HTTP/1.1"],
    "connect without a port": ["CONNECT a.example HTTP/1.1"],
    "connect to a URL": ["CONNECT http://a.example:443 HTTP/1.1"],
    "connect with a user": ["CONNECT x@a.example:443 HTTP/1.1"],
    "connect to a zone": ["CONNECT [fe80::1%25eth0]:443 HTTP/1.1"],
    "another Host": [OK, "Host: evil.test"],
    "another port in Host": [OK, "Host: a.example:8080"],
    "another Host of a tunnel": ["CONNECT a.example:443 HTTP/1.1", "Host: evil.test:443"],
    "two Hosts": [OK, "Host: a.example", "Host: a.example"],
    "hidden Host": [OK, "Host : evil.test"],
    "folded line": [OK, "X: 1", " Host: evil.test"],
    "bare line feed": [OK, "X: 1\nHost: evil.test"],
    "bare return": [OK, "X: 1\rHost: evil.test"],
    "NUL": [OK, "X: a\0b"],
    "no colon": [OK, "Host"],
    "empty name": [OK, ": x"],
    "two lengths": [OK, "Content-Length: 1", "Content-Length: 1"],
    "list of lengths": [OK, "Content-Length: 1, 1"],
    "signed length": [OK, "Content-Length: +1"],
    "length in hex": [OK, "Content-Length: 0x1"],
    "huge length": [OK, "Content-Length: " + "9" * 30],
    "length and chunks": [OK, "Content-Length: 1", "Transfer-Encoding: chunked"],
    "unknown coding": [OK, "Transfer-Encoding: gzip, chunked"],
    "odd coding": [OK, "Transfer-Encoding: xchunked"],
    "two codings": [OK, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"],
    "dropped length": [OK, "Content-Length: 5", "Connection: content-length"],
    "dropped key": [OK, "Authorization: x", "Connection: close, Authorization"],
}


@pytest.mark.parametrize("what", BAD)
def test_what_could_be_understood_in_two_ways_is_refused(what: str) -> None:
    assert parse_request(head(OK, "Host: a.example", "Connection: close")).target == Target("a.example", 80)
    with pytest.raises(Refusal) as refused:
        parse_request(head(*BAD[what]))
    assert refused.value.status == 400
    assert refused.value.target is None


def test_many_headers() -> None:
    parse_request(head(OK, *["X: 1"] * HEADERS_MAX))
    with pytest.raises(Refusal, match="more than"):
        parse_request(head(OK, *["X: 1"] * (HEADERS_MAX + 1)))


def test_a_refusal_says_its_sentence_in_plain_ascii() -> None:
    response = Refusal(403, "a\x1b[2J\n\u202eb").response()
    text, _, body = response.partition(b"\r\n\r\n")
    assert text.startswith(b"HTTP/1.1 403 Forbidden\r\n")
    assert f"Content-Length: {len(body)}".encode() in text
    assert body.isascii()


PIECES = [
    b"GET ", b"CONNECT ", b"http://", b"a.example", b":80", b"/", b" HTTP/1.1", b"\r\n", b"Host: ", b"\0", b"\n", b" ",
    b"@", b"[::1]", b"Content-Length: ", b"5", b"Transfer-Encoding: chunked", b"\xff", b"Connection: x",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=20))
def test_whatever_comes_is_a_request_for_one_host_or_is_refused(parts: list[bytes]) -> None:
    try:
        request = parse_request(b"".join(parts) + b"\r\n\r\n")
    except Refusal:
        return
    sent = request.head()
    assert sent.count(b"\r\n\r\n") == 1
    assert sent.endswith(b"\r\n\r\n")
    assert sent.count(b"\n") == sent.count(b"\r") == sent.count(b"\r\n")
    assert sent.lower().count(b"\r\nhost:") == 1
    assert b"\0" not in sent
