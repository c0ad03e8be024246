"""Attacks on the bubblewrap sandbox. Each is also made without a sandbox, where it must succeed.

The names are those of the project's attack catalogue: A01, A02, A06, A08, A09, A16, A17, A21, A22, F01 to F03, F05,
F10, F11, F13.
"""

from __future__ import annotations

import asyncio
import http.server
import os
import shutil
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
from engine.sandbox.bubblewrap import BubblewrapSandbox
from engine.sandbox.choose import choose_sandbox
from engine.sandbox.none import NoSandbox
from tests.serving import serving


@pytest.fixture(scope="session")
def probed(tmp_path_factory: pytest.TempPathFactory) -> BubblewrapSandbox:
    sandbox = choose_sandbox(SandboxSettings(), tmp_path_factory.mktemp("probe"))
    if not isinstance(sandbox, BubblewrapSandbox):
        assert isinstance(sandbox, NoSandbox)
        pytest.skip(f"no sandbox was attacked: {sandbox.reason}")
    return sandbox


@pytest.fixture
def cell(tmp_path: Path, probed: BubblewrapSandbox) -> Cell:
    return Cell(tmp_path, probed.hiding(tmp_path / "home"))


async def test_a01_writing_above_the_workspace(cell: Cell) -> None:
    other = cell.home / "other"
    await both(lambda how: cell.shell(how, "echo x > ../../other"), other.exists)


async def test_a02_writing_to_the_profile_of_the_user(cell: Cell) -> None:
    profile = cell.home / ".bashrc"
    profile.write_text("alias ls=ls\n", encoding="utf-8")
    await both(
        lambda how: cell.shell(how, f"echo evil >> {profile}; echo evil >> ~/.bashrc"),
        lambda: "evil" in profile.read_text(encoding="utf-8"),
    )


@pytest.mark.parametrize("kind", ["path", "abstract"])
async def test_a16_a17_connecting_to_unix_sockets_of_the_session(cell: Cell, kind: str) -> None:
    if sys.platform != "linux":
        pytest.skip("abstract sockets are for Linux")
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


@pytest.mark.skipif(shutil.which("unshare") is None, reason="unshare is not installed")
async def test_a21_a_nested_user_namespace(cell: Cell, probed: BubblewrapSandbox) -> None:
    if not probed.extras["namespaces"]:
        pytest.skip("this bubblewrap cannot disable user namespaces")
    assert (await cell.run("free", ("unshare", "-Ur", "true"))).exit_code == 0
    assert (await cell.run("caged", ("unshare", "-Ur", "true"))).exit_code != 0


async def test_a21_kernel_settings_and_devices(cell: Cell) -> None:
    code = (
        "import os\n"
        "def opens(path):\n"
        "    try: os.close(os.open(path, os.O_WRONLY))\n"
        "    except OSError: return False\n"
        "    return True\n"
        "print(os.path.exists('/sys/kernel'), os.path.exists('/dev/mem') or os.path.exists('/dev/kmsg'),\n"
        "      opens('/proc/sys/kernel/core_pattern') or opens('/proc/sysrq-trigger'))"
    )
    assert (await cell.python("caged", code)).log.read_text(encoding="utf-8").split() == ["False"] * 3
    assert "True" in (await cell.python("free", code)).log.read_text(encoding="utf-8")


async def test_a06_a08_a09_links_moves_and_modes_of_files_outside(cell: Cell) -> None:
    outside = cell.home / "outside"
    outside.mkdir()
    for name in ("linked", "moved", "mode", "times"):
        (outside / name).write_text("outside\n", encoding="utf-8")
    (outside / "mode").chmod(0o600)
    code = (
        "import os\n"
        "def attempt(act, *arguments):\n"
        "    try: act(*arguments)\n"
        "    except OSError as error: print(error)\n"
        "open('own', 'w').write('own')\n"
        f"outside = {str(outside)!r}\n"
        "attempt(os.link, outside + '/linked', 'linked')\n"
        "attempt(os.rename, outside + '/moved', 'moved')\n"
        "attempt(os.rename, 'own', outside + '/brought')\n"
        "attempt(os.chmod, outside + '/mode', 0o777)\n"
        "attempt(os.utime, outside + '/times', (1, 1))\n"
    )

    def changed() -> list[bool]:
        return [
            (outside / "linked").stat().st_nlink > 1,
            not (outside / "moved").exists(),
            (outside / "brought").exists(),
            (outside / "mode").stat().st_mode & 0o777 != 0o600,
            (outside / "times").stat().st_mtime == 1,
        ]

    await cell.python("caged", code)
    assert changed() == [False] * 5
    await cell.python("free", code)
    assert changed() == [True] * 5


