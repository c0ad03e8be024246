"""The web server of the room: on the loopback interface, for this machine's browsers and nothing they carry in.

Any page in a browser may send requests to 127.0.0.1, and a name of its own may come to mean 127.0.0.1 (DNS rebinding).
So every request must be addressed to a loopback name, and none may come from another origin, port included. Whoever is
not known by the token gets rooms that only look.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from engine.text.sanitise import sanitise_line
from swarm_tui.web.page import page
from swarm_tui.web.room_process import RoomProcess

ADDRESS = "127.0.0.1"
MOST_ROOMS = 4
"""That only look, and as many that may command, open at the same time: each is a process. Whoever only looks keeps
nobody out who may do more."""
MOST_MESSAGE_BYTES = 256_000
MOST_CELLS = 1_000
HEARTBEAT_S = 15.0
_LOOPBACK = re.compile(r"(?:127\.0\.0\.1|localhost|\[::1\])(?::\d{1,5})?")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self'; "
        "img-src 'self' data:; connect-src 'self' ws://{host}; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Server": "swarm",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Rooms:
    """The commands that open a room: one that only looks, and one that may command."""

    looking: Sequence[str]
    commanding: Sequence[str]


@dataclass
class RoomServer:
    """`token`: who has it gets a commanding room; "" when nobody may. `told`: takes one clean line for the terminal.

    A token comes as `?token=` (then the browser gets a cookie and an address without it) or as `Authorization: Bearer`.
    A wrong one is refused; without any the room only looks.
    """

    title: str
    rooms: Rooms
    token: str
    told: Callable[[str], None]
    _open: dict[web.WebSocketResponse, bool] = field(default_factory=dict[web.WebSocketResponse, bool])
    """Open rooms, and whether each may command."""
    _ending: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    _session: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    """What the cookie says. It is not the token: other servers of this machine see our cookies."""

    def application(self) -> web.Application:
        app = web.Application(middlewares=[self._guard], client_max_size=1_024)
        app.add_routes(
            [
                web.get("/", self._index),
                web.get("/ws", self._socket),
                web.static("/static", statics(), show_index=False, follow_symlinks=False),
            ]
        )
        app.on_shutdown.append(self._close_all)
        app.on_cleanup.append(self._end_all)
        return app

    # -- who may --------------------------------------------------------------------------------------------------

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        host = request.headers.get("Host", "")
        if len(request.headers.getall("Host", [])) != 1 or not _LOOPBACK.fullmatch(host):
            raise web.HTTPForbidden(text="this server answers to 127.0.0.1 and localhost only\n")
        if self._foreign(request, host):
            raise web.HTTPForbidden(text="requests of other pages are refused\n")
        try:
            response = await handler(request)
        except web.HTTPException as refused:
            _protect(refused, host)
            raise
        if not response.prepared:
            _protect(response, host)
        return response

    def _foreign(self, request: web.Request, host: str) -> bool:
        """Whether a page of another origin sent it. A browser always says where a WebSocket comes from."""
        origins = request.headers.getall("Origin", [])
        if origins:
            return origins != [f"http://{host}"]
        return request.path == "/ws" and not self._bears_token(request)

    def _bears_token(self, request: web.Request) -> bool:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        return kind.lower() == "bearer" and self._is(given, self.token)

    def _may_command(self, request: web.Request) -> bool:
        """Raises HTTPForbidden for a wrong token."""
        given = request.query.get("token")
        if given is not None and not self._is(given, self.token):
            raise web.HTTPForbidden(text="the token is wrong, or this server gives none: see `swarm serve --help`\n")
        if "Authorization" in request.headers and not self._bears_token(request):
            raise web.HTTPForbidden(text="the token is wrong, or this server gives none: see `swarm serve --help`\n")
        known = self._is(request.cookies.get(self._cookie(request), ""), self._session)
        return bool(self.token) and (given is not None or "Authorization" in request.headers or known)

    def _is(self, given: str, expected: str) -> bool:
        return bool(expected) and hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode("utf-8"))

    def _cookie(self, request: web.Request) -> str:
        """Browsers keep one jar for all ports of a name."""
        return f"swarm-{request.host.rpartition(':')[2] if request.host.count(':') else '80'}"

    # -- what is served -------------------------------------------------------------------------------------------

    async def _index(self, request: web.Request) -> web.StreamResponse:
        may_command = self._may_command(request)
        if "token" in request.query:
            kept = {name: value for name, value in request.query.items() if name == "fontsize"}
            response = web.Response(status=303, headers={"Location": str(request.rel_url.with_query(kept))})
            response.set_cookie(
                self._cookie(request), self._session, httponly=True, samesite="Strict", max_age=None, path="/"
            )
            return response
        title = self.title if may_command else f"{self.title} (read-only)"
        text = page(title, f"ws://{request.host}/ws", request.query.get("fontsize", ""))
        return web.Response(text=text, content_type="text/html")

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        may_command = self._may_command(request)
        argv = self.rooms.commanding if may_command else self.rooms.looking
        if sum(kind == may_command for kind in self._open.values()) >= MOST_ROOMS:
            raise web.HTTPServiceUnavailable(text=f"{MOST_ROOMS} rooms are open already: close one\n")
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MOST_MESSAGE_BYTES)
        self._open[socket] = may_command
        try:
            await socket.prepare(request)
            await self._show(socket, argv, _cells(request.query.get("width")), _cells(request.query.get("height")))
        finally:
            del self._open[socket]
        return socket

    async def _show(self, socket: web.WebSocketResponse, argv: Sequence[str], cols: int, rows: int) -> None:
        """A room until it is left, or its window closed."""
        room = await RoomProcess.start(argv, cols or 80, rows or 24)
        drawing = asyncio.create_task(_draw(room, socket))
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await _take(room, socket, message.data)
        finally:
            drawing.cancel()
            ending = asyncio.create_task(self._end(room))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)
            await asyncio.shield(ending)

    async def _end(self, room: RoomProcess) -> None:
        await room.end()
        for line in room.said.splitlines()[-3:]:
            self.told(sanitise_line(line))

    async def _close_all(self, _app: web.Application) -> None:
        closing = [socket.close(code=WSCloseCode.GOING_AWAY) for socket in tuple(self._open)]
        await asyncio.gather(*closing, return_exceptions=True)

    async def _end_all(self, _app: web.Application) -> None:
        """Whoever was to wait for the end of a room may have been cancelled."""
        await asyncio.gather(*self._ending, return_exceptions=True)


def _protect(response: web.StreamResponse | web.HTTPException, host: str) -> None:
    """`host` is one of our own names."""
    for name, value in _HEADERS.items():
        response.headers[name] = value.format(host=host)


async def _draw(room: RoomProcess, socket: web.WebSocketResponse) -> None:
    async for payload in room.output():
        await socket.send_bytes(payload)
    await socket.close()


async def _take(room: RoomProcess, socket: web.WebSocketResponse, text: str) -> None:
    """A message of the page: [kind, data]. What is none is dropped."""
    try:
        kind, data = [*json.loads(text), None][:2]
    except (ValueError, TypeError, RecursionError):
        return
    if kind == "stdin" and isinstance(data, str):
        await room.keys(data)
    elif kind == "resize" and isinstance(data, dict):
        cols, rows = _cells(data.get("width")), _cells(data.get("height"))
        if cols and rows:
            await room.resize(cols, rows)
    elif kind in ("focus", "blur"):
        await room.focus(kind == "focus")
    elif kind == "ping":
        await socket.send_json(["pong", data])


def _cells(number: Any) -> int:
    """A width or height; 0 when it is none."""
    try:
        return max(0, min(MOST_CELLS, int(number)))
    except (TypeError, ValueError, OverflowError):
        return 0


def statics() -> Path:
    """The browser's part of textual-serve: its terminal and its font."""
    spec = find_spec("textual_serve")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "static"
