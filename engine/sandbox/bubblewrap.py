"""Linux sandbox by bubblewrap (bwrap): namespaces, a read-only system, nothing of the user's but what the policy names.

The root is an empty tmpfs. Into it go the system's programs and libraries, an allow-listed part of /etc, private /proc,
/dev, /tmp, /run and home, and then the policy's paths, outermost first, so that an inner path overrides an outer one.
Flags as bwrap(1) documents them.
"""

# ruff: noqa: PTH110, PTH114, PTH208

from __future__ import annotations

import copy
import fnmatch
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from engine.ports import Sandbox, SandboxPolicy
from engine.sandbox.overlays import OverlayMounts, mounted_before, own_ids

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")
ETC = (
    "alternatives",
    "ca-certificates",
    "ca-certificates.conf",
    "chromium.d",
    "crypto-policies",
    "debian_version",
    "fonts",
    "gai.conf",
    "group",
    "host.conf",
    "hostname",
    "hosts",
    "inputrc",
    "java",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "locale.alias",
    "locale.conf",
    "localtime",
    "magic",
    "mime.types",
    "nsswitch.conf",
    "os-release",
    "passwd",
    "pki/ca-trust",
    "pki/tls/certs",
    "pki/tls/cert.pem",
    "protocols",
    "python3",
    "resolv.conf",
    "rpc",
    "services",
    "shells",
    "ssl/certs",
    "ssl/openssl.cnf",
    "static",
    "terminfo",
    "timezone",
)
"""What programs need of /etc, and nothing that holds secrets: root's sandbox could read shadow and private keys."""
ETC_PATTERNS = ("java-*", "python3.*", "ld-musl-*.path")
TMP_SIZE_BYTES = 1_000_000_000
"""Limit of each private tmpfs: it is memory."""


class BubblewrapSandbox(Sandbox):
    """Implements `engine.ports.Sandbox`.

    program: absolute path of bwrap. guarantees: as probed. home: the folder that is hidden. optional: flags that this
    bwrap was seen to support (`--disable-userns`). mounts: who mounts overlays, "" if nobody can. filter: a file with
    the system-call filter, which the executor hands to bwrap by a descriptor. empty: an empty file, to mask others by.
    weak: sentences about what is weaker here than elsewhere.
    """

    name = "bubblewrap"
    own_network = True
    """With nothing in it but a loopback interface: a policy's `hosts` are reached by the engine's proxy."""

    def __init__(
        self,
        program: Path,
        guarantees: Mapping[str, bool],
        *,
        home: Path,
        optional: tuple[str, ...] = (),
        mounts: OverlayMounts = "",
        filter: Path | None = None,  # noqa: A002
        empty: Path | None = None,
        weak: tuple[str, ...] = (),
        extras: Mapping[str, bool] | None = None,
        broken: tuple[str, ...] = (),
    ) -> None:
        self.guarantees: Mapping[str, bool] = dict(guarantees)
        self.extras: Mapping[str, bool] = dict(extras or {})
        self.filter, self.weak, self.broken = filter, weak, broken
        self._program = str(program)
        self._home = home
        self._optional = optional
        self._mounts: OverlayMounts = mounts
        self._empty = empty
        self.overlays = bool(mounts)

    def hiding(self, home: Path) -> BubblewrapSandbox:
        """The same sandbox, which hides another home."""
        other = copy.copy(self)
        other._home = home
        return other

    def wrap(self, argv: tuple[str, ...], cwd: Path, env: Mapping[str, str], policy: SandboxPolicy) -> tuple[str, ...]:
        """The whole argv. It shows the values of `env` to everybody on the machine: prefer `parts` for secrets."""
        program, options = self.parts(argv, cwd, env, policy)
        if self.filter is None:
            return (*program, *options, "--", *argv)
        opened = ("/bin/sh", "-c", 'exec "$@" 9<"$0"', str(self.filter))
        return (*opened, *program, "--seccomp", "9", *options, "--", *argv)

    def parts(
        self, argv: tuple[str, ...], cwd: Path, env: Mapping[str, str], policy: SandboxPolicy
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(program, options): the options can be given by `--args FD` instead.

        Raises ValueError for overlays where they do not work, or whose names the mount cannot be given.
        """
        program, inner = (self._program,), policy
        if policy.overlays and self._mounts != "bwrap":
            if not self._mounts:
                raise ValueError("this sandbox has no overlays")
            program = (*mounted_before(policy.overlays), self._program)
            inner = replace(policy, writable=(*policy.writable, *(each.at for each in policy.overlays)), overlays=())
        options = [
            *("--unshare-user", "--unshare-all", *self._optional),
            *("--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        ]
        options += _system()
        options += _etc()
        if inner is not policy:
            options += own_ids()
        options += self._private()
        options += _policy(inner)
        options += self._masked(policy)
        options += ["--remount-ro", "/", "--chdir", str(cwd), "--clearenv"]
        for name, value in env.items():
            options += ["--setenv", name, value]
        return program, tuple(options)

    def _private(self) -> Iterator[str]:
        """Fresh, empty and private folders. They come before the policy's paths, some of which lie below them."""
        # Read-only as a whole: to the files below /proc/sys, root without any capability is still root, and whoever can
        # write kernel.core_pattern runs programs outside.
        yield from ("--proc", "/proc", "--remount-ro", "/proc", "--dev", "/dev")
        homes = {self._home, self._home.resolve()} - {Path("/")}
        for mode, folder in (("1777", "/tmp"), ("1777", "/var/tmp"), ("0755", "/run"), ("1777", "/dev/shm")):
            yield from ("--perms", mode, "--size", str(TMP_SIZE_BYTES), "--tmpfs", folder)
        yield from ("--remount-ro", "/dev")  # bwrap gives that one no limit
        for folder in sorted(homes, key=_depth):
            yield from ("--perms", "0700", "--size", str(TMP_SIZE_BYTES), "--tmpfs", str(folder))

    def _masked(self, policy: SandboxPolicy) -> Iterator[str]:
        """An empty file over each file that is there; where a name is a link, over what it leads to."""
        if policy.masked and self._empty is None:
            raise ValueError("this sandbox cannot mask files")
        shown = [path.resolve() for path in (*policy.writable, *policy.readable)]
        shown += [path.resolve() for each in policy.overlays for path in (each.at, each.lower)]
        for path in sorted({path.resolve() for path in policy.masked if path.is_file()}):
            if any(path.is_relative_to(folder) for folder in shown):
                yield from ("--ro-bind", str(self._empty), str(path))


def _system() -> Iterator[str]:
    for name in SYSTEM:
        path = Path(name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), name)
        elif path.is_dir():
            yield from ("--ro-bind", name, name)


