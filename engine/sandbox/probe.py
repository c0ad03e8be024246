"""What a sandbox really holds, found out by trying to break it.

Every escape is also tried without the sandbox. One that fails there too says nothing about the sandbox, so its
guarantee is not given: a missing tool or a strange machine never counts as protection.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from engine.ports import GUARANTEES, Overlay, SandboxPolicy
from engine.sandbox import escapes
from engine.sandbox.bubblewrap import BubblewrapSandbox
from engine.sandbox.overlays import OverlayMounts

TIMEOUT_S = 20.0
NOTHING: Mapping[str, bool] = dict.fromkeys(GUARANTEES, False)

Wrap = Callable[[tuple[str, ...], Path, SandboxPolicy], tuple[tuple[str, ...], Mapping[str, str]]]
"""(argv, folder, policy) -> (argv to run, its environment)."""


@dataclass(frozen=True)
class Probe:
    """`problem` is one sentence when the sandbox does not work at all; then every guarantee is False. `mounts`: who
    mounts overlays here."""

    guarantees: Mapping[str, bool]
    optional: tuple[str, ...] = ()
    problem: str = ""
    mounts: OverlayMounts = ""


SOCKET_FOLDER_BYTES = 60
"""An address has 107 bytes, and the probe's own folders need the rest."""


class ProbeFailed(Exception):
    """The attacking program could not be run; the message is what the machine said."""


def probe_bubblewrap(program: Path) -> Probe:
    """Attack a bubblewrap sandbox on this machine. Takes about 0.2 s; blocks."""
    with tempfile.TemporaryDirectory(prefix="swarm-probe-", dir=_short_folder()) as folder:
        problem = ""
        for number, optional in enumerate((("--disable-userns",), ())):
            home = Path(folder, f"home{number}")

            def wrap(
                argv: tuple[str, ...],
                cwd: Path,
                policy: SandboxPolicy,
                home: Path = home,
                optional: tuple[str, ...] = optional,
            ) -> tuple[tuple[str, ...], Mapping[str, str]]:
                return BubblewrapSandbox(program, NOTHING, home=home, optional=optional).wrap(argv, cwd, {}, policy), {}

            try:
                held = _attack(Path(folder, f"inside{number}"), home, wrap)
            except (ProbeFailed, OSError) as error:
                problem = problem or str(error)
                continue
            free = _attack(Path(folder, "control"), Path(folder, "home"), lambda argv, cwd, policy: (argv, {}))
            guarantees = {name: free.get(name, False) and not held.get(name, True) for name in GUARANTEES}
            return Probe(guarantees, optional)
    return Probe(NOTHING, problem=f"bubblewrap does not work here ({problem})")


def probe_overlays(program: Path, optional: tuple[str, ...], state: Path) -> OverlayMounts:
    """Who mounts overlays on the disk of the folder `state`: the first whose command sees the lower files and changes
    them, while they stay as they are. Takes about 20 ms; blocks."""
    state.mkdir(parents=True, exist_ok=True)
    backends: tuple[OverlayMounts, ...] = ("bwrap", "unshare")
    for mounts in backends:
        with tempfile.TemporaryDirectory(prefix="probe-overlay-", dir=state) as name:
            folder = Path(name).resolve()
            lower, upper, work = folder / "lower", folder / "upper", folder / "work"
            for made in (lower, upper, work):
                made.mkdir()
            for file in ("changed", "removed"):
                (lower / file).write_text("lower", encoding="utf-8")
            policy = SandboxPolicy(overlays=(Overlay(lower, upper, work, lower),))
            sandbox = BubblewrapSandbox(program, NOTHING, home=folder / "home", optional=optional, mounts=mounts)
            line = "cat changed removed && echo upper > changed && rm removed && mkdir made && mv made moved"
            try:
                argv = sandbox.wrap(("/bin/sh", "-c", line), lower, {"PATH": "/usr/bin:/bin"}, policy)
                done = subprocess.run(
                    argv, cwd=folder, env={}, stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S
                )
            except (OSError, ValueError, subprocess.TimeoutExpired):
                continue
            finally:
                for at in (work / "work", work):
                    if at.is_dir():
                        at.chmod(0o700)  # overlayfs leaves it locked
            lower_now = {each.name: _text(each) for each in lower.iterdir()}
            taken = (upper / "changed").is_file() and (upper / "moved").is_dir()
            stayed = lower_now == {"changed": "lower", "removed": "lower"}
            if done.returncode == 0 and done.stdout == b"lowerlower" and taken and stayed:
                return mounts
    return ""