async def test_a22_there_is_no_terminal_to_type_into(cell: Cell) -> None:
    """The terminal is one of its own, of which it is the owner: even so nothing is typed."""
    code = (
        "import fcntl, os, termios\n"
        "try: os.open('/dev/tty', os.O_RDWR)\n"
        "except OSError: print('none', flush=True)\n"
        "_, terminal = os.openpty()\n"
        "if os.fork() == 0:\n"
        "    os.setsid(); fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)\n"
        "    try: fcntl.ioctl(terminal, termios.TIOCSTI, b'x'); print('typed', flush=True)\n"
        "    except OSError: print('refused', flush=True)\n"
        "    os._exit(0)\n"
        "os.wait()"
    )
    said = {how: sorted((await cell.python(how, code)).log.read_text("utf-8").split()) for how in ("caged", "free")}
    assert said["caged"] == ["none", "refused"]
    if said["free"] != ["none", "typed"]:
        pytest.skip("this kernel lets nobody type into terminals")


async def test_f11_f13_other_ways_into_the_network(cell: Cell) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)

        def heard() -> bool:
            try:
                return server.recv(100) == b"secret"
            except BlockingIOError:
                return False

        code = (
            "import socket\n"
            f"socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'secret', {server.getsockname()!r})"
        )
        await both(lambda how: cell.python(how, code), heard)
    vsock = "import socket; socket.socket(40, socket.SOCK_STREAM); print('open')"
    assert b"open" not in (await cell.python("caged", vsock)).log.read_bytes()
    if b"open" not in (await cell.python("free", vsock)).log.read_bytes():
        pytest.skip("this kernel has no sockets of virtual machines")


async def test_f03_a_masked_file_looks_empty_and_stays_as_it_is(cell: Cell) -> None:
    secret, lent, target = cell.workspace / ".env", cell.folder / "lent", cell.workspace / "target"
    lent.mkdir()
    for path in (secret, lent / ".env", target):
        path.write_text("TOKEN=tok-canary-5\n", encoding="utf-8")
    (cell.workspace / "link").symlink_to("target")
    (cell.workspace / "dangling").symlink_to("nowhere")
    (cell.workspace / "venv").mkdir()
    names = (".env", "link", "dangling", "venv", "missing")
    masked = (*(cell.workspace / name for name in names), lent / ".env", Path("/etc/passwd"))
    line = (
        f"cat .env link target {lent}/.env; wc -c < .env\n"
        "test -s /etc/passwd && echo users; test -d venv && echo venv\n"
        "echo x > .env; rm -f .env; mv -f target away; echo x > target; ls -a"
    )
    caged = (await cell.shell("caged", line, readable=(lent,), masked=masked)).log.read_text(encoding="utf-8")
    assert "tok-canary-5" not in caged
    assert {"0", "users", "venv", ".env"} <= set(caged.split())
    for path in (secret, lent / ".env", target):
        assert path.read_text(encoding="utf-8") == "TOKEN=tok-canary-5\n"
    free = (await cell.shell("free", f"cat .env link target {lent}/.env")).log.read_text(encoding="utf-8")
    assert free.count("tok-canary-5") == 4


def test_a_sandbox_that_cannot_mask_does_not_pretend_to(cell: Cell) -> None:
    plain = BubblewrapSandbox(Path("/usr/bin/bwrap"), {}, home=cell.home)
    with pytest.raises(ValueError, match="cannot mask"):
        plain.wrap(("true",), cell.workspace, {}, SandboxPolicy((cell.workspace,), masked=(cell.workspace / ".env",)))


