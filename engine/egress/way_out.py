"""How a run gets out of its sandbox, as far as its policy names hosts: its own proxy, for as long as it runs.

| the sandbox | the way out |
|---|---|
| has a network of its own, with nothing in it (`own_network`) | the proxy listens on a socket in a folder of the run, which is shown inside, and a relay (`engine.egress.relay`) stands before it |
| lets programs connect to one port (`net_by_port`) | the proxy listens on a loopback port and wants a password, which the run's proxy variables have |
| anything else | there is nothing to hold: hosts are not enforced, as `swarm check` says |
"""  # noqa: E501

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import socket
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, cast

from engine.egress import relay
from engine.egress.hosts import Allowlist
from engine.egress.lookup import Lookup, Resolve, resolve
from engine.egress.proxy import CONNECTIONS, REFUSED_MAX, Proxy
from engine.ports import ProcessSpec, Sandbox
from engine.process.interpreter import interpreter
from engine.text.redact import Redactor
from engine.text.sanitise import sanitise_line

FOLDER: Final = "egress"
SOCKET: Final = "proxy"
REFUSED: Final = "refused.json"
TOTAL: Final = 512
"""Connections of all runs at once, where there are descriptors enough."""
OTHER_DESCRIPTORS: Final = 256
"""What the engine needs for everything else."""

Refused = Callable[[str, str, str], None]
"""(run id, host:port, one sentence), for the log."""


def nobody(run_id: str, target: str, sentence: str) -> None:
    """Tells nobody."""


def enforces_hosts(sandbox: Sandbox) -> bool:
    """Whether runs in this sandbox are held to the hosts of their policy."""
    return sandbox.own_network or sandbox.net_by_port


def refused_hosts(folder: Path) -> tuple[str, ...]:
    """`host:port` that the run of this folder was not let reach, each once."""
    try:
        said: Any = json.loads((folder / REFUSED).read_bytes())
    except (OSError, ValueError):
        return ()
    return tuple(str(each) for each in cast("list[Any]", said)) if isinstance(said, list) else ()


class Egress:
    """The ways out of one executor's runs. `environ` tells of the user's own proxy; default: this process's."""

    def __init__(
        self, told: Refused = nobody, *, resolve: Resolve = resolve, environ: Mapping[str, str] | None = None
    ) -> None:
        self._told = told
        self._resolve = resolve
        self._environ = os.environ if environ is None else environ
        self._shared = asyncio.Semaphore(_connections())

    @contextlib.asynccontextmanager
    async def way_out(self, sandbox: Sandbox, spec: ProcessSpec) -> AsyncGenerator[ProcessSpec]:
        """The spec to run instead, with its proxy open meanwhile. Without hosts, or where they are not enforced, it is
        the spec itself. Raises OSError."""
        if not spec.policy.hosts or not enforces_hosts(sandbox):
            yield spec
            return
        allowed = Allowlist(spec.policy.hosts)
        for entry in allowed.ignored:
            self._told(spec.run_id, "", f"{sanitise_line(entry)} is not a host, and nothing is allowed by it")
        with contextlib.ExitStack() as stack:
            if sandbox.own_network:
                listener, token = stack.enter_context(_socket(spec.folder / FOLDER)), ""
                inside = _behind_relay(spec, allowed)
            else:
                listener, token = stack.enter_context(_port()), secrets.token_urlsafe(24)
                inside = _by_port(spec, listener.getsockname()[1], token)
            serving = asyncio.create_task(self._proxy(spec, allowed, listener, token).serve())
            try:
                yield inside
            finally:
                serving.cancel()
                await asyncio.wait((serving,))

    def _proxy(self, spec: ProcessSpec, allowed: Allowlist, listener: socket.socket, token: str) -> Proxy:
        redactor = Redactor(spec.secrets)  # a name can be made of a key, so that looking it up gives the key away

        def told(target: str, sentence: str) -> None:
            target, sentence = redactor.redact(target), redactor.redact(sentence)
            if target:
                _add_refused(spec.folder, target)
            self._told(spec.run_id, target, sentence)

        return Proxy(
            allowed,
            listener,
            shared=self._shared,
            lookup=Lookup(self._resolve),
            environ=self._environ,
            told=told,
            token=token,
        )


def _behind_relay(spec: ProcessSpec, allowed: Allowlist) -> ProcessSpec:
    """The same in a sandbox without a network: the relay first, and what it needs to see."""
    python, library = interpreter()
    script = Path(relay.__file__).resolve()
    needs = (*library, script, script.with_name("forward.py"))
    folder = (spec.folder / FOLDER).absolute()
    argv = (str(python), "-I", "-S", str(script), str(folder / SOCKET), *map(str, allowed.on_this_machine()), "--")
    policy = replace(spec.policy, readable=(*spec.policy.readable, *needs, folder))
    return replace(spec, argv=(*argv, *spec.argv), policy=policy)


def _by_port(spec: ProcessSpec, port: int, token: str) -> ProcessSpec:
    """The same where the proxy's port is the only one that may be connected to."""
    proxy = f"http://swarm:{token}@127.0.0.1:{port}"
    env = {**spec.env, **dict.fromkeys(relay.VARIABLES, proxy), "NODE_USE_ENV_PROXY": "1"}
    secret = {**spec.secrets, "HTTP_PROXY": token}
    return replace(spec, env=env, secrets=secret, policy=replace(spec.policy, ports=(port,)))


@contextlib.contextmanager
def _socket(folder: Path) -> Generator[socket.socket]:
    """Listens in this folder, which is made for it, and for its owner alone, and goes afterwards."""
    if sys.platform != "linux":
        raise AssertionError("Linux only")
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / SOCKET
    path.unlink(missing_ok=True)
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(f"/proc/self/fd/{opened}/{SOCKET}")  # the address of a socket has room for 107 bytes
            listener.listen(relay.BACKLOG)
            listener.setblocking(False)
            yield listener
    finally:
        os.close(opened)
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            folder.rmdir()


@contextlib.contextmanager
def _port() -> Generator[socket.socket]:
    """Listens on a free port of the loopback interface."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(relay.BACKLOG)
        listener.setblocking(False)
        yield listener


def _add_refused(folder: Path, target: str) -> None:
    """Kept beside the run's other records, so that a result which is read again says the same."""
    known = refused_hosts(folder)
    if target in known or len(known) >= REFUSED_MAX:
        return
    new = folder / f"{REFUSED}.new"
    with contextlib.suppress(OSError):
        new.write_text(json.dumps([*known, target]), encoding="utf-8")
        new.replace(folder / REFUSED)


def _connections() -> int:
    """How many connections, of two descriptors each, this process has room for."""
    if sys.platform == "win32":
        return TOTAL
    import resource

    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if most == resource.RLIM_INFINITY:
        return TOTAL
    return max(CONNECTIONS, min(TOTAL, (most - OTHER_DESCRIPTORS) // 2))
