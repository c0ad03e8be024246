"""The user's own proxy, through which everything goes that leaves this machine, as his environment says.

`HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` (in small letters too) are read as curl(1) reads them. Only
`http://[user:password@]host:port` is spoken. Such a proxy looks names up itself: what they lead to is its to check.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from engine.egress.hosts import Target, is_loopback


@dataclass(frozen=True)
class Upstream:
    """Where it listens, and the headers that it wants (name and password in them)."""

    host: str
    port: int
    headers: tuple[bytes, ...] = ()


def upstream_for(target: Target, *, tunnel: bool, environ: Mapping[str, str]) -> Upstream | None:
    """The proxy by which `target` is reached, None: directly. Raises ValueError for one that is not spoken."""
    value = _setting(environ, "https" if tunnel and target.port != 80 else "http") or _setting(environ, "all")
    if not value or is_loopback(target.host) or _is_excepted(target, _setting(environ, "no")):
        return None
    parts = urlsplit(value if "://" in value else f"http://{value}")
    if parts.scheme != "http" or not parts.hostname:
        # Its words stay out of the message: they may hold a password.
        raise ValueError("the proxy in the engine's environment is not an http:// one, which is all that is spoken")
    headers: tuple[bytes, ...] = ()
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers = (b"Proxy-Authorization: Basic " + base64.b64encode(pair),)
    return Upstream(parts.hostname, parts.port or 80, headers)


def _setting(environ: Mapping[str, str], name: str) -> str:
    """In small letters first, as curl does."""
    return environ.get(f"{name}_proxy", "") or environ.get(f"{name.upper()}_PROXY", "")


def _is_excepted(target: Target, exceptions: str) -> bool:
    for entry in exceptions.replace(" ", ",").split(","):
        name = entry.strip().lower().lstrip("*").lstrip(".")
        host, _, port = name.partition(":") if name.count(":") == 1 else (name, "", "")
        if entry.strip() == "*":
            return True
        if host and (target.host == host or target.host.endswith(f".{host}")) and port in ("", str(target.port)):
            return True
    return False
