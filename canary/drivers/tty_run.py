"""Gives a program the terminal that it was started on: its half inside a sandbox.

    python -I -S tty_run.py NAME=VALUE ... -- COMMAND ...

Sandboxes start programs in a session of their own, which no terminal belongs to: ctrl+c would be a character, and a new
size nobody's business. This makes the terminal on standard input the session's (TIOCSCTTY), sets variables, and becomes
the command. Run as a file, with the standard library alone.
"""

from __future__ import annotations

import os
import sys


def main(argv: list[str]) -> int:
    """Returns only when the command cannot be run: 127 as shells do (126: it is no program)."""
    if sys.platform == "win32":
        raise AssertionError("POSIX only")
    divide = argv.index("--")
    variables, command = argv[:divide], argv[divide + 1 :]
    take_terminal()
    env = dict(os.environ) | dict(each.split("=", 1) for each in variables)
    restore_signals()
    try:
        os.execvpe(command[0], command, env)
    except OSError as error:
        os.write(2, os.fsencode(f"swarm: the program {command[0]!r} cannot be run here: {error.strerror}\n"))
        return 127 if isinstance(error, FileNotFoundError) else 126


def take_terminal() -> None:
    """The terminal on standard input becomes that of this process's session, and its keys' signals come here."""
    if sys.platform == "win32":
        raise AssertionError("POSIX only")
    import fcntl
    import termios

    if os.getsid(0) != os.getpid():
        if os.getpgrp() == os.getpid():
            # A group's leader cannot begin a session; its child can, and the parent stands in for it until it ends.
            _stand_in()
        os.setsid()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def _stand_in() -> None:
    """Goes on in a child. The parent waits for it and ends as it does."""
    if sys.platform == "win32":
        raise AssertionError("POSIX only")
    child = os.fork()
    if child == 0:
        return
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def restore_signals() -> None:
    """What Python ignores from its start, a command must not."""
    import signal

    if sys.platform != "win32":
        for each in (signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(each, signal.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
