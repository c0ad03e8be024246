"""The engine's side: what the proxy does with clients of every kind, on real sockets."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from egress.servers import Web, raw_server, self_made_certificate
from real_processes import until

from engine.egress.hosts import Allowlist
from engine.egress.lookup import Lookup, Resolve
from engine.egress.proxy import CONNECTIONS, REFUSED_MAX, Proxy
from tests.serving import serving


class Way:
    """A proxy on a loopback port, and clients of it. Every name means this machine, unless `resolve` says otherwise."""

    def __init__(self, port: int, proxy: Proxy, told: list[tuple[str, str]], looked_up: list[str]) -> None:
        self.port, self.proxy, self.told, self.looked_up = port, proxy, told, looked_up

    async def say(self, *data: bytes, pause_s: float = 0.0, half_close: bool = False) -> bytes:
        """All that the proxy answers to these bytes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            with contextlib.suppress(ConnectionError):
                for each in data:
                    writer.write(each)
                    await writer.drain()
                    await asyncio.sleep(pause_s)
                if half_close:
                    writer.write_eof()
            async with asyncio.timeout(20):
                return await reader.read()
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def open_way(
    *hosts: str,
    resolve: Resolve | None = None,
    environ: dict[str, str] | None = None,
    token: str = "",
    head_s: float = 10.0,
    idle_s: float = 60.0,
) -> AsyncIterator[Way]:
    told: list[tuple[str, str]] = []
    looked_up: list[str] = []

    def look_up(name: str, port: int) -> list[str]:
        looked_up.append(name)
        return resolve(name, port) if resolve is not None else ["127.0.0.1"]

    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        listener.setblocking(False)
        proxy = Proxy(
            Allowlist(hosts),
            listener,
            shared=asyncio.Semaphore(512),
            lookup=Lookup(look_up),
            environ=environ or {},
            told=lambda target, sentence: told.append((target, sentence)),
            token=token,
            head_s=head_s,
            idle_s=idle_s,
        )
        serving = asyncio.create_task(proxy.serve())
        try:
            yield Way(listener.getsockname()[1], proxy, told, looked_up)
        finally:
            serving.cancel()
            await asyncio.wait((serving,))
    assert [each for each in told if not each[0]] == []


def get(url: str, *headers: str, method: str = "GET", body: bytes = b"") -> bytes:
    return "\r\n".join((f"{method} {url} HTTP/1.1", *headers, "", "")).encode() + body


def listed(port: int, *names: str) -> tuple[str, ...]:
    """Names that lead to this machine, and leave to."""
    return (*(f"{name}:{port}" for name in names), f"127.0.0.1:{port}")


async def test_an_allowed_host_answers(web: Web) -> None:
    async with open_way(*listed(web.port, "model.test")) as way:
        answer = await way.say(get(f"http://model.test:{web.port}/x", f"Host: model.test:{web.port}"))
        assert answer.endswith(b"hello /x")
        tunnel = get(f"model.test:{web.port}", method="CONNECT") + b"GET /y HTTP/1.0\r\n\r\n"
        answer = await way.say(tunnel)
        assert answer.startswith(b"HTTP/1.1 200 Connection established\r\n\r\nHTTP/1.0 200 OK")
        assert answer.endswith(b"hello /y")
    assert [path for _, path, _ in web.asked] == ["/x", "/y"]
    assert way.proxy.refused == ()


async def test_another_host_is_refused_before_it_is_looked_up(web: Web, evil: Web) -> None:
    async with open_way(*listed(web.port, "model.test")) as way:
        plain = await way.say(get(f"http://evil.test:{evil.port}/x"))
        tunnel = await way.say(get("evil.test:443", method="CONNECT"))
        again = await way.say(get("EVIL.test:443", method="CONNECT"))
        other_port = await way.say(get("model.test:22", method="CONNECT"))
        address = await way.say(get(f"127.0.0.1:{evil.port}", method="CONNECT"))
        assert {each[:12] for each in (plain, tunnel, again, other_port, address)} == {b"HTTP/1.1 403"}
        assert b'add "evil.test" to network of this agent' in tunnel
        assert b'add "model.test:22" to network' in other_port
        assert way.looked_up == []
        names = (f"evil.test:{evil.port}", "evil.test:443", "model.test:22", f"127.0.0.1:{evil.port}")
        assert way.proxy.refused == names
        assert tuple(target for target, _ in way.told) == names
        assert (await way.say(get(f"http://model.test:{web.port}/"))).endswith(b"hello /")
        assert way.looked_up == ["model.test"]
    assert evil.asked == []


