"""Attacks on the Landlock sandbox, each also made without it; and what it says that it cannot hold.

The names are those of the project's attack catalogue.
"""

from __future__ import annotations

import asyncio
import http.server
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from real_processes import DAEMON, until
from sandbox_cell import PYTHON, Cell, both

from engine.executors.local import LocalExecutor
from engine.models.settings import SandboxSettings
from engine.ports import SandboxPolicy
from engine.sandbox.choose import choose_sandbox
from engine.sandbox.landlock import LandlockSandbox
from engine.sandbox.landlock_run import landlock_abi
from tests.serving import serving

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Landlock is for Linux")


@pytest.fixture(scope="session")
def probed(tmp_path_factory: pytest.TempPathFactory) -> LandlockSandbox:
    sandbox = choose_sandbox(SandboxSettings(), tmp_path_factory.mktemp("probe"), among=["landlock"])
    if not isinstance(sandbox, LandlockSandbox):
        pytest.skip(f"no sandbox was attacked: {sandbox.reason}")
    return sandbox


@pytest.fixture
def cell(tmp_path: Path, probed: LandlockSandbox) -> Cell:
    return Cell(tmp_path, probed)


def test_it_promises_what_it_was_seen_to_hold(probed: LandlockSandbox) -> None:
    held = {name for name, holds in probed.guarantees.items() if holds}
    assert held >= {"fs_read", "git_meta", "net", "unix_sock"}
    assert ("pid_tree" in held) == (landlock_abi() >= 6)
    assert "fs_write" not in held
    assert {"mode", "times"} <= set(probed.broken), "the escapes by which fs_write is broken are named"


async def test_a01_a02_writing_outside(cell: Cell) -> None:
    other, profile = cell.home / "other", cell.home / ".bashrc"
    profile.write_text("alias ls=ls\n", encoding="utf-8")
    await both(lambda how: cell.shell(how, "echo x > ../../other"), other.exists)
    await both(lambda how: cell.shell(how, "echo evil >> ~/.bashrc"), lambda: "evil" in profile.read_text("utf-8"))


async def test_a06_a08_a09_links_moves_and_truncation(cell: Cell) -> None:
    outside = cell.home / "outside"
    outside.mkdir()
    for name in ("linked", "moved", "truncated"):
        (outside / name).write_text("outside\n", encoding="utf-8")

    def changed() -> list[bool]:
        linked = (outside / "linked").stat().st_nlink > 1
        return [linked, not (outside / "moved").exists(), not (outside / "truncated").stat().st_size]

    line = f"ln {outside}/linked linked; mv {outside}/moved moved; truncate -s 0 {outside}/truncated"
    await cell.shell("caged", line)
    assert changed() == [False] * 3
    await cell.shell("free", line)
    assert changed() == [True] * 3


async def test_a09_modes_of_files_outside_are_not_protected_as_it_says(cell: Cell) -> None:
    """Should this fail because the kernel has learned it: the sentence in `weak` can go."""
    file = cell.home / "mode"
    file.write_text("", encoding="utf-8")
    file.chmod(0o600)
    await cell.shell("caged", f"chmod 644 {file}")
    assert file.stat().st_mode & 0o777 == 0o644
    assert any("modes" in sentence for sentence in cell.sandboxes["caged"].weak)  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["path", "abstract"])
async def test_a16_a17_connecting_to_unix_sockets_of_the_session(cell: Cell, kind: str) -> None:
    if sys.platform != "linux":
        pytest.skip("Landlock is for Linux")
    with tempfile.TemporaryDirectory(prefix="s") as folder, socket.socket(socket.AF_UNIX) as server:
        address = f"{folder}/agent" if kind == "path" else f"\0{folder}/agent"
        server.bind(address)
        server.listen()
        server.setblocking(False)

        def connected() -> bool:
            try:
                server.accept()[0].close()
            except BlockingIOError:
                return False
            return True

        code = f"import socket; socket.socket(socket.AF_UNIX).connect({address!r})"
        await both(lambda how: cell.python(how, code), connected)


