"""One conversation with an agent: handshake, session, mode, prompt, and its handoff back to it when it is not valid."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import re
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, cast

from engine.models.handoffs import HandoffError
from engine.ports import Channel
from engine.text.sanitise import sanitise_line
from roles.agents.acp.client import Client
from roles.agents.acp.files import SERVED
from roles.agents.acp.known import TITLE_IS_COMMAND, usage_scope
from roles.agents.acp.modes import asking_mode
from roles.agents.acp.transport import ChannelTransport
from roles.agents.streams.limits import is_limit

if TYPE_CHECKING:
    from acp.connection import Connection

RETURNED_MAX = 2
"""How often an invalid handoff is returned."""
CANCEL_S = 5.0
"""How long an agent may take to end its turn after `session/cancel`."""
PART_S = 0.5
SERVER_S = 3.0
"""How long the handshake waits for an agent that has a session to start the MCP server that it was offered."""
LOOK_S = 0.05
AUTH_REQUIRED = -32000
WORDS = 500
LIMIT = "the provider's limit is reached: "
"""How a note begins when the agent's model could not be asked any more."""


@dataclass(frozen=True)
class Outcome:
    """How the conversation ended. `why`: one clause, sanitised."""

    end: Literal["done", "failed", "limit", "asked", "cut"]
    why: str = ""