async def test_only_so_many_refusals_are_kept(web: Web) -> None:
    async with open_way("model.test") as way:
        for number in range(REFUSED_MAX + 5):
            assert b" 403 " in await way.say(get(f"http://evil{number}.test/"))
        assert len(way.proxy.refused) == len(way.told) == REFUSED_MAX


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "::1", "10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "fe80::1%1"]
)
async def test_an_allowed_name_that_leads_inside_is_refused(web: Web, address: str) -> None:
    """DNS rebinding."""
    async with open_way(f"model.test:{web.port}", resolve=lambda name, port: [address]) as way:
        answer = await way.say(get(f"http://model.test:{web.port}/"))
        assert answer.startswith(b"HTTP/1.1 403")
        assert b"not an address of the internet" in answer
        assert way.proxy.refused[0].endswith(f":{web.port}")
        assert not way.proxy.refused[0].startswith("model.test")
    assert web.asked == []


async def test_an_inner_address_that_is_listed_too_is_reached_by_its_name(web: Web) -> None:
    """The control of the test above; and the name is looked up once, so a second answer changes nothing."""
    answers = iter([["10.9.9.9", "127.0.0.1"], ["10.0.0.1"]])
    hosts = listed(web.port, "model.test")
    async with open_way(*hosts, resolve=lambda name, port: next(answers)) as way:
        assert (await way.say(get(f"http://model.test:{web.port}/"))).endswith(b"hello /")
        assert way.looked_up == ["model.test"]
        assert (await way.say(get(f"http://model.test:{web.port}/"))).startswith(b"HTTP/1.1 403")
    assert len(web.asked) == 1


async def test_a_name_that_is_not_there(web: Web) -> None:
    def fails(name: str, port: int) -> list[str]:
        raise OSError(-2, "Name or service not known")

    async with open_way("model.test", resolve=fails) as way:
        answer = await way.say(get("http://model.test/"))
        assert answer.startswith(b"HTTP/1.1 502")
        assert b"Name or service not known" in answer
        assert way.proxy.refused == ()


async def test_a_server_that_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    async with open_way(*listed(port)) as way:
        assert b" 502 " in await way.say(get(f"http://127.0.0.1:{port}/"))
        assert b" 502 " in await way.say(get(f"127.0.0.1:{port}", method="CONNECT"))


async def test_bodies_arrive_as_they_are(web: Web) -> None:
    async with open_way(*listed(web.port)) as way:
        url, body = f"http://127.0.0.1:{web.port}/", bytes(range(256)) * 4000
        known = get(url, f"Content-Length: {len(body)}", method="POST", body=body)
        assert (await way.say(known)).endswith(body)
        chunks = b"".join(b"%x;a=b\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:]))
        chunked = get(url, "Transfer-Encoding: chunked", method="POST", body=chunks + b"0\r\nX-Trailer: 1\r\n\r\n")
        assert (await way.say(chunked)).endswith(body)
        assert (await way.say(*[chunked[at : at + 50_000] for at in range(0, len(chunked), 50_000)])).endswith(body)


SECOND = b"GET http://evil.test/stolen HTTP/1.1\r\nHost: evil.test\r\n\r\n"


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ((), SECOND),
        (("Content-Length: 3",), b"abc" + SECOND),
        (("Transfer-Encoding: chunked",), b"3\r\nabc\r\n0\r\n\r\n" + SECOND),
        (("Transfer-Encoding: chunked",), b"3\r\nabcX" + SECOND),
        (("Transfer-Encoding: chunked",), b"-3\r\nabc\r\n0\r\n\r\n" + SECOND),
        (("Transfer-Encoding: chunked",), b"0\n\n" + SECOND),
        (("Transfer-Encoding: chunked",), b"fffffffff\r\n" + SECOND),
        (("Transfer-Encoding: chunked",), b"0\r\n" + b"X: y\r\n" * 5000 + b"\r\n" + SECOND),
        (("Content-Length: 3", "Transfer-Encoding: chunked"), b"0\r\n\r\n" + SECOND),
        (("Connection: upgrade", "Upgrade: h2c"), SECOND),
    ],
)
async def test_nothing_is_smuggled_behind_a_request(headers: tuple[str, ...], body: bytes) -> None:
    """What the far end (which may be another proxy) receives holds one request."""
    received: list[bytes] = []

    def swallow(client: socket.socket) -> None:
        client.settimeout(0.3)
        data = b""
        try:
            while more := client.recv(65536):
                data += more
        except TimeoutError:
            pass
        received.append(data)
        client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nfine")

    with raw_server(swallow) as port:
        async with open_way(*listed(port)) as way:
            await way.say(get(f"http://127.0.0.1:{port}/", *headers, method="POST", body=body))
            # The control: an honest request gets there.
            answer = await way.say(get(f"http://127.0.0.1:{port}/", "Content-Length: 3", method="POST", body=b"abc"))
            assert answer.endswith(b"fine")
        assert received[-1].endswith(b"\r\n\r\nabc")
        assert not [data for data in received if b"stolen" in data or data.count(b"HTTP/1.1") > 1]