def _etc() -> Iterator[str]:
    for name, target in etc_files():
        yield from ("--ro-bind", target, name)


def etc_files() -> Iterator[tuple[str, str]]:
    """(path, what it leads to) of what programs need of /etc, as far as it is there."""
    # Plain strings: this is done anew for every process, and Path would triple the time.
    listed = sorted(os.listdir("/etc"))
    names = [*ETC, *(name for pattern in ETC_PATTERNS for name in fnmatch.filter(listed, pattern))]
    for name in names:
        # A link into /run (resolv.conf on many systems) would dangle inside, so its target is what gets bound.
        if name.partition("/")[0] in listed:
            path = f"/etc/{name}"
            target = os.path.realpath(path) if os.path.islink(path) else path
            if os.path.exists(target):
                yield path, target


def _policy(policy: SandboxPolicy) -> Iterator[str]:
    """Binds, outermost first. Writable wins over readable. Missing readable paths and the system are skipped."""
    overlays = {each.at: each for each in policy.overlays}
    flags: dict[Path, str] = dict.fromkeys(overlays, "--overlay")
    for path in policy.readable:
        real = path.resolve()
        if path not in overlays and real.exists() and not any(real.is_relative_to(system) for system in SYSTEM):
            flags[path] = flags[real] = "--ro-bind"
    for path in policy.writable:
        if path in overlays:
            continue
        flags[path] = flags[path.resolve()] = "--bind"
    for path in sorted(flags, key=_depth):
        if (overlay := overlays.get(path)) is not None:
            paths = (overlay.lower, overlay.upper, overlay.work)
            lower, upper, work = (str(each.resolve()) for each in paths)
            yield from ("--overlay-src", lower, "--overlay", upper, work, str(path))
            continue
        # A device or a mount option of the source does not come along; the target keeps its own path inside.
        yield from (flags[path], str(path.resolve()), str(path))


def _depth(path: Path) -> int:
    return len(path.parts)
