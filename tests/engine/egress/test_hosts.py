"""What an entry of `network` allows, and what looks like it and is not."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.egress.hosts import Allowlist, Target, host_problem, is_public, parse_target


@pytest.mark.parametrize(
    ("entry", "allowed", "refused"),
    [
        ("api.example.com", ["api.example.com:443", "api.example.com:80", "API.Example.COM:443"], [
            "api.example.com:22", "api.example.com:8443", "example.com:443", "x.api.example.com:443",
            "api.example.com.evil.test:443", "xapi.example.com:443", "api-example.com:443",
        ]),
        ("API.example.com:8443", ["api.example.com:8443"], ["api.example.com:443", "api.example.com:80"]),
        ("*.example.com", ["a.example.com:443", "a.b.example.com:80"], [
            "example.com:443", "a.example.com:22", "aexample.com:443", "a.example.com.evil.test:443",
        ]),
        ("*.example.com:8443", ["a.example.com:8443"], ["a.example.com:443"]),
        ("10.0.0.5", ["10.0.0.5:443", "10.0.0.5:80"], ["10.0.0.5:8080", "10.0.0.50:443"]),
        ("127.0.0.1:11434", ["127.0.0.1:11434"], ["127.0.0.1:11435", "localhost:11434", "127.0.0.2:11434"]),
        ("fd00::5", ["[fd00::5]:443", "[fd00:0:0::5]:80"], ["[fd00::6]:443"]),
        ("[::1]:8080", ["[::1]:8080"], ["[::1]:80", "127.0.0.1:8080"]),
        ("localhost:11434", ["localhost:11434"], ["localhost:80", "127.0.0.1:11434"]),
        ("xn--e1afmkfd.example", ["xn--e1afmkfd.example:443"], ["e1afmkfd.example:443"]),
    ],
)  # fmt: skip
def test_an_entry_allows_exactly_what_it_says(entry: str, allowed: list[str], refused: list[str]) -> None:
    hosts = Allowlist([entry])
    assert hosts.ignored == ()
    assert [each for each in allowed if not hosts.allows(parse_target(each))] == []
    assert [each for each in refused if hosts.allows(parse_target(each))] == []


WRONG = [
    "", " ", "*", "*.", "*.com", "*.1.2.3.4", "*example.com", "a.*.com", "https://example.com", "example.com/", "a b",
    "example.com:", "example.com:0", "example.com:65536", "example.com:0443", "example.com:+1", "example.com:٣",
    "user@example.com", "example.com.", ".example.com", "a..b", "-a.com", "a-.com", "x" * 64 + ".com",
    "a." * 127 + "com",
    "exаmple.com", "ехample.com:443", "example。com", "\u017f.example", "\u212a.example", "example.com\n",
    "exa\0mple.com",
    "127.1", "2130706433", "0x7f.0.0.1", "0177.0.0.1", "1.2.3.4.5", "a.0x1f", "010.0.0.1", "fe80::1%eth0",
    "[::1", "[1.2.3.4]",
    "::ffff:1.2.3.4:80:90:1:2:3",
]  # fmt: skip


@pytest.mark.parametrize("entry", WRONG)
def test_what_is_no_host_allows_nothing_and_is_told(entry: str) -> None:
    hosts = Allowlist([entry, "good.example"])
    assert hosts.ignored == (entry,)
    assert host_problem(entry)
    assert hosts.allows(Target("good.example", 443))
    with pytest.raises(ValueError):
        parse_target(entry if ":" in entry.lstrip("[:") else f"{entry}:443")


def test_a_server_on_this_machine_needs_a_port_in_the_settings() -> None:
    assert "11434" in host_problem("localhost")
    assert host_problem("127.0.0.1")
    assert not any(map(host_problem, ("localhost:11434", "127.0.0.1:80", "api.example.com", "*.example.com")))


def test_servers_on_this_machine_are_found_for_the_relay() -> None:
    hosts = Allowlist(
        ["localhost:11434", "127.0.0.1:8080", "[::1]:9000", "127.0.0.1", "api.example.com:8080", "10.0.0.5:99"]
    )
    assert list(map(str, hosts.on_this_machine())) == ["127.0.0.1:8080", "[::1]:9000", "localhost:11434"]


NOT_PUBLIC = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254",
    "192.0.0.1", "192.0.2.1", "198.18.0.1", "203.0.113.9", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "::", "::1", "fe80::1", "fec0::1", "fc00::1", "fd00::1", "ff02::1", "2001:db8::1", "100::1",
    "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "2002:a00:1::1", "64:ff9b:1::1",
]  # fmt: skip


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_allowed_name_may_not_lead_to_an_address_that_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))
    assert not Allowlist(["api.example.com"]).allows_address(address, 443)
    listed = Allowlist(["api.example.com", address])
    assert listed.allows_address(address, 443)
    assert not listed.allows_address(address, 8443)


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "2a00:1450:4001::1", "64:ff9b::101:101"]
)
def test_an_allowed_name_may_lead_to_a_public_address(address: str) -> None:
    assert Allowlist([]).allows_address(address, 443)


def test_an_address_of_an_interface_is_none() -> None:
    assert not Allowlist([]).allows_address("2606:4700::1111%eth0", 443)


@given(st.text(max_size=40), st.integers(1, 65535))
def test_what_is_refused_can_be_allowed_as_it_is_written(text: str, port: int) -> None:
    """`host:port` of a refusal goes into a question, and from its answer into the list."""
    try:
        target = parse_target(text, port)
    except ValueError:
        return
    assert parse_target(str(target)) == target
    assert Allowlist([str(target)]).allows(target)
    assert str(target).isascii()
    assert str(target).isprintable()


@given(
    st.lists(
        st.sampled_from(["a", "b", "-", ".", "*", "1", ":", "[", "]", "443", "xn--", "а", "%", "@", "/"]), max_size=12
    )
)
def test_a_target_is_allowed_only_by_an_entry_with_its_bytes(parts: list[str]) -> None:
    hosts = Allowlist(["a.b", "*.b.a:443", "b1:443"])
    try:
        target = parse_target("".join(parts), 443)
    except ValueError:
        return
    if hosts.allows(target):
        assert target.host in ("a.b", "b1") or target.host.endswith(".b.a")
