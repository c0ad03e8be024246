"""The end of a room that nobody asked for with a key: its terminal is gone, or somebody sent a signal. POSIX.

A closed terminal tells its programs twice: by SIGHUP, and by descriptors on which every read gives nothing at once and
every write fails. Left alone, the first kills the room in the middle of a write, and with SIGHUP ignored the second
makes Textual's input thread spin and its writer thread die, after which the room waits for it for ever. So whichever is
seen first puts /dev/null in the terminal's place and asks the app to end. The engine is another process and goes on.

A room that cannot end in order, because its terminal takes nothing more, ends anyway after `GRACE_S`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

GRACE_S = 3.0
"""For an orderly end; then the process ends without one."""


class Endable(Protocol):
    """A Textual App, as far as it is needed here."""

    def exit(self, result: Any = None, return_code: int = 0) -> None: ...


@contextmanager
def ends_with_its_terminal(app: Endable) -> Iterator[None]:
    """Around `app.run()` and nothing else, in the main thread: SIGHUP, SIGTERM, SIGINT or a lost terminal end the app.

    Its `return_code` is then 128 and the signal's number as shells count, for a lost terminal 129. Before and after the
    app's loop a signal raises SystemExit with that number. On Windows this does nothing: closing a console ends its
    programs there.
    """
    if sys.platform == "win32":
        yield
    else:
        with _Watch(app).kept():
            yield


if sys.platform != "win32":
    import asyncio
    import os
    import select
    import signal
    import termios
    import threading
    from collections.abc import Callable
    from contextlib import suppress
    from typing import TextIO, cast

    class _Watch:
        """Over one app: what tells of its end, and that the end comes."""

        def __init__(self, app: Endable) -> None:
            self._app = app
            self._told = False
            self._over = threading.Event()
            self._terminal: list[Any] | None = None

        @contextmanager
        def kept(self) -> Iterator[None]:
            stderr = sys.__stderr__
            assert stderr is not None, "a room needs a terminal"
            with suppress(termios.error):
                self._terminal = termios.tcgetattr(0)
            numbers = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
            before = {number: signal.signal(number, self._signalled) for number in numbers}
            # Textual's writer thread gets this file; an error in it would end the thread, and then block the app.
            sys.__stderr__ = cast("TextIO", _Unbreakable(stderr, self._lost))
            bell_read, bell_write = os.pipe()
            watcher = threading.Thread(target=self._watch_terminal, args=(bell_read,), name="hang-up", daemon=True)
            watcher.start()
            try:
                yield
            finally:
                self._over.set()
                os.close(bell_write)
                watcher.join()
                os.close(bell_read)
                sys.__stderr__ = stderr
                for number, handler in before.items():
                    signal.signal(number, handler)

        # -- how it is noticed -----------------------------------------------------------------------------------

        def _signalled(self, number: int, _frame: object) -> None:
            """In the main thread, between two steps of whatever it does: also while it waits for a stalled terminal."""
            if number == signal.SIGHUP:
                _put_null_in_its_place()
            if self._told:
                return
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                raise SystemExit(128 + number) from None
            self._told = True
            threading.Thread(target=self._insist, args=(128 + number,), name="last resort", daemon=True).start()
            loop.call_soon_threadsafe(lambda: self._app.exit(return_code=128 + number))

        def _lost(self) -> None:
            """The terminal is gone. From any thread; the main thread does the rest, even if it is blocked."""
            _put_null_in_its_place()
            main = threading.main_thread().ident
            if main is not None and not self._told:
                signal.pthread_kill(main, signal.SIGHUP)

        def _watch_terminal(self, bell: int) -> None:
            """Wait for a hang-up, which may come without a signal: under nohup, or where a shell keeps it back."""
            if not os.isatty(0):
                return
            poll = select.poll()
            poll.register(bell, 0)  # a hang-up is always told, and nothing else is wanted
            poll.register(0, 0)
            told = dict(poll.poll())
            if told.get(0, 0) & (select.POLLHUP | select.POLLERR):
                self._lost()

        # -- that it comes ---------------------------------------------------------------------------------------

        def _insist(self, code: int) -> None:
            """An app that waits for a terminal that takes nothing gets no further: end the process under it."""
            if self._over.wait(GRACE_S):
                return
            if self._terminal is not None:
                with suppress(termios.error):
                    termios.tcsetattr(0, termios.TCSANOW, self._terminal)
            os._exit(code)

    class _Unbreakable:
        """A text file that takes everything: what cannot be written is lost, and told."""

        def __init__(self, file: TextIO, lost: Callable[[], None]) -> None:
            self._file = file
            self._lost = lost

        def write(self, text: str) -> int:
            try:
                return self._file.write(text)
            except OSError:
                self._lost()
                return len(text)

        def flush(self) -> None:
            try:
                self._file.flush()
            except OSError:
                self._lost()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

    def _put_null_in_its_place() -> None:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        os.close(null)
