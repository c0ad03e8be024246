"""The proxy of one run: the only way out of its sandbox, and only to the hosts that it may reach.

It speaks HTTP/1.1 as a proxy does: CONNECT for tunnels, and requests for whole URLs, one on each connection. A name is
looked up only when it is allowed, its addresses are checked, and the connection goes to the very address that was
checked. On port 443 a tunnel begins with a TLS handshake for the name that was allowed.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
import ipaddress
import socket
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final

from engine.egress.client_hello import NotTls, server_name
from engine.egress.hosts import DEFAULT_PORTS, Allowlist, Target, parse_target
from engine.egress.lookup import Lookup
from engine.egress.requests import Refusal, Request, parse_request
from engine.egress.streams import Idle, Incoming, pump, pump_body
from engine.egress.upstream import Upstream, upstream_for

HEAD_MAX: Final = 65_536
HEAD_S: Final = 10.0
"""How long a client may take for the head of its request, and for its TLS greeting."""
LOOKUP_S: Final = 10.0
CONNECT_S: Final = 10.0
"""For each address of a name."""
IDLE_S: Final = 900.0
"""How long a connection may be silent: a model thinks for minutes."""
LINGER_S: Final = 5.0
"""How long a client may take to close after all has been said."""
DRAIN_MAX: Final = 4_000_000
"""Bytes that are read and thrown away, so that a client which is still sending gets to read its refusal."""
CONNECTIONS: Final = 64
"""Of one run at once; more wait."""
REFUSED_MAX: Final = 32
RETRY_S: Final = 0.1
_ESTABLISHED: Final = b"HTTP/1.1 200 Connection established\r\n\r\n"

Told = Callable[[str, str], None]
"""(host:port, one sentence): something new was refused. Both are plain ASCII."""


class Proxy:
    """Serves what is accepted on `listener`, which is non-blocking and listens.

    shared: slots for connections that all runs of an engine have together. token: what a client has to give as the
    password of the user `swarm`, "" on a socket that nobody else can reach.
    """

    def __init__(
        self,
        allowed: Allowlist,
        listener: socket.socket,
        *,
        shared: asyncio.Semaphore,
        lookup: Lookup,
        environ: Mapping[str, str],
        told: Told,
        token: str = "",
        head_s: float = HEAD_S,
        idle_s: float = IDLE_S,
    ) -> None:
        self.refused: tuple[str, ...] = ()
        """`host:port`, each once, in the order in which they were first tried."""
        self.head_s, self.idle_s = head_s, idle_s
        self._allowed = allowed
        self._listener = listener
        self._shared = shared
        self._lookup = lookup
        self._environ = environ
        self._told = told
        self._authorization = f"Basic {base64.b64encode(f'swarm:{token}'.encode()).decode()}" if token else ""

    async def serve(self) -> None:
        """Until it is cancelled; then every connection is closed."""
        loop, own = asyncio.get_running_loop(), asyncio.Semaphore(CONNECTIONS)
        connections: set[asyncio.Task[None]] = set()

        def ended(task: asyncio.Task[None]) -> None:
            connections.discard(task)
            self._shared.release()
            own.release()
            if not task.cancelled() and (error := task.exception()) is not None:
                self._told("", f"the proxy failed: {error!a}")

        try:
            while True:
                client = await self._accepted(own)
                task = loop.create_task(_Connection(self, client).serve())
                connections.add(task)
                task.add_done_callback(ended)
        finally:
            self._listener.close()
            for task in connections:
                task.cancel()
            if connections:
                await asyncio.wait(connections)

    async def _accepted(self, own: asyncio.Semaphore) -> socket.socket:
        """The next client, with a slot of both kinds taken for it."""
        loop = asyncio.get_running_loop()
        await own.acquire()
        try:
            await self._shared.acquire()
            try:
                while True:
                    try:
                        return (await loop.sock_accept(self._listener))[0]
                    except OSError:  # no descriptor is left, or the client has gone again
                        await asyncio.sleep(RETRY_S)
            except BaseException:
                self._shared.release()
                raise
        except BaseException:
            own.release()
            raise

    def check(self, request: Request) -> None:
        """Raises Refusal for what may not be, before anything is looked up."""
        if self._authorization and not hmac.compare_digest(
            request.authorization.encode(), self._authorization.encode()
        ):
            raise Refusal(407, "the user and password of this proxy are in HTTP_PROXY")
        if not self._allowed.allows(request.target):
            raise Refusal(403, _not_listed(request.target), request.target)

    async def connect(self, request: Request) -> tuple[Incoming, Upstream | None]:
        """The far end, and the user's own proxy where that is what the far end is. Raises Refusal."""
        target = request.target
        try:
            upstream = upstream_for(target, tunnel=request.is_tunnel, environ=self._environ)
        except ValueError as error:
            raise Refusal(502, str(error)) from None
        if upstream is None:
            return Incoming(await self._dial(await self._addresses(target), target)), None
        there = Target(upstream.host, upstream.port)
        far = Incoming(await self._dial(await self._found(there), there))
        if request.is_tunnel:
            try:
                await _ask_for_tunnel(far, target, upstream)
            except BaseException:
                far.socket.close()
                raise
        return far, upstream

    def note(self, target: Target, sentence: str) -> None:
        """It was refused."""
        name = str(target)
        if name not in self.refused and len(self.refused) < REFUSED_MAX:
            self.refused = (*self.refused, name)
            self._told(name, sentence)

    async def _addresses(self, target: Target) -> list[str]:
        """Those to which a connection may go."""
        if target.host == "localhost":
            return ["127.0.0.1", "::1"]
        with contextlib.suppress(ValueError):
            return [str(ipaddress.ip_address(target.host))]
        found = await self._found(target)
        good = [each for each in found if self._allowed.allows_address(each, target.port)]
        if not good and found:
            there = _address_target(found[0], target.port)
            sentence = (
                f"{target.host} leads to {there.host}, which is not an address of the internet: "
                f"{_remedy(there)}, if that is as it should be"
            )
            raise Refusal(403, sentence, there)
        return good

    async def _found(self, target: Target) -> list[str]:
        try:
            async with asyncio.timeout(LOOKUP_S):
                return await self._lookup.addresses(target.host, target.port)
        except TimeoutError:
            raise Refusal(504, f"the address of {target.host} was not found in {LOOKUP_S:.0f} s") from None
        except OSError as error:
            raise Refusal(502, f"the address of {target.host} was not found ({error.strerror or error})") from None

    async def _dial(self, addresses: list[str], target: Target) -> socket.socket:
        """A connection to the first address that takes one."""
        loop, why = asyncio.get_running_loop(), "it has no address"
        for address in addresses:
            far = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
            try:
                far.setblocking(False)
                far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                async with asyncio.timeout(CONNECT_S):
                    await loop.sock_connect(far, (address, target.port))
                return far
            except TimeoutError:
                far.close()
                why = f"no answer in {CONNECT_S:.0f} s"
            except OSError as error:
                far.close()
                why = error.strerror or str(error)
            except BaseException:
                far.close()
                raise
        raise Refusal(502, f"{target} cannot be reached ({why})")