async def test_a_head_of_a_megabyte(web: Web) -> None:
    async with open_way(*listed(web.port)) as way:
        huge = get(f"http://127.0.0.1:{web.port}/", "X-Huge: " + "a" * 1_000_000)
        assert (await way.say(huge)).startswith(b"HTTP/1.1 431")
        assert (await way.say(b"A" * 1_000_000)).startswith(b"HTTP/1.1 431")
        large = get(f"http://127.0.0.1:{web.port}/", "X-Large: " + "a" * 60_000)
        assert (await way.say(large)).endswith(b"hello /")


async def test_clients_that_are_slow_or_say_nothing_are_not_waited_for(web: Web) -> None:
    async with open_way(*listed(web.port), head_s=0.2) as way:
        drips = [bytes([each]) for each in get(f"http://127.0.0.1:{web.port}/{'x' * 60}")]
        slow, silent = await asyncio.gather(way.say(*drips, pause_s=0.01), way.say())
        assert slow.startswith(b"HTTP/1.1 408")
        assert silent.startswith(b"HTTP/1.1 408")
        assert (await way.say(*[drips[0], b"".join(drips[1:])], pause_s=0.05)).endswith(b"x")


async def test_a_connection_on_which_nothing_moves_ends(web: Web) -> None:
    """And one that is quiet for less goes on."""

    def thinks(client: socket.socket) -> None:
        for _ in range(6):
            client.recv(1)
            client.sendall(b"!")
        client.recv(1)
        threading.Event().wait(10)

    with raw_server(thinks) as port:
        async with open_way(*listed(port), idle_s=0.4) as way:
            tunnel = get(f"127.0.0.1:{port}", method="CONNECT")
            answer = await way.say(tunnel, *[b"?"] * 6, pause_s=0.15)
            assert answer == b"HTTP/1.1 200 Connection established\r\n\r\n!!!!!!"


async def test_many_at_once_and_more_than_there_is_room_for(web: Web) -> None:
    async with open_way(*listed(web.port)) as way:
        url = f"http://127.0.0.1:{web.port}/"
        answers = await asyncio.gather(*(way.say(get(f"{url}{number}")) for number in range(CONNECTIONS * 3)))
        assert [each.rpartition(b" ")[2] for each in answers] == [b"/%d" % each for each in range(CONNECTIONS * 3)]


async def test_clients_that_hang_take_no_room_from_another_run(web: Web) -> None:
    async with open_way(*listed(web.port)) as hostile, open_way(*listed(web.port)) as other:
        hanging = [await asyncio.open_connection("127.0.0.1", hostile.port) for _ in range(CONNECTIONS + 20)]
        assert (await other.say(get(f"http://127.0.0.1:{web.port}/"))).endswith(b"hello /")
        for _, writer in hanging:
            writer.close()
        assert (await hostile.say(get(f"http://127.0.0.1:{web.port}/"))).endswith(b"hello /")


async def test_slow_lookups_hold_up_neither_the_loop_nor_others(web: Web) -> None:
    released = threading.Event()

    def slow(name: str, port: int) -> list[str]:
        if name.startswith("slow"):
            released.wait(20)
        return ["127.0.0.1"]

    hosts = (f"*.slow.test:{web.port}", f"slow.test:{web.port}", *listed(web.port, "fast.test"))
    async with open_way(*hosts, resolve=slow) as hostile, open_way(*hosts, resolve=slow) as other:
        waiting = [asyncio.create_task(hostile.say(get(f"http://slow.test:{web.port}/"))) for _ in range(30)]
        await asyncio.to_thread(until, lambda: len(hostile.looked_up) == 8, "as many names are looked up as may be")
        assert await asyncio.to_thread(lambda: "free") == "free"
        assert (await other.say(get(f"http://fast.test:{web.port}/"))).endswith(b"hello /")
        released.set()
        assert all(each.endswith(b"hello /") for each in await asyncio.gather(*waiting))


