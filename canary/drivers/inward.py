"""The way into a sandbox that has no network but its own loopback interface: its half inside.

    python -I -S inward.py FOLDER PORT ... -- COMMAND ...

It becomes the command, and leaves a process beside it that listens on the socket FOLDER/PORT and connects whoever comes
to PORT on the loopback interface in here. One byte says that somebody listens there; without it the connection ends.
Nothing leads outwards: the process only accepts. It ends with the sandbox. `canary.drivers.doors` is the half outside.

Run as a file, with the standard library alone.
"""

# pathlib is too slow to import here, and nothing but the command waits for what comes before it.
# ruff: noqa: PTH123

from __future__ import annotations

import _socket
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

BACKLOG = 128
CHUNK = 65_536
SOMEBODY = b"\1"
HOST = "127.0.0.1"


def main(argv: list[str]) -> int:
    """Returns only when the command cannot be run: 127 as shells do (126: it is no program)."""
    if sys.platform == "win32":
        raise AssertionError("POSIX only")
    divide = argv.index("--")
    folder, ports, command = argv[0], argv[1:divide], argv[divide + 1 :]
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    listeners: dict[int, _socket.socket] = {}
    for port in ports:
        listeners[int(port)] = listener = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
        listener.bind(f"/proc/self/fd/{opened}/{port}")  # the address of a socket has room for 107 bytes
        listener.listen(BACKLOG)
    env = environment()
    if listeners:
        _beside(listeners)
    for listener in listeners.values():
        listener.close()
    _restore_signals()
    try:
        os.execvpe(command[0], command, env)
    except OSError as error:
        os.write(2, os.fsencode(f"swarm: the program {command[0]!r} cannot be run here: {error.strerror}\n"))
        return 127 if isinstance(error, FileNotFoundError) else 126


def environment() -> dict[str, str]:
    """Read from the kernel: Python may have changed what it was started with."""
    with open("/proc/self/environ", "rb") as file:
        pairs = (entry.partition(b"=") for entry in file.read().split(b"\0") if entry)
        return {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}


def _beside(listeners: dict[int, _socket.socket]) -> None:
    """Forward in a process of its own, which is nobody's child that anybody waits for."""
    if sys.platform == "win32":
        raise AssertionError("POSIX only")
    if (child := os.fork()) != 0:
        os.waitpid(child, 0)
        return
    try:
        if os.fork() == 0:
            os.setpgid(0, 0)  # what the command sends to its own group is not for us
            null = os.open(os.devnull, os.O_RDWR)
            for descriptor in (0, 1, 2):
                os.dup2(null, descriptor)
            _forward({port: listener.detach() for port, listener in listeners.items()})
    finally:
        os._exit(0)


def _forward(listeners: dict[int, int]) -> None:
    """For ever. `listeners`: port -> descriptor."""
    import asyncio
    import socket
    from functools import partial

    async def serve() -> None:
        if sys.platform == "win32":
            raise AssertionError("POSIX only")
        for port, descriptor in listeners.items():
            await asyncio.start_unix_server(partial(_meet, port), sock=socket.socket(fileno=descriptor))
        await asyncio.Event().wait()

    asyncio.run(serve())


async def _meet(port: int, reader: StreamReader, writer: StreamWriter) -> None:
    import asyncio

    try:
        program = await asyncio.open_connection(HOST, port)
    except OSError:
        writer.close()
        return
    writer.write(SOMEBODY)
    await join((reader, writer), program)


async def join(one: tuple[StreamReader, StreamWriter], other: tuple[StreamReader, StreamWriter]) -> None:
    """Carry bytes both ways until both have ended, or one is broken; both are closed then."""
    import asyncio

    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_pump(one[0], other[1]))
            both.create_task(_pump(other[0], one[1]))
    except* OSError:
        pass
    finally:
        one[1].close()
        other[1].close()


async def _pump(source: StreamReader, sink: StreamWriter) -> None:
    while data := await source.read(CHUNK):
        sink.write(data)
        await sink.drain()
    sink.write_eof()


def _restore_signals() -> None:
    """What Python ignores from its start, a command must not."""
    signals = __import__("_signal")
    for name in ("SIGPIPE", "SIGXFSZ"):
        signals.signal(getattr(signals, name), signals.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
