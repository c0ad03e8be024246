"""Linux sandbox by Landlock and seccomp, for machines without user namespaces: bubblewrap is the better one.

A launcher (`engine.sandbox.landlock_launch`) gives up rights that it cannot get back and then becomes the command.
Landlock decides which files can be opened and changed, which TCP ports can be connected to and which processes can be
signalled; the filter closes what Landlock does not see (UDP, Unix sockets, new namespaces). What nobody closes: modes,
owners and times of the user's own files can be changed wherever they lie, nothing below a visible folder can be masked,
and there is no private /tmp and no /dev/shm. Needs Linux 5.13; 6.12 for signals.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from engine.ports import Sandbox, SandboxPolicy
from engine.sandbox.bubblewrap import SYSTEM, etc_files

DEVICES = ("null", "zero", "full", "random", "urandom")
KERNEL = "/proc"
"""Other processes' command lines can be read there; their memory and environment cannot, which Landlock sees to."""
PORTS_SINCE = 4
WEAK: tuple[str, ...] = (
    "modes, owners and times of your own files outside can be changed",
    "names, sizes and times of all files, and the command lines of all processes, can be seen",
    "files below a visible folder cannot be masked (.env)",
    "there is no private /tmp and no /dev/shm: programs have to use TMPDIR",
    "without allowed hosts there is no network at all, not even within the sandbox",
    "with allowed hosts a program can reach any host on the proxy's port",
)


class LandlockSandbox(Sandbox):
    """abi: the kernel's version of Landlock. closed, port: files with the system-call filters, without any network and
    with TCP. `net_by_port`: a policy's `ports` say where it may connect to.
    """

    name = "landlock"
    weak: tuple[str, ...] = WEAK

    def __init__(self, abi: int, guarantees: Mapping[str, bool], *, closed: Path, port: Path) -> None:
        self.guarantees: Mapping[str, bool] = dict(guarantees)
        self.net_by_port = abi >= PORTS_SINCE
        self._abi, self._closed, self._port = abi, closed, port

    def wrap(self, argv: tuple[str, ...], cwd: Path, env: Mapping[str, str], policy: SandboxPolicy) -> tuple[str, ...]:
        """The whole argv. It shows the values of `env` to everybody on the machine: prefer `parts` for secrets."""
        program, options = self.parts(argv, cwd, env, policy)
        return (*program, *options, "--", *argv)

    def parts(
        self, argv: tuple[str, ...], cwd: Path, env: Mapping[str, str], policy: SandboxPolicy
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(program, options): the options can be given by `--args FD` instead. Raises ValueError for overlays."""
        if policy.overlays:
            raise ValueError("this sandbox has no overlays")
        ports = policy.ports if policy.hosts and self.net_by_port else ()
        listen = policy.listen if self.net_by_port else ()
        options = ["--abi", str(self._abi), "--filter", str(self._port if ports or listen else self._closed)]
        for flag, path in _paths(policy):
            options += [flag, path]
        for port in ports:
            options += ["--connect", str(port)]
        for port in listen:
            options += ["--listen", str(port)]
        options += ["--chdir", str(cwd)]
        for name, value in env.items():
            options += ["--setenv", name, value]
        script = Path(__file__).with_name("landlock_launch.py")
        python = str(getattr(sys, "_base_executable", "") or sys.executable)
        return (python, "-I", "-S", "-X", "utf8", str(script)), tuple(options)


def _paths(policy: SandboxPolicy) -> Iterator[tuple[str, str]]:
    """(flag, path). Missing readable paths are skipped; missing writable ones are the launcher's to complain about."""
    for name in (*SYSTEM, KERNEL):
        if Path(name).is_dir():
            yield "--read", name
    for _, target in etc_files():
        yield "--read", target
    for name in DEVICES:
        yield "--device", f"/dev/{name}"
    for path in policy.readable:
        if path.exists():
            yield "--read", str(path.resolve())
    for path in policy.writable:
        yield "--write", str(path.resolve())