async def test_without_its_filter_nothing_runs(cell: Cell) -> None:
    sandbox = cell.sandboxes["caged"]
    assert isinstance(sandbox, BubblewrapSandbox)
    sandbox.filter = cell.folder / "gone.bpf"
    result = await cell.shell("caged", "touch ran")
    assert (result.end, result.exit_code) == ("not_started", None)
    assert "gone.bpf cannot be read" in result.note
    sandbox.filter.write_bytes(b"no filter at all")
    assert (await cell.shell("caged", "touch ran")).end == "not_started"
    done = subprocess.run(
        sandbox.wrap(("/bin/sh", "-c", "touch ran"), cell.workspace, {}, SandboxPolicy((cell.workspace,))),
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0
    assert not (cell.workspace / "ran").exists()


async def test_f01_f05_reading_the_environment_of_the_engine(cell: Cell) -> None:
    """The engine's own variables are not in the command's environment, and its /proc entry cannot be seen."""
    victim = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE, env={"CANARY_TOKEN": "tok-canary-1"}
    )
    try:
        dump = "env; cat /proc/[0-9]*/environ"
        caged = (await cell.shell("caged", dump)).log.read_bytes()
        assert b"PATH=" in caged
        assert b"tok-canary-1" not in caged
        assert b"tok-canary-1" in (await cell.shell("free", dump)).log.read_bytes()
    finally:
        victim.communicate()


@pytest.mark.parametrize("name", [".ssh/id_ed25519", ".aws/credentials", ".netrc", ".npmrc", ".cargo/credentials.toml"])
async def test_f02_reading_the_secrets_of_the_user(cell: Cell, name: str) -> None:
    secret = cell.home / name
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_text("tok-canary-2", encoding="utf-8")
    line = f"cat {secret}; cat ~/{name}; cat ../../{name}"
    assert b"tok-canary-2" not in (await cell.shell("caged", line)).log.read_bytes()
    assert (await cell.shell("free", line)).log.read_bytes().count(b"tok-canary-2") == 3


@pytest.mark.skipif(not os.access("/etc/shadow", os.R_OK), reason="only root may read /etc/shadow")
async def test_f02_reading_what_only_root_may(cell: Cell) -> None:
    assert (await cell.shell("free", "cat /etc/shadow >/dev/null && echo read")).log.read_bytes() == b"read\n"
    assert b"read\n" not in (await cell.shell("caged", "cat /etc/shadow >/dev/null && echo read")).log.read_bytes()


@pytest.fixture
def web() -> Iterator[http.server.HTTPServer]:
    """A server on the loopback interface that remembers what it was asked for."""

    class Remember(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    asked: list[str] = []
    server = http.server.HTTPServer(("127.0.0.1", 0), Remember)
    server.asked = asked  # type: ignore[attr-defined]
    with serving(server):
        yield server


async def test_f10_sending_a_secret_by_http(cell: Cell, web: http.server.HTTPServer) -> None:
    code = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{web.server_port}/secret', timeout=5).close()"
    asked: list[str] = web.asked  # type: ignore[attr-defined]
    await both(lambda how: cell.python(how, code), lambda: asked == ["/secret"])


async def test_killing_a_process_outside(cell: Cell) -> None:
    victim = subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE)
    try:
        await both(lambda how: cell.shell(how, f"kill -9 {victim.pid}"), lambda: _ended(victim))
    finally:
        victim.kill()
        victim.communicate()


async def test_a_daemon_does_not_outlive_the_sandbox(cell: Cell) -> None:
    path = cell.workspace / "daemon"
    before = set(psutil.pids())
    result = await cell.python("caged", DAEMON.replace("PATH", repr(str(path))))
    assert (result.end, result.exit_code) == ("exited", 0)
    assert path.exists()
    left = [p for p in psutil.process_iter() if p.pid not in before and str(path) in " ".join(_cmdline(p))]
    assert left == []


async def test_cancelling_kills_what_runs_inside(cell: Cell) -> None:
    executor = LocalExecutor(cell.sandboxes["caged"], f"cell-{cell.folder.name}")
    path = cell.workspace / "daemon"
    spec = cell.spec((PYTHON, "-I", "-S", "-c", DAEMON.replace("PATH", repr(str(path))) + "time.sleep(600)"))
    running = asyncio.create_task(executor.run(spec))
    await asyncio.to_thread(until, path.exists, "the daemon started")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [p for p in psutil.process_iter() if str(path) in " ".join(_cmdline(p))] == []


