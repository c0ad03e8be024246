"""macOS sandbox by sandbox-exec (Seatbelt): a profile that denies by default. Untested on this platform.

Apple calls the program deprecated and ships it with every macOS; browsers and other agents' sandboxes rest on it. Later
rules win. A file that is masked cannot be read, which is not quite looking empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from engine.ports import Sandbox, SandboxPolicy
from engine.sandbox.meanings import UNTESTED

PROGRAM = Path("/usr/bin/sandbox-exec")
SYSTEM = (
    *("/usr", "/bin", "/sbin", "/System", "/Library/Apple", "/Library/Developer", "/Library/Frameworks"),
    *("/Applications/Xcode.app", "/opt/homebrew", "/opt/local", "/nix/store"),
    *("/private/var/db/dyld", "/private/var/db/timezone", "/private/var/db/xcode_select_link"),
    *("/private/etc/hosts", "/private/etc/resolv.conf", "/private/etc/services", "/private/etc/protocols"),
    *("/private/etc/localtime", "/private/etc/passwd", "/private/etc/group", "/private/etc/ssl", "/private/etc/shells"),
)
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/dtracehelper")
SERVICES = (
    "com.apple.system.opendirectoryd.libinfo",
    "com.apple.system.logger",
    "com.apple.system.notification_center",
)
"""What every C library asks at start; the keychain, the pasteboard, the window server and the like are not here."""
WEAK: tuple[str, ...] = (
    UNTESTED,
    "masked files cannot be read, instead of looking empty",
    "there is no private /tmp: programs have to use TMPDIR",
)


class SandboxExec(Sandbox):
    """The environment is that of whoever starts the argv: exactly `env`."""

    name = "sandbox-exec"
    net_by_port = True
    weak: tuple[str, ...] = WEAK

    def __init__(self, guarantees: Mapping[str, bool], program: Path = PROGRAM) -> None:
        self.guarantees: Mapping[str, bool] = dict(guarantees)
        self._program = str(program)

    def wrap(self, argv: tuple[str, ...], cwd: Path, env: Mapping[str, str], policy: SandboxPolicy) -> tuple[str, ...]:
        """Raises ValueError for overlays, and for paths with control characters."""
        return (self._program, "-p", profile(policy), *argv)


def profile(policy: SandboxPolicy) -> str:
    """The profile's text (SBPL). Raises ValueError for overlays, and for paths with control characters."""
    if policy.overlays:
        raise ValueError("this sandbox has no overlays")
    return "\n".join(_lines(policy)) + "\n"


def _lines(policy: SandboxPolicy) -> Iterator[str]:
    yield "(version 1)"
    yield "(deny default)"
    yield "(allow process-fork)"
    yield "(allow signal (target same-sandbox))"
    yield "(allow process-info* (target same-sandbox))"
    yield "(allow sysctl-read)"
    yield "(allow pseudo-tty)"
    yield "(allow ipc-posix-sem)"
    yield _rule("allow", "mach-lookup", [f"(global-name {_quoted(name)})" for name in SERVICES])
    # Whoever may not stat a parent cannot resolve a path below it. Names and sizes can be seen, contents cannot.
    yield "(allow file-read-metadata)"
    yield _rule("allow", "file-read* file-ioctl", [f"(literal {_quoted(name)})" for name in ("/", *DEVICES)])
    yield _rule("allow", "file-write-data", [f"(literal {_quoted(name)})" for name in DEVICES])
    seen = [*map(Path, SYSTEM), *policy.readable, *policy.writable]
    yield _rule("allow", "file-read* process-exec", _below(seen))
    yield _rule("allow", "file-write*", _below(policy.writable))
    yield "(deny file-write-setugid)"
    # A lent folder inside of a writable one stays as it is.
    lent = [path for path in policy.readable if any(_within(path, outer) for outer in policy.writable)]
    yield _rule("deny", "file-write*", _below(path for path in lent if path not in policy.writable))
    yield _rule("deny", "file-read-data file-write*", _exactly(policy.masked))
    if policy.hosts and policy.ports:
        ports = [f'(remote tcp "localhost:{int(port)}")' for port in policy.ports]
        yield _rule("allow", "network-outbound", ports)
    own = [f'(local tcp "localhost:{int(port)}")' for port in policy.listen]
    yield _rule("allow", "network-bind network-inbound", own)


def _rule(word: str, operations: str, filters: Iterable[str]) -> str:
    """A rule, or a comment when there is nothing it would speak of: without a filter it would speak of everything."""
    listed = list(dict.fromkeys(filters))
    return f"({word} {operations} {' '.join(listed)})" if listed else f"; no {operations}"


def _below(paths: Iterable[Path]) -> list[str]:
    return [f"(subpath {_quoted(each)})" for path in paths for each in _names(path)]


def _exactly(paths: Iterable[Path]) -> list[str]:
    return [f"(literal {_quoted(each)})" for path in paths for each in _names(path)]


def _names(path: Path) -> tuple[str, ...]:
    """The kernel judges real paths: /tmp is a link there."""
    return tuple(dict.fromkeys((path.as_posix(), path.resolve().as_posix())))


def _within(path: Path, outer: Path) -> bool:
    return path.resolve().is_relative_to(outer.resolve())


def _quoted(text: str) -> str:
    if any(ord(char) < 32 or ord(char) == 127 for char in text):
        raise ValueError(f"the path {text!r} has control characters: rename it")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