class _Connection:
    """One client, from its first byte to its last."""

    def __init__(self, proxy: Proxy, client: socket.socket) -> None:
        client.setblocking(False)
        self._proxy, self._client = proxy, client
        self._incoming = Incoming(client)
        self._answered = False
        self._loop = asyncio.get_running_loop()

    async def serve(self) -> None:
        with self._client, contextlib.suppress(OSError, EOFError, TimeoutError):
            try:
                await self._carry_out(await self._request())
            except Refusal as refusal:
                if refusal.target is not None:
                    self._proxy.note(refusal.target, refusal.sentence)
                if not self._answered:
                    await self._loop.sock_sendall(self._client, refusal.response())
                    await self._take_leave()

    async def _request(self) -> Request:
        too_long = Refusal(431, f"the head of this request has more than {HEAD_MAX} bytes")
        try:
            async with asyncio.timeout(self._proxy.head_s):
                head = await self._incoming.until(b"\r\n\r\n", HEAD_MAX, too_long)
        except TimeoutError:
            raise Refusal(408, f"the head of this request took more than {self._proxy.head_s:.0f} s") from None
        request = parse_request(head)
        self._proxy.check(request)
        return request

    async def _carry_out(self, request: Request) -> None:
        far, upstream = await self._proxy.connect(request)
        with far.socket:
            if request.is_tunnel:
                await self._tunnel(request.target, far)
            else:
                through = None if upstream is None else upstream.headers
                await self._forward(request, request.head(through=through), far)

    async def _tunnel(self, target: Target, far: Incoming) -> None:
        self._answered = True
        await self._loop.sock_sendall(self._client, _ESTABLISHED)
        if target.port == 443 and not _is_address(target.host):
            await self._loop.sock_sendall(far.socket, await self._greeting(target))
        async with asyncio.timeout(None) as limit:
            idle = Idle(limit, self._proxy.idle_s)
            await _beside(pump(far, self._client, idle), pump(self._incoming, far.socket, idle))
        await self._take_leave()

    async def _greeting(self, target: Target) -> bytes:
        """The TLS client's first bytes, once they name the target. Raises Refusal."""
        data, name = b"", None
        async with asyncio.timeout(self._proxy.head_s):
            while name is None:
                if not (more := await self._incoming.some()):
                    raise EOFError
                data += more
                try:
                    name = server_name(data)
                except NotTls:
                    raise Refusal(403, f"what goes to {target} is not TLS for {target.host}") from None
        if name != target.host:
            wanted: Target | None = None
            with contextlib.suppress(ValueError):
                wanted = parse_target(name, target.port)
            raise Refusal(403, f"a tunnel to {target.host} asked for another site there", wanted)
        return data

    async def _forward(self, request: Request, head: bytes, far: Incoming) -> None:
        """One request and its answer, which ends with the connection."""
        await self._loop.sock_sendall(far.socket, head)
        async with asyncio.timeout(None) as limit:
            idle = Idle(limit, self._proxy.idle_s)
            await _beside(self._answer(far, idle), self._send(request, far.socket, idle))
        await self._take_leave()

    async def _send(self, request: Request, far: socket.socket, idle: Idle) -> None:
        """The body. What a client sends after it is another request, to which nobody listens: it has to ask again."""
        await pump_body(self._incoming, far, request.length, idle)
        if await self._incoming.some(1):
            raise EOFError

    async def _answer(self, far: Incoming, idle: Idle) -> None:
        while data := await far.some():
            self._answered = True
            idle.moved()
            await self._loop.sock_sendall(self._client, data)
            await asyncio.sleep(0)

    async def _take_leave(self) -> None:
        """Close so that the client gets all that was sent: a socket with unread bytes would be reset."""
        self._client.shutdown(socket.SHUT_WR)
        left = DRAIN_MAX
        async with asyncio.timeout(LINGER_S):
            while left > 0 and (data := await self._incoming.some()):
                left -= len(data)