async def test_what_the_policy_names_can_be_used_and_nothing_more(cell: Cell) -> None:
    lent = cell.folder / "lent"
    inner = cell.workspace / "inner"
    for folder in (lent, inner):
        folder.mkdir()
        (folder / "file").write_text("lent\n", encoding="utf-8")
    missing = cell.folder / "missing"
    writes = f"echo x > {lent}/file; echo x > inner/file; echo mine > own; echo tmp > /tmp/t"
    line = f"cat {lent}/file; {writes}; cat own /tmp/t"
    result = await cell.shell("caged", line, readable=(lent, inner, missing, Path("/bin"), Path("/usr")))
    said = result.log.read_text(encoding="utf-8")
    assert [line for line in said.splitlines() if "sh:" not in line] == ["lent", "mine", "tmp"]
    assert (lent / "file").read_text(encoding="utf-8") == "lent\n"
    assert (inner / "file").read_text(encoding="utf-8") == "lent\n"
    assert (cell.workspace / "own").read_text(encoding="utf-8") == "mine\n"


async def test_a_workspace_behind_a_link_is_reached_by_both_names(cell: Cell) -> None:
    link = cell.folder / "link"
    link.symlink_to(cell.workspace)
    result = await cell.shell("caged", f"echo x > {link}/a; cat {cell.workspace}/a", writable=(link,))
    assert result.log.read_bytes() == b"x\n"


async def test_exit_codes_come_through_and_a_command_cannot_pass_for_a_broken_sandbox(cell: Cell) -> None:
    assert (await cell.shell("caged", "exit 7")).exit_code == 7
    result = await cell.shell("caged", "echo 'bwrap: execvp x: No such file or directory'; exit 1")
    assert (result.end, result.exit_code) == ("exited", 1)
    assert (await cell.shell("caged", "kill -9 $$")).exit_code == 137


async def test_a_program_that_is_not_visible_inside_is_not_started(cell: Cell) -> None:
    tool = cell.folder / "tool"
    tool.write_text("#!/bin/sh\n", encoding="utf-8")
    tool.chmod(0o755)
    result = await cell.run("caged", (str(tool),))
    assert (result.end, result.exit_code) == ("not_started", None)
    assert "No such file or directory" in result.note
    assert (await cell.run("free", (str(tool),))).exit_code == 0


async def test_the_environment_is_exact_and_shows_in_nobodys_argv(cell: Cell) -> None:
    executor = LocalExecutor(cell.sandboxes["caged"], cell.folder.name)
    given = {"TOKEN": "tok-canary-3", "LD_LIBRARY_PATH": str(cell.workspace)}
    spec = cell.spec(("sh", "-c", "env > said; touch up; sleep 600"), env=given)
    running = asyncio.create_task(executor.run(spec))
    await asyncio.to_thread(until, (cell.workspace / "up").exists, "the command runs")
    try:
        lines = (cell.workspace / "said").read_text(encoding="utf-8").splitlines()
        names = {line.partition("=")[0] for line in lines}
        assert names == {"PATH", "HOME", "TOKEN", "LD_LIBRARY_PATH", "SWARM_RUN", "PWD"}
        assert "TOKEN=tok-canary-3" in lines
        shown = [" ".join(_cmdline(process)) for process in psutil.process_iter()]
        assert not [line for line in shown if "tok-canary-3" in line]
        # bubblewrap itself runs outside: a library of the workspace must never be loaded into it.
        outside = [_environ(p) for p in psutil.process_iter() if "--json-status-fd" in _cmdline(p)]
        ours = [env for env in outside if env.get("SWARM_RUN", "").startswith(f"{cell.folder.name}/")]
        assert ours
        assert not [env for env in ours if "LD_LIBRARY_PATH" in env]
    finally:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


def test_the_argv_alone_also_gives_exactly_that_environment(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY_TOKEN", "tok-canary-4")
    sandbox = cell.sandboxes["caged"]
    env = {"PATH": "/usr/bin:/bin", "GIVEN": "1"}
    argv = sandbox.wrap(("env",), cell.workspace, env, SandboxPolicy((cell.workspace,)))
    done = subprocess.run(argv, capture_output=True, check=True, text=True, encoding="utf-8")
    assert {line.partition("=")[0] for line in done.stdout.splitlines()} == {"PATH", "GIVEN", "PWD"}


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


def _environ(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}