async def test_a16_a_datagram_from_one_end_of_a_pair(cell: Cell) -> None:
    if sys.platform != "linux":
        pytest.skip("Landlock is for Linux")
    with tempfile.TemporaryDirectory(prefix="s") as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(f"{folder}/d")
        server.setblocking(False)

        def heard() -> bool:
            try:
                return server.recv(10) == b"x"
            except BlockingIOError:
                return False

        code = (
            "import socket; a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
            f"a.connect({folder + '/d'!r}); a.send(b'x')"
        )
        await both(lambda how: cell.python(how, code), heard)


async def test_a21_devices_and_kernel_settings(cell: Cell) -> None:
    code = (
        "import os, stat\n"
        "def can(act, *arguments):\n"
        "    try: act(*arguments)\n"
        "    except OSError: return False\n"
        "    return True\n"
        "print(can(os.open, '/proc/sys/kernel/core_pattern', os.O_WRONLY), can(os.open, '/dev/tty', os.O_RDWR),\n"
        "      can(os.mknod, 'disk', 0o600 | stat.S_IFBLK, os.makedev(254, 0)), can(os.listdir, '/sys/kernel'),\n"
        "      can(os.open, '/dev/null', os.O_WRONLY | os.O_TRUNC))"
    )
    said = (await cell.python("caged", code)).log.read_text(encoding="utf-8")
    assert said.split() == ["False"] * 4 + ["True"]
    assert "True" in (await cell.python("free", code)).log.read_text(encoding="utf-8").split()[:4]


async def test_f01_f05_the_environment_and_the_memory_of_others(cell: Cell) -> None:
    victim = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE, env={"CANARY_TOKEN": "tok-canary-1"}
    )
    try:
        dump = f"env; cat /proc/{victim.pid}/environ; head -c 1 /proc/{victim.pid}/mem && echo memory"
        caged = (await cell.shell("caged", dump)).log.read_bytes()
        assert b"PATH=" in caged
        assert b"tok-canary-1" not in caged
        assert b"tok-canary-1" in (await cell.shell("free", dump)).log.read_bytes()
        await both(lambda how: cell.shell(how, f"kill -9 {victim.pid}"), lambda: _ended(victim))
    finally:
        victim.kill()
        victim.communicate()


async def test_f02_reading_secrets_of_the_user_and_of_root(cell: Cell) -> None:
    secret = cell.home / ".ssh" / "id"
    secret.parent.mkdir()
    secret.write_text("tok-canary-2", encoding="utf-8")
    line = f"cat {secret}; cat ../../.ssh/id; cat /etc/shadow > shadow; wc -c < shadow"
    assert b"tok-canary-2" not in (await cell.shell("caged", line)).log.read_bytes()
    assert not (cell.workspace / "shadow").stat().st_size
    assert (await cell.shell("free", line)).log.read_bytes().count(b"tok-canary-2") == 2