def _short_folder() -> str | None:
    """Where temporary files go, unless that name is too long for the address of a socket below it."""
    for each in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if len(os.fsencode(each)) <= SOCKET_FOLDER_BYTES and os.access(each, os.W_OK):
            return each
    return None


def _attack(folder: Path, home: Path, wrap: Wrap) -> dict[str, bool]:
    """Guarantee -> whether it was broken. Raises ProbeFailed."""
    workspace, objects, outside = folder / "workspace", folder / "objects", home / "outside"
    for made in (workspace, objects, outside):
        made.mkdir(parents=True)
    # In the same folder as the hidden home, and not below it, for the two ways in which a path can be out of reach.
    ref, packed, secret = folder / "hub-main", objects / "pack", home / "secret"
    word = secrets.token_hex(8)
    for file in (ref, packed, secret):
        file.write_text(word, encoding="utf-8")
    with ExitStack() as stack:
        victim = stack.enter_context(_victim())
        stack.callback(victim.kill)
        targets: dict[str, Any] = {
            "outside": str(outside),
            "ref": str(ref),
            "object": str(packed),
            "secret": str(secret),
            "victim": victim.pid,
            "port": _listen(stack, socket.AF_INET, ("127.0.0.1", 0)).getsockname()[1],
        }
        if sys.platform == "linux":
            targets |= {"socket": str(folder / "s"), "abstract": f"swarm-probe-{word}"}
            _listen(stack, socket.AF_UNIX, targets["socket"])
            _listen(stack, socket.AF_UNIX, "\0" + targets["abstract"])
        script = Path(escapes.__file__).resolve()
        policy = SandboxPolicy(writable=(workspace,), readable=(objects, script, *_interpreter_roots()))
        argv, env = wrap(
            (str(Path(sys.executable).resolve()), "-I", "-S", str(script), json.dumps(targets)), workspace, policy
        )
        seen = _run(argv, workspace, env)
        return {
            "fs_write": (outside / "written").exists() or seen.get("kernel") is not None,
            "fs_read": seen["fs_read"] == word,
            "git_meta": _text(ref) != word or _text(packed) != word,
            "net": seen["net"] is not None,
            "pid_tree": _was_killed(victim),
            "unix_sock": seen.get("unix_path") is not None or seen.get("unix_abstract") is not None,
        }


def _run(argv: tuple[str, ...], cwd: Path, env: Mapping[str, str]) -> dict[str, Any]:
    try:
        done = subprocess.run(
            argv, cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ProbeFailed(str(error)) from error
    try:
        return cast("dict[str, Any]", json.loads(done.stdout))
    except ValueError as error:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise ProbeFailed(said[-1][:200] if said else f"exit code {done.returncode}") from error


def _victim() -> subprocess.Popen[bytes]:
    """A process of ours that waits to be killed from inside."""
    waits = (sys.executable, "-I", "-S", "-c", "import sys; sys.stdin.read()")
    return subprocess.Popen(waits, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)


def _was_killed(victim: subprocess.Popen[bytes]) -> bool:
    """The attacker has ended, so its signal has been sent: a victim that is not dead after a moment was not hit."""
    try:
        victim.wait(timeout=0.05)
    except subprocess.TimeoutExpired:
        return False
    return True


def _listen(stack: ExitStack, family: int, address: Any) -> socket.socket:
    server = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
    server.bind(address)
    server.listen()
    return server


def _interpreter_roots() -> tuple[Path, ...]:
    return tuple({Path(sys.base_prefix), Path(sys.base_exec_prefix), Path(sys.executable).resolve().parent.parent})


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")
