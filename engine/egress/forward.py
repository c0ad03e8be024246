"""The relay's second half (`engine.egress.relay`): forwards connections to the proxy's socket, inside the sandbox.

Imported by its own name, without this package: only the standard library.
"""

from __future__ import annotations

import selectors
import socket
import sys

CHUNK = 65_536
HEAD_MAX = 4_096
CONNECTIONS = 128
"""At once; more wait. With those that the proxy serves, fewer than would make a connection to its socket wait."""


class Half:
    """One direction of a connection: what has been read and not yet written, and how far it has come."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source, self.sink = source, sink
        self.waiting = b""
        self.answer: bytes | None = None
        """Of a tunnel that has not been granted yet: the proxy's answer so far."""
        self.ended = False
        self.over = False

    def read(self) -> None:
        """Raises OSError; also for a tunnel that is not granted."""
        try:
            data = self.source.recv(CHUNK)
        except BlockingIOError:
            return
        self.ended = not data
        if self.answer is None:
            self.waiting += data
            return
        head, end, rest = (self.answer + data).partition(b"\r\n\r\n")
        if not end:
            self.answer = head
            if self.ended or len(head) > HEAD_MAX:
                raise ConnectionError
            return
        if head.split(b" ", 2)[1:2] != [b"200"]:
            raise ConnectionError
        self.answer, self.waiting = None, rest

    def write(self) -> None:
        if self.waiting:
            self.waiting = self.waiting[self.sink.send(self.waiting) :]

    def settle(self) -> None:
        if self.ended and not self.waiting and not self.over:
            self.over = True
            self.sink.shutdown(socket.SHUT_WR)


class Forwarder:
    """Forwards on the calling thread. `listeners`: descriptor of a socket that listens -> what the proxy is told first
    on each of its connections."""

    def __init__(self, address: str, listeners: dict[int, bytes]) -> None:
        self._address = address
        self._selector = selectors.DefaultSelector()
        self._halves: dict[socket.socket, tuple[Half, Half]] = {}
        self._listeners = {socket.socket(fileno=descriptor): first for descriptor, first in listeners.items()}
        for listener in self._listeners:
            self._selector.register(listener, selectors.EVENT_READ)

    def run(self) -> None:
        """For ever."""
        while True:
            for key, events in self._selector.select():
                found = key.fileobj
                if not isinstance(found, socket.socket):
                    continue
                if found in self._listeners:
                    if len(self._halves) < 2 * CONNECTIONS:
                        self._accept(found, self._listeners[found])
                elif found in self._halves:
                    self._move(found, events)

    def _accept(self, listener: socket.socket, first: bytes) -> None:
        try:
            client = listener.accept()[0]
        except OSError:
            return
        if sys.platform == "win32":
            raise AssertionError("POSIX only")
        proxy = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        proxy.setblocking(False)
        try:
            proxy.connect(self._address)
        except OSError:
            client.close()
            proxy.close()
            return
        client.setblocking(False)
        there, back = Half(client, proxy), Half(proxy, client)
        if first:
            there.waiting, back.answer = first, b""
        for each in (client, proxy):
            self._halves[each] = (there, back)
            self._selector.register(each, selectors.EVENT_READ)
        self._watch(client)
        if len(self._halves) == 2 * CONNECTIONS:
            for each in self._listeners:
                self._selector.unregister(each)

    def _move(self, ready: socket.socket, events: int) -> None:
        """Read from the socket that is ready, write to it, and look what it waits for next."""
        try:
            for half in self._halves[ready]:
                if half.source is ready and events & selectors.EVENT_READ:
                    half.read()
                if half.waiting:
                    try:
                        half.write()
                    except BlockingIOError:
                        pass
                half.settle()
            self._watch(ready)
        except OSError:
            self._close(ready)

    def _watch(self, either: socket.socket) -> None:
        there, back = self._halves[either]
        if there.over and back.over:
            self._close(either)
            return
        for half, other in ((there, back), (back, there)):
            # A half that is full is not read; a socket with nothing to wait for would report its hang-up for ever.
            events = 0 if half.ended or half.waiting else selectors.EVENT_READ
            events |= selectors.EVENT_WRITE if other.waiting else 0
            known = half.source in self._selector.get_map()
            if events and known:
                self._selector.modify(half.source, events)
            elif events:
                self._selector.register(half.source, events)
            elif known:
                self._selector.unregister(half.source)

    def _close(self, either: socket.socket) -> None:
        if len(self._halves) == 2 * CONNECTIONS:
            for each in self._listeners:
                self._selector.register(each, selectors.EVENT_READ)
        there = self._halves[either][0]
        for each in (there.source, there.sink):
            del self._halves[each]
            if each in self._selector.get_map():
                self._selector.unregister(each)
            each.close()
