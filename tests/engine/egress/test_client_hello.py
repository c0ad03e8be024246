"""Names in TLS greetings, as a real client writes them."""

from __future__ import annotations

import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.egress.client_hello import NotTls, server_name


def greeting(name: str | None, *, oldest: bool = False) -> bytes:
    """What OpenSSL sends first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if oldest:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    outgoing = ssl.MemoryBIO()
    tls = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname=name)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize("oldest", [False, True])
@pytest.mark.parametrize(
    ("name", "found"), [("api.example.com", "api.example.com"), ("API.Example.com", "api.example.com")]
)
def test_the_name_is_found(name: str, found: str, oldest: bool) -> None:
    assert server_name(greeting(name, oldest=oldest)) == found


def test_no_name_is_the_empty_one() -> None:
    assert server_name(greeting(None)) == ""


def test_it_may_come_in_any_number_of_pieces() -> None:
    data = greeting("api.example.com")
    assert {server_name(data[:size]) for size in range(len(data))} == {None}
    # The same handshake, cut into records of 50 bytes.
    pieces = [data[5:][at : at + 50] for at in range(0, len(data) - 5, 50)]
    records = b"".join(data[:3] + len(piece).to_bytes(2, "big") + piece for piece in pieces)
    assert server_name(records) == "api.example.com"


@pytest.mark.parametrize(
    "data", [b"SSH-2.0-x\r\n", b"GET / HTTP/1.1\r\n", b"\x16\x03\x01\x00\x00", b"\x17\x03\x03\x00\x01x"]
)
def test_other_protocols_are_told(data: bytes) -> None:
    with pytest.raises(NotTls):
        server_name(data)


def test_two_names_are_one_too_many() -> None:
    """The list may hold several by its format; who reads it may take the first or the last."""
    data = greeting("api.example.com")
    at = data.index(b"api.example.com")
    entry = b"\x00\x00\x09evil.test"
    grown = bytearray(data[:at] + b"api.example.com" + entry + data[at + 15 :])
    for place, width in ((at - 5, 2), (at - 7, 2), (6, 3), (3, 2), (_extensions(data), 2)):
        number = int.from_bytes(grown[place : place + width], "big") + len(entry)
        grown[place : place + width] = number.to_bytes(width, "big")
    with pytest.raises(NotTls):
        server_name(bytes(grown))


def _extensions(data: bytes) -> int:
    """Where the length of the extensions stands."""
    at = 5 + 4 + 2 + 32
    at += 1 + data[at]
    at += 2 + int.from_bytes(data[at : at + 2], "big")
    return at + 1 + data[at]


@given(st.binary(max_size=300), st.integers(0, 400))
def test_no_bytes_make_it_fail_otherwise(noise: bytes, at: int) -> None:
    base = bytes.fromhex("16030100640100006003031122")
    data = base[: at % (len(base) + 1)] + noise
    try:
        assert server_name(data) is None or isinstance(server_name(data), str)
    except NotTls:
        pass
