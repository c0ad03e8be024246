"""The user's own proxy, as his environment names it."""

from __future__ import annotations

import pytest

from engine.egress.hosts import Target
from engine.egress.upstream import Upstream, upstream_for

API = Target("api.example.com", 443)
PROXY = {"HTTPS_PROXY": "http://proxy.corp:3128"}


def test_without_variables_there_is_none() -> None:
    assert upstream_for(API, tunnel=True, environ={}) is None


@pytest.mark.parametrize(
    ("environ", "tunnel", "port"),
    [
        ({"HTTPS_PROXY": "http://proxy.corp:1"}, True, 1),
        ({"https_proxy": "proxy.corp:2", "HTTPS_PROXY": "http://proxy.corp:1"}, True, 2),
        ({"ALL_PROXY": "http://proxy.corp:3/"}, True, 3),
        ({"HTTP_PROXY": "http://proxy.corp:4", "HTTPS_PROXY": "http://proxy.corp:1"}, False, 4),
        ({"HTTPS_PROXY": "http://proxy.corp"}, True, 80),
    ],
)
def test_each_variable_has_its_use(environ: dict[str, str], tunnel: bool, port: int) -> None:
    assert upstream_for(API, tunnel=tunnel, environ=environ) == Upstream("proxy.corp", port)


def test_its_password_goes_into_a_header() -> None:
    found = upstream_for(API, tunnel=True, environ={"HTTPS_PROXY": "http://me:p%40ss@proxy.corp:1"})
    assert found == Upstream("proxy.corp", 1, (b"Proxy-Authorization: Basic bWU6cEBzcw==",))


@pytest.mark.parametrize(
    "no_proxy", ["api.example.com", ".example.com", "x, *.example.com", "*", "API.example.com:443"]
)
def test_exceptions(no_proxy: str) -> None:
    assert upstream_for(API, tunnel=True, environ={**PROXY, "NO_PROXY": no_proxy}) is None


@pytest.mark.parametrize("no_proxy", ["", "example.org", "pi.example.com", "api.example.com:80"])
def test_exceptions_for_others(no_proxy: str) -> None:
    assert upstream_for(API, tunnel=True, environ={**PROXY, "NO_PROXY": no_proxy}) is not None


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_servers_on_this_machine_are_reached_directly(host: str) -> None:
    assert upstream_for(Target(host, 11434), tunnel=True, environ=PROXY) is None


@pytest.mark.parametrize("value", ["socks5://proxy.corp:1080", "https://user:secret@proxy.corp:443"])
def test_what_is_not_spoken_is_told_without_its_password(value: str) -> None:
    with pytest.raises(ValueError, match="http://") as error:
        upstream_for(API, tunnel=True, environ={"HTTPS_PROXY": value})
    assert "secret" not in str(error.value)