@dataclass
class Session:
    """prompt: what it is told. mcp: the server that it is offered, as the protocol describes one. check: raises
    HandoffError for a handoff that is there and not valid, having removed it."""

    cwd: str
    prompt: str
    mcp: dict[str, Any]
    client: Client
    check: Callable[[], None]
    has_asked: Callable[[], bool]
    serves_files: bool = SERVED
    outcome: Outcome = Outcome("cut", "nothing was said")
    agent: str = ""
    hello: dict[str, Any] = field(default_factory=dict[str, Any])
    """What it answered to `initialize`; `mode`: the one that asks, "" where no modes are offered."""
    mode: str = ""

    async def hold(self, channel: Channel) -> None:
        """From the handshake to the end of its last turn. Never raises for what the agent does: see `outcome`."""
        await self._with(channel, self._hold)

    async def greet(self, channel: Channel, served: Callable[[], bool]) -> None:
        """The handshake alone, up to a session in a mode that asks: its model is told nothing. served: whether it has
        started the MCP server, which is waited for. Never raises for what the agent does."""

        async def greeted(connection: Connection) -> Outcome:
            from acp.exceptions import RequestError

            try:
                session = await self._begin(connection)
            except RequestError as error:
                return _failed(error)
            if isinstance(session, Outcome):
                return session
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SERVER_S):
                    while not served():  # noqa: ASYNC110
                        await asyncio.sleep(LOOK_S)
            return Outcome("done")

        await self._with(channel, greeted)

    async def _with(self, channel: Channel, talk: Callable[[Connection], Awaitable[Outcome]]) -> None:
        connection_class = await asyncio.to_thread(_connection_class)
        transport = ChannelTransport(channel)
        connection = connection_class(self.client.handle, cast("Any", transport))
        try:
            self.outcome = await talk(connection)
        except ConnectionError:
            self.outcome = Outcome("cut", transport.trouble or "it ended before it had answered")
        finally:
            await connection.close()
        if transport.bad and self.outcome.end != "done":
            odd = f"{transport.bad} of its lines were no message of the protocol"
            self.outcome = replace(self.outcome, why=f"{self.outcome.why}; {odd}")

    async def _hold(self, connection: Connection) -> Outcome:
        from acp.exceptions import RequestError

        try:
            session = await self._begin(connection)
            if isinstance(session, Outcome):
                return session
            text = self.prompt
            for returned in range(RETURNED_MAX + 1):
                ended = await self._turn(connection, session, text)
                if ended is not None:
                    return ended
                try:
                    self.check()
                except HandoffError as error:
                    if returned == RETURNED_MAX:
                        return Outcome("done", f"its handoff was returned {returned} times and is not valid: {error}")
                    self.client.transcript.line(f"! the handoff is returned: {error}")
                    text = f"Your handoff is not valid: {sanitise_line(str(error))}\nHand in again, then end your turn."
                else:
                    return Outcome("done")
        except RequestError as error:
            return _failed(error)
        raise AssertionError("unreachable")

    async def _begin(self, connection: Connection) -> str | Outcome:
        """The id of a new session in a mode that asks."""
        from acp import PROTOCOL_VERSION

        files = {"readTextFile": self.serves_files, "writeTextFile": self.serves_files}
        hello = await self._ask(
            connection,
            "initialize",
            {
                "protocolVersion": PROTOCOL_VERSION,
                "clientCapabilities": {"fs": files, "terminal": False},
                "clientInfo": {"name": "swarm-tui", "version": "1"},
            },
        )
        self.hello = hello
        info = _object(hello.get("agentInfo"))
        name = str(info.get("name", ""))
        self.client.spent.scope, self.client.title_is_command = usage_scope(name), name in TITLE_IS_COMMAND
        self.agent = sanitise_line(f"{info.get('name', '')} {info.get('version', '')}".strip()[:WORDS])
        self.client.transcript.line(f"# {self.agent or 'an agent'}, protocol {hello.get('protocolVersion')}")
        if hello.get("protocolVersion") != PROTOCOL_VERSION:
            return Outcome("failed", f"it speaks another version of the protocol than {PROTOCOL_VERSION}: update it")
        session = await self._new_session(connection, hello)
        ident = session.get("sessionId")
        if not isinstance(ident, str) or not ident:
            return Outcome("failed", "it gave no session")
        return await self._set_mode(connection, session, ident) or ident

    async def _new_session(self, connection: Connection, hello: dict[str, Any]) -> dict[str, Any]:
        """Raises RequestError, with what to do where it wants a login that only a person can give."""
        from acp.exceptions import RequestError

        params = {"cwd": self.cwd, "mcpServers": [self.mcp]}
        try:
            return await self._ask(connection, "session/new", params)
        except RequestError as error:
            methods = [str(each.get("id")) for each in _objects(hello.get("authMethods"))]
            key = next((each for each in methods if re.search(r"api.?key", each, re.IGNORECASE)), None)
            if error.code != AUTH_REQUIRED:
                raise
            if key is None:
                raise RequestError(
                    AUTH_REQUIRED, "it wants a login: log in with it by hand, and name its folder under home"
                ) from error
        # Gemini CLI 0.61 takes its key from the environment, but wants to be told so where it has no settings.
        await self._ask(connection, "authenticate", {"methodId": key})
        return await self._ask(connection, "session/new", params)

    async def _set_mode(self, connection: Connection, session: dict[str, Any], ident: str) -> Outcome | None:
        """Set a mode that asks, where modes are offered: by `modes`, or by a config option of the category `mode`."""
        modes = _object(session.get("modes"))
        offered = [str(each.get("id")) for each in _objects(modes.get("availableModes"))]
        current, option = str(modes.get("currentModeId", "")), ""
        if not offered:
            found = next((o for o in _objects(session.get("configOptions")) if o.get("category") == "mode"), {})
            offered = [str(each.get("value")) for each in _objects(found.get("options"))]
            current, option = str(found.get("currentValue", "")), str(found.get("id", ""))
        if not offered:
            return None
        mode = asking_mode(offered, current)
        if mode is None:
            shown = sanitise_line(", ".join(offered)[:WORDS])
            return Outcome("failed", f"it offers no mode that asks before it acts, only {shown}")
        self.mode = mode
        self.client.transcript.line(f"# mode {mode}")
        if option:
            params = {"sessionId": ident, "configId": option, "value": mode}
            await self._ask(connection, "session/set_config_option", params)
        else:
            await self._ask(connection, "session/set_mode", {"sessionId": ident, "modeId": mode})
        return None

    async def _turn(self, connection: Connection, session: str, text: str) -> Outcome | None:
        """One prompt and all that comes of it; None: the agent has said that it is done."""
        params = {"sessionId": session, "prompt": [{"type": "text", "text": text}]}
        prompting = asyncio.ensure_future(self._ask(connection, "session/prompt", params))
        stopping = asyncio.ensure_future(self.client.stopped.wait())
        try:
            await asyncio.wait((prompting, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not prompting.done():
                await _cancel(connection, session, prompting, CANCEL_S)
        except asyncio.CancelledError:
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await _cancel(connection, session, prompting, PART_S)
            raise
        finally:
            stopping.cancel()
            prompting.cancel()
        if self.client.asked is not None or self.has_asked():
            return Outcome("asked", "it waits for an approval")
        if self.client.why:
            return Outcome("failed", self.client.why)
        response = prompting.result()
        self.client.spent.turn(response)
        reason = str(response.get("stopReason"))
        if reason == "end_turn":
            return None
        said = {
            "max_tokens": "its answer had more tokens than it may have",
            "max_turn_requests": "it needed more requests than a turn may have",
            "refusal": "its model refused",
            "cancelled": "it cancelled its turn",
        }.get(reason, f"its turn ended as {sanitise_line(reason[:WORDS])}")
        return Outcome("failed", said)

    async def _ask(self, connection: Connection, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """The result, an object. Raises RequestError, and ConnectionError when it has gone."""
        return _object(await connection.send_request(method, params))


async def _cancel(connection: Connection, session: str, prompting: asyncio.Future[Any], wait_s: float) -> None:
    await connection.send_notification("session/cancel", {"sessionId": session})
    await asyncio.wait((prompting,), timeout=wait_s)


def _failed(error: Exception) -> Outcome:
    """An error that it answered with. Its details are where agents put what their provider said."""
    code, data = getattr(error, "code", 0), getattr(error, "data", None)
    details = _object(data).get("details") or _object(data).get("message") or (data if isinstance(data, str) else "")
    text = f"{error}: {details}" if details and str(details) not in str(error) else str(error)
    said = sanitise_line(text[:WORDS])
    if is_limit(text, code):
        return Outcome("limit", f"{LIMIT}{said}")
    return Outcome("failed", f"it answered with an error: {said}")


def _object(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _objects(value: Any) -> list[dict[str, Any]]:
    return [_object(each) for each in cast("list[Any]", value)] if isinstance(value, list) else []


def _connection_class() -> type[Connection]:
    # Half a second, and in the way of nothing but the first run. By its package: parts of it can be had while another
    # thread still reads the rest, and then the loop would wait for that at its next import.
    first = "acp" not in sys.modules
    from acp import connection

    if first:
        gc.freeze()  # some 20,000 objects that stay: to look through them again and again, the loop would stand still
    return connection.Connection
