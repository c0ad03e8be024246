"""Names to addresses, in threads of their own: a slow name server must neither use up the event loop's threads, on
which the engine's files depend, nor hold up its end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Final

AT_ONCE: Final = 8
"""How many names one run may have looked up at the same time."""

Resolve = Callable[[str, int], list[str]]
"""(name, port) -> its addresses, best first. Blocks; raises OSError."""


def resolve(name: str, port: int) -> list[str]:
    """By the system's resolver (getaddrinfo(3)), each address once."""
    found = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


class Lookup:
    """The lookups of one run."""

    def __init__(self, resolve: Resolve = resolve) -> None:
        self._resolve = resolve
        self._free = asyncio.Semaphore(AT_ONCE)

    async def addresses(self, name: str, port: int) -> list[str]:
        """Raises OSError. Cancelling leaves the lookup behind, which counts among those at once until it ends."""
        await self._free.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str]] = loop.create_future()

        def settle(found: list[str], error: OSError | None) -> None:
            self._free.release()
            if answer.done():
                return
            if error is None:
                answer.set_result(found)
            else:
                answer.set_exception(error)

        def work() -> None:
            found: list[str] = []
            error: OSError | None = None
            try:
                found = self._resolve(name, port)
            except OSError as each:
                error = each
            except UnicodeError:
                error = OSError("it is not a name that can be looked up")
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(settle, found, error)

        threading.Thread(target=work, name="lookup", daemon=True).start()
        return await answer
