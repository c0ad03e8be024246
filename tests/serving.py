"""A server of `http.server` or `socketserver` in a thread of the test's process, for as long as a test needs it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from socketserver import TCPServer
from typing import TypeVar

Server = TypeVar("Server", bound=TCPServer)
ACCEPT_S = 1.0


@contextlib.contextmanager
def serving(server: Server) -> Iterator[Server]:
    """It serves meanwhile; afterwards its thread has ended and its port is free."""
    # `serve_forever` waits for a client with poll() and then for ever in accept(), should that client be gone by then:
    # its thread would never see that the server is to end.
    server.socket.settimeout(ACCEPT_S)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="serving", daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
