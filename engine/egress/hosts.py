"""Which hosts a run may reach: the entries of `network` in the settings, and what they match.

| entry | allows |
|---|---|
| `api.example.com` | exactly that name, ports 443 and 80 |
| `api.example.com:8443` | exactly that name and port, whatever is spoken there |
| `*.example.com`, `*.example.com:8443` | every name below example.com, at any depth, and not example.com itself |
| `10.0.0.5`, `10.0.0.5:8080`, `[fd00::5]:8080`, `fd00::5` | that address; addresses are never reached otherwise |
| `localhost:11434` | a server on this machine; its port has to be named |

Names are compared byte by byte after ASCII letters are made small. Nothing else is folded: a name with other letters,
also one that only looks like an allowed one, has to be written as its `xn--` form, which shows what it is. A name that
leads to an address which is not public is reached only when that address is listed as well.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final, NamedTuple

DEFAULT_PORTS: Final = (443, 80)
"""What an entry without a port allows."""
FIRST_OPEN_PORT: Final = 1024
"""The lowest port on which a program without rights can listen, and so stand in for a server on this machine."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_LABEL: Final = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_PORT: Final = re.compile(r"[1-9][0-9]{0,4}", re.ASCII)
_UNICAST: Final = ipaddress.IPv6Network("2000::/3")
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


class Target(NamedTuple):
    """`host`: a name in small ASCII letters, or an address in its shortest form, without brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class _Entry(NamedTuple):
    host: str
    ports: tuple[int, ...]
    below: bool


class Allowlist:
    """The entries that make sense; the others allow nothing and are in `ignored`."""

    def __init__(self, entries: Iterable[str]) -> None:
        good: list[_Entry] = []
        ignored: list[str] = []
        for entry in entries:
            try:
                good.append(_parse_entry(entry))
            except ValueError:
                ignored.append(entry)
        self.ignored = tuple(ignored)
        self._below = tuple((f".{entry.host}", entry.ports) for entry in good if entry.below)
        self._exactly = {(entry.host, port) for entry in good if not entry.below for port in entry.ports}

    def allows(self, target: Target) -> bool:
        """Whether an entry names it. A name's addresses are another question: see `allows_address`."""
        if target in self._exactly:
            return True
        return any(target.port in ports and target.host.endswith(end) for end, ports in self._below)

    def allows_address(self, address: str, port: int) -> bool:
        """Whether a connection to an allowed name may go to this address, to which it was resolved."""
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(found, ipaddress.IPv6Address) and found.scope_id:
            return False
        return is_public(found) or Target(str(found), port) in self._exactly

    def on_this_machine(self) -> tuple[Target, ...]:
        """Servers on the loopback interface that are listed with a port on which a relay can stand in for them."""
        local = (Target(*each) for each in self._exactly if is_loopback(each[0]))
        return tuple(sorted(each for each in local if each.port >= FIRST_OPEN_PORT))


def parse_target(text: str, default_port: int = 0) -> Target:
    """`host:port`, or `host` where there is a default. Raises ValueError with what is wrong, for people."""
    host, port = _split(text)
    if port is None:
        if not default_port:
            raise ValueError("it has no port")
        port = default_port
    return Target(_host(host), port)


def host_problem(entry: str) -> str:
    """What is wrong with one entry of `network`, "" when nothing is."""
    try:
        parsed = _parse_entry(entry)
    except ValueError as error:
        return str(error)
    if is_loopback(parsed.host) and parsed.ports == DEFAULT_PORTS:
        return f"it has no port, as {parsed.host}:11434 has"
    return ""


def is_loopback(host: str) -> bool:
    """`localhost` or a loopback address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_public(address: Address) -> bool:
    """Whether it is an ordinary address of the internet, and so are those that it carries inside."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = _embedded(address)
        if inner and not all(is_public(each) for each in inner):
            return False
        if address in _NAT64:
            return True
        return address in _UNICAST and address.is_global and not address.is_reserved
    return address.is_global and not address.is_multicast and not address.is_reserved


def _embedded(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses to which a tunnel or a translator would go."""
    found = [each for each in (address.ipv4_mapped, address.sixtofour, *(address.teredo or ())) if each is not None]
    if address in _NAT64 or int(address) >> 32 == 0:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return found


def _parse_entry(entry: str) -> _Entry:
    below = entry.startswith("*.")
    host, port = _split(entry[2:] if below else entry)
    host = _host(host)
    if below and ("." not in host or _is_address(host)):
        raise ValueError("a star stands for what is below a name of two parts or more, as in *.example.com")
    return _Entry(host, DEFAULT_PORTS if port is None else (port,), below)


def _split(text: str) -> tuple[str, int | None]:
    """Host as written, without brackets, and port. Raises ValueError."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in host or (rest and not rest.startswith(":")):
            raise ValueError("an address in brackets is written as [fd00::5]:8080")
        return host, _port(rest[1:]) if rest else None
    if text.count(":") > 1:
        return text, None
    host, colon, port = text.partition(":")
    return host, _port(port) if colon else None


def _port(text: str) -> int:
    if not _PORT.fullmatch(text) or int(text) > 65535:
        raise ValueError("its port is not a number from 1 to 65535")
    return int(text)


def _host(text: str) -> str:
    """The canonical form. Raises ValueError."""
    if not text.isascii():
        raise ValueError("it has letters beyond ASCII: write its xn-- form, and look closely what it is")
    if _is_address(text):
        return str(ipaddress.ip_address(text))
    name = text.lower()
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise ValueError("it is not a host, as api.example.com or api.example.com:8443 is")
    if labels[-1].isdigit() or labels[-1].startswith("0x"):
        raise ValueError("it is neither a name nor an address of four plain numbers")  # inet_aton(3) takes 127.1
    return name


def _is_address(text: str) -> bool:
    try:
        return "%" not in text and bool(ipaddress.ip_address(text))
    except ValueError:
        return False
