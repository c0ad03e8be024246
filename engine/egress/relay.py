"""Stands between a command and its run's proxy, inside a sandbox that has no network but its own loopback interface.

    python -I -S relay.py SOCKET [HOST:PORT ...] -- COMMAND ...

It becomes the command, with proxy variables in its environment, and leaves a process beside it that forwards: from a
port on the loopback interface to the proxy's socket, and from each HOST:PORT, a server on the machine outside, by a
tunnel to that server, for programs that know of no proxies. So exit codes and signals are the command's own. When the
command cannot be run, it ends with 127 as shells do (126: it is no program). The process beside it ends with the
sandbox.

It is in the way of every start of an agent: `socket` and `signal` would double its time, so their C halves are used,
and all that comes after listening is imported in the process beside the command.
"""

# pathlib is too slow to import here.
# ruff: noqa: PTH100, PTH119, PTH120, PTH123

from __future__ import annotations

import _socket
import os
import sys

BACKLOG = 128
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
LOCAL = "localhost,127.0.0.1,::1"
"""What is reached without the proxy: the command's own servers, and those that this relay stands in for."""


def listen(host: str, port: int) -> list[_socket.socket]:
    """On each of the loopback addresses that `host` means; on none where that is not possible."""
    found: list[_socket.socket] = []
    for address in ("127.0.0.1", "::1") if host == "localhost" else (host,):
        server = _socket.socket(_socket.AF_INET6 if ":" in address else _socket.AF_INET, _socket.SOCK_STREAM)
        try:
            server.bind((address, port))
            server.listen(BACKLOG)
            server.setblocking(False)
            found.append(server)
        except OSError:
            server.close()
    return found


def beside(address: str, listeners: dict[_socket.socket, bytes]) -> None:
    """Forward in a process of its own, which is nobody's child that anybody waits for."""
    if sys.platform == "win32":
        raise AssertionError("POSIX only")
    if (child := os.fork()) != 0:
        os.waitpid(child, 0)
        return
    try:
        if os.fork() == 0:
            forward(address, listeners)
    finally:
        os._exit(0)


def forward(address: str, listeners: dict[_socket.socket, bytes]) -> None:
    """For ever, with nothing of the command's in its hands."""
    if sys.platform == "win32":
        raise AssertionError("POSIX only")
    os.setpgid(0, 0)  # what the command sends to its own group is not for us
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    # Appended, so that nothing beside this file can shadow the standard library.
    sys.path.append(os.path.dirname(os.path.abspath(__file__)))
    from forward import Forwarder

    os.chdir(os.path.dirname(address))  # the name alone is short enough for a socket's address
    Forwarder(os.path.basename(address), {each.detach(): first for each, first in listeners.items()}).run()


def environment(port: int) -> dict[str, str]:
    """The command's, with the proxy in it. Read from the kernel: Python may have changed what it was started with."""
    with open("/proc/self/environ", "rb") as file:
        pairs = (entry.partition(b"=") for entry in file.read().split(b"\0") if entry)
        env = {os.fsdecode(name): os.fsdecode(value) for name, _, value in pairs}
    env.update(dict.fromkeys(VARIABLES, f"http://127.0.0.1:{port}"))
    # Node looks at these variables only when it is told to.
    env |= {"NO_PROXY": LOCAL, "no_proxy": LOCAL, "NODE_USE_ENV_PROXY": "1"}
    return env


def main(argv: list[str]) -> int:
    """Returns only when the command cannot be run."""
    divide = argv.index("--")
    address, targets, command = argv[0], argv[1:divide], argv[divide + 1 :]
    listeners: dict[_socket.socket, bytes] = {}
    for target in targets:
        host, _, port = target.rpartition(":")
        for server in listen(host.strip("[]"), int(port)):
            listeners[server] = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n".encode("ascii")
    front = listen("127.0.0.1", 0)[0]
    listeners[front] = b""
    env = environment(front.getsockname()[1])
    beside(address, listeners)
    for listener in listeners:
        listener.close()
    restore_signals()
    try:
        os.execvpe(command[0], command, env)
    except OSError as error:
        os.write(2, os.fsencode(f"swarm: the program {command[0]!r} cannot be run here: {error.strerror}\n"))
        return 127 if isinstance(error, FileNotFoundError) else 126


def restore_signals() -> None:
    """What Python ignores from its start, a command must not."""
    signals = __import__("_signal")
    for name in ("SIGPIPE", "SIGXFSZ"):
        signals.signal(getattr(signals, name), signals.SIG_DFL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