async def _beside(main: Coroutine[Any, Any, None], other: Coroutine[Any, Any, None]) -> None:
    """Until `main` has ended, or `other` has failed; then neither goes on. Raises what either raised."""
    first, second = asyncio.ensure_future(main), asyncio.ensure_future(other)
    try:
        await asyncio.wait((first, second), return_when=asyncio.FIRST_COMPLETED)
        if not first.done():
            second.result()
            await asyncio.wait((first,))
        first.result()
    finally:
        for task in (first, second):
            task.cancel()
        await asyncio.gather(first, second, return_exceptions=True)


async def _ask_for_tunnel(far: Incoming, target: Target, upstream: Upstream) -> None:
    """Have the user's own proxy make the connection. Raises Refusal."""
    host = str(target).encode("ascii")
    head = b"\r\n".join((b"CONNECT " + host + b" HTTP/1.1", b"Host: " + host, *upstream.headers)) + b"\r\n\r\n"
    unclear = Refusal(502, "the proxy in the engine's environment gave no clear answer")
    try:
        async with asyncio.timeout(CONNECT_S):
            await asyncio.get_running_loop().sock_sendall(far.socket, head)
            answer = await far.until(b"\r\n\r\n", HEAD_MAX, unclear)
    except (OSError, EOFError):
        raise unclear from None
    status = answer[:12]
    if not status.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")) or not status[9:].isdigit():
        raise unclear
    if not status[9:].startswith(b"2"):
        raise Refusal(502, f"the proxy in the engine's environment answered {status[9:].decode('ascii')}")


def _not_listed(target: Target) -> str:
    return f"{target} may not be reached from here: {_remedy(target)}"


def _remedy(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    entry = host if target.port in DEFAULT_PORTS else str(target)
    return f'a person can add "{entry}" to network of this agent, under [agents.NAME] in swarm.toml'


def _address_target(address: str, port: int) -> Target:
    """Of an address as a resolver gives it, which may name an interface."""
    return Target(address.partition("%")[0], port)


def _is_address(host: str) -> bool:
    try:
        return bool(ipaddress.ip_address(host))
    except ValueError:
        return False