@pytest.fixture
def web() -> Iterator[tuple[int, list[str]]]:
    """(port, what was asked for)."""
    asked: list[str] = []

    class Remember(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with serving(http.server.HTTPServer(("127.0.0.1", 0), Remember)) as server:
        yield server.server_port, asked


def policy(cell: Cell, **changes: object) -> SandboxPolicy:
    return SandboxPolicy((cell.workspace,), cell.spec(()).policy.readable, **changes)  # type: ignore[arg-type]


def direct(cell: Cell, code: str, allowed: SandboxPolicy) -> str:
    """What it prints in the sandbox itself, without an executor that opens a proxy."""
    argv = cell.sandboxes["caged"].wrap((PYTHON, "-I", "-S", "-c", code), cell.workspace, {}, allowed)
    return subprocess.run(argv, capture_output=True, check=False, text=True, encoding="utf-8", env={}).stdout


ASK = """
import socket
def ask(port, fast=False):
    try:
        with socket.socket() as s:
            said = b'GET /secret HTTP/1.0\\r\\n\\r\\n'
            if fast:
                s.sendto(said, socket.MSG_FASTOPEN, ('127.0.0.1', port))
            else:
                s.connect(('127.0.0.1', port)); s.sendall(said)
            s.recv(100)
    except OSError: pass
"""


async def test_f10_without_hosts_there_is_no_network(cell: Cell, web: tuple[int, list[str]]) -> None:
    port, asked = web
    await both(lambda how: cell.python(how, f"{ASK}\nask({port})"), lambda: asked == ["/secret"])
    direct(cell, f"{ASK}\nask({port})", policy(cell, ports=(port,)))
    assert asked == ["/secret"], "ports count only with hosts"


@pytest.mark.skipif(landlock_abi() < 4, reason="this Landlock knows no ports")
async def test_with_hosts_the_proxys_port_is_the_only_one(cell: Cell, web: tuple[int, list[str]]) -> None:
    port, asked = web
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        elsewhere = other.getsockname()[1]
    direct(cell, f"{ASK}\nask({port}); ask({port}, fast=True)", policy(cell, hosts=("a.example",), ports=(elsewhere,)))
    assert asked == []
    direct(cell, f"{ASK}\nask({port})", policy(cell, hosts=("a.example",), ports=(port,)))
    assert asked == ["/secret"]
    await cell.python("free", f"{ASK}\nask({port}, fast=True)")
    assert asked == ["/secret"] * 2, "the fast way does not even work without a sandbox"
    listens = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); print('listens')"
    allowed = policy(cell, hosts=("a.example",), ports=(port,))
    assert "listens" not in direct(cell, listens, allowed)
    assert b"listens" in (await cell.python("free", listens)).log.read_bytes()


@pytest.mark.skipif(landlock_abi() < 4, reason="this Landlock knows no ports")
async def test_an_allowed_host_is_reached_through_the_engines_proxy(cell: Cell, web: tuple[int, list[str]]) -> None:
    port, asked = web
    code = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{port}/secret', timeout=5).close(); print('there')"
    refused = await cell.python("caged", code, hosts=(f"127.0.0.1:{port + 1}",))
    assert (refused.exit_code, asked) == (1, [])
    assert refused.refused == (f"127.0.0.1:{port}",)
    reached = await cell.python("caged", code, hosts=(f"127.0.0.1:{port}",))
    assert (reached.log.read_bytes(), asked) == (b"there\n", ["/secret"])
    past = code.replace("u.urlopen", "u.build_opener(u.ProxyHandler({})).open")
    assert (await cell.python("caged", past, hosts=(f"127.0.0.1:{port}",))).exit_code == 1
    assert asked == ["/secret"], "not even an allowed host is reached past the proxy"


async def test_f11_datagrams(cell: Cell) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)

        def heard() -> bool:
            try:
                return server.recv(100) == b"secret"
            except BlockingIOError:
                return False

        address = server.getsockname()
        code = f"import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'secret', {address!r})"
        direct(cell, code, policy(cell, hosts=("a.example",), ports=(address[1],)))
        assert not heard()
        await both(lambda how: cell.python(how, code), heard)


async def test_what_the_policy_names_can_be_used_and_nothing_more(cell: Cell) -> None:
    lent = cell.folder / "lent"
    lent.mkdir()
    (lent / "file").write_text("lent\n", encoding="utf-8")
    line = (
        f"cat {lent}/file; echo x > {lent}/file; echo mine > own; cat own; mkdir a b; echo m > a/f; mv a/f b/f; cat b/f"
    )
    result = await cell.shell("caged", line, readable=(lent, cell.folder / "missing"))
    said = result.log.read_text(encoding="utf-8")
    assert [line for line in said.splitlines() if "sh:" not in line] == ["lent", "mine", "m"]
    assert (lent / "file").read_text(encoding="utf-8") == "lent\n"


async def test_exit_codes_come_through(cell: Cell) -> None:
    for code in (0, 1, 7, 127, 255):
        result = await cell.shell("caged", f"exit {code}")
        assert (result.end, result.exit_code) == ("exited", code)
    assert (await cell.shell("caged", "kill -9 $$")).exit_code == 137


async def test_a_program_that_is_not_visible_inside_is_not_started(cell: Cell) -> None:
    tool = cell.folder / "tool"
    tool.write_text("#!/bin/sh\n", encoding="utf-8")
    tool.chmod(0o755)
    for argv in ((str(tool),), ("no-such-tool",)):
        result = await cell.run("caged", argv)
        assert (result.end, result.exit_code) == ("not_started", None), result.note
        assert argv[0] in result.note
    assert (await cell.run("free", (str(tool),))).exit_code == 0