async def test_a_tunnel_to_443_is_tls_for_the_name_that_was_allowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trusted, context = self_made_certificate(tmp_path, "model.test", "fronted.test")
    with serving(Web(context)) as web:
        dial = Proxy._dial

        async def to_the_server(self: Proxy, addresses: list[str], target: object) -> socket.socket:
            return await dial(self, addresses, type(target)("127.0.0.1", web.port))  # type: ignore[call-arg,arg-type]

        # Nobody without rights can listen on 443: the port of the server stands in for it.
        monkeypatch.setattr(Proxy, "_dial", to_the_server)

        def fetch(way: Way, name: str) -> bytes:
            with socket.create_connection(("127.0.0.1", way.port), timeout=20) as raw:
                raw.sendall(get("model.test:443", method="CONNECT"))
                assert raw.recv(1000).startswith(b"HTTP/1.1 200")
                client = ssl.create_default_context(cafile=str(trusted))
                with client.wrap_socket(raw, server_hostname=name) as tls:
                    tls.sendall(b"GET / HTTP/1.0\r\nHost: x\r\n\r\n")
                    data = b""
                    while more := tls.recv(1000):
                        data += more
                    return data

        async with open_way("model.test", "127.0.0.1") as way:
            assert (await asyncio.to_thread(fetch, way, "model.test")).endswith(b"hello /")
            with pytest.raises((ssl.SSLError, OSError)):
                await asyncio.to_thread(fetch, way, "fronted.test")
            assert way.proxy.refused == ("fronted.test:443",)
            ssh = await way.say(get("model.test:443", method="CONNECT"), b"SSH-2.0-x\r\n")
            assert ssh == b"HTTP/1.1 200 Connection established\r\n\r\n"
    assert len(web.asked) == 1


async def test_a_proxy_on_a_port_wants_its_password(web: Web) -> None:
    async with open_way(*listed(web.port), token="right") as way, open_way(*listed(web.port), token="other") as other:
        url = f"http://127.0.0.1:{web.port}/"

        def authorization(word: str) -> str:
            return "Proxy-Authorization: Basic " + base64.b64encode(f"swarm:{word}".encode()).decode()

        for answer in (
            await way.say(get(url)),
            await way.say(get(url, authorization("wrong"))),
            await other.say(get(url, authorization("right"))),
            await way.say(get(f"127.0.0.1:{web.port}", method="CONNECT")),
            await way.say(get("http://evil.test/")),
        ):
            assert answer.startswith(b"HTTP/1.1 407")
            assert b"Proxy-Authenticate: Basic" in answer
        assert way.proxy.refused == ()
        assert web.asked == []
        assert (await way.say(get(url, authorization("right")))).endswith(b"hello /")
        assert (await way.say(get(url, authorization("right"), "Connection: close"))).endswith(b"hello /")
    assert len(web.asked) == 2


def corporate(seen: list[bytes]) -> Callable[[socket.socket], None]:
    """The user's own proxy: remembers heads, and answers for everybody."""

    def talk(client: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += client.recv(65536)
        seen.append(data)
        if b"blocked.test" in data:
            client.sendall(b"HTTP/1.1 407 No\r\n\r\n")
        elif data.startswith(b"CONNECT"):
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\nearly ")
            client.sendall(client.recv(100))
        else:
            client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nby proxy")

    return talk


async def test_the_users_own_proxy_is_gone_through() -> None:
    seen: list[bytes] = []
    with raw_server(corporate(seen)) as port:
        proxy = f"http://me:pass@127.0.0.1:{port}"
        environ = {"HTTPS_PROXY": proxy, "HTTP_PROXY": proxy}
        async with open_way("model.test", "blocked.test", "model.test:8443", environ=environ) as way:
            assert (await way.say(get("http://model.test/x"))).endswith(b"by proxy")
            tunnel = await way.say(get("model.test:8443", method="CONNECT"), b"ping")
            assert tunnel == b"HTTP/1.1 200 Connection established\r\n\r\nearly ping"
            assert (await way.say(get("blocked.test:443", method="CONNECT"))).startswith(b"HTTP/1.1 502")
            assert (await way.say(get("http://evil.test/x"))).startswith(b"HTTP/1.1 403")
            assert "model.test" not in way.looked_up
    assert [each.split(b"\r\n")[0] for each in seen] == [
        b"GET http://model.test/x HTTP/1.1",
        b"CONNECT model.test:8443 HTTP/1.1",
        b"CONNECT blocked.test:443 HTTP/1.1",
    ]
    assert all(b"Proxy-Authorization: Basic bWU6cGFzcw==" in each for each in seen)


async def test_closing_it_closes_what_goes_on(web: Web) -> None:
    async with open_way(*listed(web.port)) as way:
        reader, writer = await asyncio.open_connection("127.0.0.1", way.port)
        writer.write(get(f"127.0.0.1:{web.port}", method="CONNECT"))
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    async with asyncio.timeout(20):
        with contextlib.suppress(ConnectionError):
            await reader.read()
    writer.close()
    with pytest.raises(ConnectionError):
        await asyncio.open_connection("127.0.0.1", way.port)
