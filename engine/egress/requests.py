"""What a client asks of the proxy, read strictly: one request, of which there is exactly one understanding.

HTTP/1.1 as RFC 9112 has it, less all that two readers have ever understood differently: bare line feeds, folded lines,
blanks before a colon, two lengths, a Host that is not the target. A request that passes is written anew.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from engine.egress.hosts import Target, parse_target

HEADERS_MAX: Final = 100
_REQUEST_LINE: Final = re.compile(rb"([A-Z][A-Z-]{0,19}) ([\x21-\x7e]+) HTTP/1\.[01]")
_URL: Final = re.compile(rb"http://([^/?#@\\]+)((?:[/?][^#]*)?)", re.IGNORECASE)
_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
_OF_THIS_HOP: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"proxy-authorization", b"proxy-authenticate", b"te",
     b"trailer", b"upgrade", b"http2-settings")
)  # fmt: skip
_NOT_TO_BE_DROPPED: Final = frozenset((b"host", b"content-length", b"transfer-encoding", b"authorization", b"cookie"))
"""What a client may not have dropped by naming it in Connection."""
REASONS: Final = {
    400: "Bad Request",
    403: "Forbidden",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    502: "Bad Gateway",
    504: "Gateway Timeout",
}


class Refusal(Exception):
    """The proxy does not do it. `sentence` is for the client; `target` is what it wanted, where that is known."""

    def __init__(self, status: int, sentence: str, target: Target | None = None) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.target = status, sentence, target

    def response(self) -> bytes:
        """The whole answer."""
        body = f"swarm: {self.sentence}\n".encode("ascii", "backslashreplace")
        lines = [
            f"HTTP/1.1 {self.status} {REASONS[self.status]}",
            "Content-Type: text/plain; charset=us-ascii",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *(['Proxy-Authenticate: Basic realm="swarm"'] if self.status == 407 else []),
        ]
        return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body


@dataclass(frozen=True)
class Request:
    """A tunnel (`method` CONNECT), or one plain request.

    path: begins with a slash. headers: of the plain request as they are sent on, less Host. length: of its body in
    bytes; None: it comes in chunks. authorization: of Proxy-Authorization, "" without one.
    """

    method: str
    target: Target
    path: bytes = b"/"
    headers: tuple[bytes, ...] = ()
    length: int | None = 0
    authorization: str = ""

    @property
    def is_tunnel(self) -> bool:
        return self.method == "CONNECT"

    def head(self, *, through: tuple[bytes, ...] | None = None) -> bytes:
        """What is sent on, up to the empty line. through: to another proxy, with these headers for it."""
        host = str(self.target).removesuffix(":80").encode("ascii")
        path = self.path if through is None else b"http://" + host + self.path
        lines = (b"Host: " + host, *(through or ()), *self.headers, b"Connection: close")
        return b"\r\n".join((self.method.encode("ascii") + b" " + path + b" HTTP/1.1", *lines)) + b"\r\n\r\n"


def parse_request(head: bytes) -> Request:
    """The request whose head this is, with the empty line at its end. Raises Refusal."""
    line, *rest = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    found = _REQUEST_LINE.fullmatch(line)
    if found is None:
        raise Refusal(400, "this is no HTTP/1.1 request")
    method, wanted = found[1].decode("ascii"), found[2]
    if method == "CONNECT":
        target, path = _target(wanted, 0), b"/"
    else:
        url = _URL.fullmatch(wanted)
        if url is None:
            raise Refusal(400, "this is a proxy: ask for http://HOST/PATH, or for CONNECT HOST:PORT")
        target, path = _target(url[1], 80), url[2] if url[2].startswith(b"/") else b"/" + url[2]
    headers = _headers(rest)
    _check_host(headers, target, 80 if method != "CONNECT" else 0)
    authorization = _single(headers, b"proxy-authorization") or b""
    said = authorization.decode("ascii", "replace")
    if method == "CONNECT":
        return Request(method, target, authorization=said)
    return Request(method, target, path, _passed_on(headers), _length(headers), said)


def _target(raw: bytes, default_port: int) -> Target:
    try:
        return parse_target(raw.decode("ascii"), default_port)
    except ValueError as error:
        raise Refusal(400, f"the host of this request is not understood: {error}") from None


def _headers(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    """(name in small letters, value) in order."""
    if len(lines) > HEADERS_MAX:
        raise Refusal(431, f"this request has more than {HEADERS_MAX} headers")
    headers: list[tuple[bytes, bytes]] = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise Refusal(400, "this request has a header that is not understood")
        headers.append((name.lower(), value.strip(b" \t")))
    return headers


def _check_host(headers: list[tuple[bytes, bytes]], target: Target, default_port: int) -> None:
    """Of a tunnel, Host says nothing that anybody acts upon, but it may not say something else either; some clients
    leave its port away."""
    host = _single(headers, b"host")
    if host is None:
        return
    try:
        same = parse_target(host.decode("ascii"), default_port or target.port) == target
    except ValueError:
        same = False
    if not same:
        raise Refusal(400, "the Host of this request is not the host that it is for")


def _single(headers: list[tuple[bytes, bytes]], name: bytes) -> bytes | None:
    values = [value for each, value in headers if each == name]
    if len(values) > 1:
        raise Refusal(400, f"this request has {len(values)} headers {name.decode('ascii')}")
    return values[0] if values else None


def _length(headers: list[tuple[bytes, bytes]]) -> int | None:
    length, coding = _single(headers, b"content-length"), _single(headers, b"transfer-encoding")
    if coding is not None:
        if length is not None or coding.lower() != b"chunked":
            raise Refusal(400, "the length of this request is not understood")
        return None
    if length is None:
        return 0
    if not _LENGTH.fullmatch(length):
        raise Refusal(400, "the length of this request is not a number")
    return int(length)


def _passed_on(headers: list[tuple[bytes, bytes]]) -> tuple[bytes, ...]:
    named = {
        word.strip().lower() for name, value in headers if name == b"connection" for word in value.split(b",")
    }  # fmt: skip
    if named & _NOT_TO_BE_DROPPED:
        raise Refusal(400, "the Connection of this request names a header that has to stay")
    dropped = named | _OF_THIS_HOP | {b"host"}
    return tuple(name + b": " + value for name, value in headers if name not in dropped)