async def test_a_writable_folder_that_is_missing_is_not_started(cell: Cell) -> None:
    result = await cell.shell("caged", "true", writable=(cell.folder / "missing",))
    assert result.end == "not_started"
    assert "missing cannot be opened: No such file" in result.note


async def test_the_environment_is_exact_and_nothing_is_inherited(cell: Cell) -> None:
    executor = LocalExecutor(cell.sandboxes["caged"], cell.folder.name)
    given = {"TOKEN": "tok-canary-3", "LD_LIBRARY_PATH": str(cell.workspace), "ODD": "--", "EMPTY": ""}
    line = "env; ls -l /proc/self/fd | grep -c -- '->'; grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status"
    spec = cell.spec(("sh", "-c", f"({line}) > said; touch up; sleep 600"), env=given)
    running = asyncio.create_task(executor.run(spec))
    await asyncio.to_thread(until, (cell.workspace / "up").exists, "the command runs")
    try:
        lines = (cell.workspace / "said").read_text(encoding="utf-8").splitlines()
        names = {line.partition("=")[0] for line in lines if "=" in line}
        assert names == {"PATH", "HOME", "SWARM_RUN", "PWD", *given}
        assert {"TOKEN=tok-canary-3", "ODD=--", "EMPTY="} <= set(lines)
        assert "4" in lines, "three descriptors, and the one of ls"
        status = dict(line.split(":\t") for line in lines if ":\t" in line)
        assert {status.pop("NoNewPrivs"), status.pop("Seccomp")} == {"1", "2"}
        assert {int(value, 16) for value in status.values()} == {0}
        shown = [" ".join(_cmdline(process)) for process in psutil.process_iter()]
        assert not [line for line in shown if "tok-canary-3" in line]
    finally:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_a_daemon_does_not_outlive_the_run(cell: Cell) -> None:
    path = cell.workspace / "daemon"
    result = await cell.python("caged", DAEMON.replace("PATH", repr(str(path))))
    assert (result.end, result.exit_code) == ("exited", 0)
    assert path.exists()
    assert [p for p in psutil.process_iter() if str(path) in " ".join(_cmdline(p))] == []


async def test_a_program_inside_cannot_widen_its_own_cage(cell: Cell) -> None:
    """G13: another Landlock, another filter or another user only make it narrower."""
    secret = cell.home / "secret"
    secret.write_text("tok-canary-6", encoding="utf-8")
    inner = cell.sandboxes["caged"].wrap(("cat", str(secret)), cell.workspace, {"PATH": "/bin"}, policy(cell))
    script = str(Path(inner[5]).resolve())
    line = f"{' '.join(inner)}; unshare -Ur cat {secret}; sudo -n cat {secret}; su -c 'cat {secret}'; cat {secret}"
    caged = await cell.shell("caged", line, readable=(Path(script).parents[2],))
    assert b"tok-canary-6" not in caged.log.read_bytes()
    assert b"tok-canary-6" in (await cell.shell("free", f"cat {secret}")).log.read_bytes()


@pytest.mark.parametrize("abi", range(1, 8))
async def test_older_versions_of_landlock_start_too(cell: Cell, probed: LandlockSandbox, abi: int) -> None:
    if abi > landlock_abi():
        pytest.skip("this kernel is older")
    words = list(probed.wrap(("sh", "-c", "cat ../../secret; echo x > ../../new; echo ran"), cell.workspace,
                             {"PATH": "/usr/bin:/bin"}, policy(cell)))  # fmt: skip
    words[words.index("--abi") + 1] = str(abi)
    (cell.home / "secret").write_text("tok-canary-7", encoding="utf-8")
    done = subprocess.run(words, capture_output=True, check=True, text=True, encoding="utf-8")
    assert done.stdout == "ran\n"
    assert not (cell.home / "new").exists()


def _ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(timeout=0.1)
    except subprocess.TimeoutExpired:
        return False
    return True


def _cmdline(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
