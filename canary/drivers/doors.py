"""Loopback ports of a program under test, and the way to them.

| the sandbox | the way in |
|---|---|
| has a network of its own (`own_network`) | we listen on the port outside, and lead whoever comes through a socket in a folder of the flow to a relay inside (`canary.drivers.inward`) |
| anything else | the program itself listens there |
"""  # noqa: E501

from __future__ import annotations

import asyncio
import os
import socket
import stat
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from canary.drivers import inward
from canary.drivers.inward import HOST, SOMEBODY, join
from engine.errors import InfrastructureFault
from engine.process.interpreter import interpreter

CONNECT_S = 5.0

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True)
class Doors:
    """`ports`: name -> number; each is reached at 127.0.0.1. folder: where the relay's sockets are; None: no relay."""

    ports: Mapping[str, int]
    folder: Path | None = None

    def relay(self, argv: Sequence[str]) -> tuple[tuple[str, ...], tuple[Path, ...]]:
        """The argv that runs `argv` behind the relay, and what has to be readable for that."""
        assert self.folder is not None, "only a network of its own needs a relay"
        python, library = interpreter()
        script = Path(inward.__file__).resolve()
        ours = (str(python), "-I", "-S", str(script), str(self.folder), *map(str, self.ports.values()), "--")
        return (*ours, *argv), (*library, script)

    async def takes(self, name: str) -> bool:
        """Whether somebody in there takes connections on this port now."""
        port = self.ports[name]
        try:
            async with asyncio.timeout(CONNECT_S):
                _, writer = (
                    await asyncio.open_connection(HOST, port)
                    if self.folder is None
                    else await _enter(self.folder, port)
                )
        except OSError:
            return False
        writer.close()
        return True


@asynccontextmanager
async def open_doors(names: Sequence[str], folder: Path | None) -> AsyncGenerator[Doors]:
    """A port that nobody else uses for each name. folder: for the relay's sockets; None: no relay. Raises
    InfrastructureFault when there is none.

    Without a relay the ports are free when this begins, and the program has to take them before somebody else does.
    """
    if not names:
        yield Doors({})
        return
    with ExitStack() as held:
        listeners = {name: held.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) for name in names}
        try:
            for listener in listeners.values():
                listener.bind((HOST, 0))
            if folder is not None:
                await asyncio.to_thread(folder.mkdir, mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise InfrastructureFault(f"no port could be had for the program: {error.strerror}") from error
        ports = {name: int(listener.getsockname()[1]) for name, listener in listeners.items()}
        if folder is None:
            held.close()
            yield Doors(ports)
            return
        guests: set[asyncio.Task[None]] = set()
        servers = [
            await asyncio.start_server(partial(_lead, folder, ports[name], guests), sock=listener)
            for name, listener in listeners.items()
        ]
        try:
            yield Doors(ports, folder)
        finally:
            for server in servers:
                server.close()
            for guest in guests:
                guest.cancel()
            if guests:
                await asyncio.wait(guests)


async def _lead(
    folder: Path,
    port: int,
    guests: set[asyncio.Task[None]],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """A connection from outside to the relay inside; when nobody listens there it is refused, as well as it can be."""
    task = asyncio.current_task()
    assert task is not None
    guests.add(task)
    try:
        async with asyncio.timeout(CONNECT_S):
            inside = await _enter(folder, port)
        await join((reader, writer), inside)
    except OSError:
        writer.transport.abort()
    except asyncio.CancelledError:
        writer.transport.abort()  # the flow is over; nobody waits for this task's end but `open_doors`
    finally:
        guests.discard(task)


async def _enter(folder: Path, port: int) -> Streams:
    """A connection to the program's port, by the relay. Raises OSError when nobody listens there.

    The folder is the program's to write, so what stands in it is opened first, without following a link, and is only
    connected to when it is a socket: in there, no other socket of this machine can be named.
    """
    if sys.platform != "linux":
        raise AssertionError("Linux only")
    opened = os.open(folder / str(port), os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(opened).st_mode):
            raise ConnectionRefusedError
        # By descriptor: the very file that was looked at, and an address that is short enough for a socket.
        reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{opened}")
    finally:
        os.close(opened)
    try:
        if await reader.readexactly(1) == SOMEBODY:
            return reader, writer
    except asyncio.IncompleteReadError:
        pass
    except BaseException:
        writer.close()
        raise
    writer.close()
    raise ConnectionRefusedError
