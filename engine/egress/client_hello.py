"""The name that a TLS client asks for, read from its first bytes (RFC 8446, section 4.1.2, and RFC 6066, section 3).

A tunnel to an allowed name could otherwise end at another site behind the same front: the name in the handshake, not
the address, decides at a content network who answers.
"""

from __future__ import annotations

HANDSHAKE, CLIENT_HELLO, SERVER_NAME = 22, 1, 0
LONGEST_BYTES = 65_536


class NotTls(ValueError):
    """These bytes do not begin a TLS handshake, or are more than any honest one has."""


def server_name(data: bytes) -> str | None:
    """The name, in small letters; "" when the client gives none. None: more bytes are needed. Raises NotTls."""
    hello = b""
    while data:
        if data[0] != HANDSHAKE or (len(data) > 1 and data[1] != 3):
            raise NotTls
        if len(data) < 5:
            return None
        size = int.from_bytes(data[3:5], "big")
        hello += data[5 : 5 + size]
        if not size or len(hello) > LONGEST_BYTES or (hello and hello[0] != CLIENT_HELLO):
            raise NotTls
        if len(hello) >= 4 and len(hello) >= 4 + int.from_bytes(hello[1:4], "big"):
            return _named(hello[4 : 4 + int.from_bytes(hello[1:4], "big")])
        data = data[5 + size :]
    return None


def _named(body: bytes) -> str:
    reader = _Reader(body)
    reader.skip(2 + 32)
    for width in (1, 2, 1):  # session, cipher suites, compression
        reader.block(width)
    if reader.is_empty():
        return ""
    extensions = _Reader(reader.block(2))
    while not extensions.is_empty():
        kind, content = extensions.number(2), extensions.block(2)
        if kind == SERVER_NAME:
            names = _Reader(_Reader(content).block(2))
            if names.number(1):
                raise NotTls
            name = names.block(2)
            if not names.is_empty() or not name.isascii():
                raise NotTls  # which of two names counts is decided differently
            return name.decode("ascii").lower()
    return ""


class _Reader:
    """Raises NotTls at the end of the bytes."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def is_empty(self) -> bool:
        return self._at == len(self._data)

    def skip(self, size: int) -> bytes:
        if self._at + size > len(self._data):
            raise NotTls
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, width: int) -> int:
        return int.from_bytes(self.skip(width), "big")

    def block(self, width: int) -> bytes:
        return self.skip(self.number(width))
