"""Attacks on the bubblewrap sandbox. Each is also made without a sandbox, where it must succeed.

The names are those of the project's attack catalogue: A01, A02, A16, A17, A21, F01, F02, F05, F10.
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
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from real_processes import DAEMON, until

from engine.executors.local import LocalExecutor
from engine.models.settings import SandboxSettings
from engine.ports import ProcessResult, ProcessSpec, Sandbox, SandboxPolicy
from engine.sandbox.bubblewrap import BubblewrapSandbox
from engine.sandbox.choose import choose_sandbox
from engine.sandbox.none import NoSandbox

PYTHON = str(Path(sys.executable).resolve())
ROOTS = (Path(sys.base_prefix), Path(PYTHON).parent.parent)


class Cell:
    """A workspace below a home folder with secrets, and what to run in it: with the sandbox, and without."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.workspace = self.home / "state" / "workspace"
        self.workspace.mkdir(parents=True)
        self.sandboxes: dict[str, Sandbox] = {"caged": sandbox, "free": NoSandbox()}
        self._count = 0

    async def run(
        self,
        how: str,
        argv: tuple[str, ...],
        *,
        readable: tuple[Path, ...] = (),
        writable: tuple[Path, ...] = (),
        hosts: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
    ) -> ProcessResult:
        executor = LocalExecutor(self.sandboxes[how], f"cell-{self.folder.name}")
        return await executor.run(self.spec(argv, readable, writable, hosts, env))

    def spec(
        self,
        argv: tuple[str, ...],
        readable: tuple[Path, ...] = (),
        writable: tuple[Path, ...] = (),
        hosts: tuple[str, ...] = (),
        env: dict[str, str] | None = None,
    ) -> ProcessSpec:
        self._count += 1
        return ProcessSpec(
            run_id=f"attack-{self._count}",
            argv=argv,
            cwd=self.workspace,
            env={"PATH": "/usr/bin:/bin", "HOME": str(self.home), **(env or {})},
            folder=self.folder / "runs" / str(self._count),
            wall_s=30.0,
            policy=SandboxPolicy((self.workspace, *writable), (*ROOTS, *readable), hosts=hosts),
        )

    async def shell(self, how: str, line: str, **changes: object) -> ProcessResult:
        return await self.run(how, ("sh", "-c", line), **changes)  # type: ignore[arg-type]

    async def python(self, how: str, code: str, **changes: object) -> ProcessResult:
        return await self.run(how, (PYTHON, "-I", "-S", "-c", code), **changes)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def probed(tmp_path_factory: pytest.TempPathFactory) -> BubblewrapSandbox:
    sandbox = choose_sandbox(SandboxSettings(), tmp_path_factory.mktemp("probe"))
    if not isinstance(sandbox, BubblewrapSandbox):
        assert isinstance(sandbox, NoSandbox)
        pytest.skip(f"no sandbox was attacked: {sandbox.reason}")
    return sandbox


@pytest.fixture
def cell(tmp_path: Path, probed: BubblewrapSandbox) -> Cell:
    # The same sandbox with this test's home hidden.
    optional = ("--disable-userns",) if "--disable-userns" in probed.wrap((), tmp_path, {}, SandboxPolicy()) else ()
    program = Path(probed.wrap((), tmp_path, {}, SandboxPolicy())[0])
    return Cell(tmp_path, BubblewrapSandbox(program, probed.guarantees, home=tmp_path / "home", optional=optional))


async def both(attack: Callable[[str], object], succeeded: Callable[[], bool]) -> None:
    """The attack must fail in the cage and succeed outside of it."""
    await attack("caged")  # type: ignore[misc]
    assert not succeeded(), "the attack got out of the sandbox"
    await attack("free")  # type: ignore[misc]
    assert succeeded(), "the attack does not even work without a sandbox: the test proves nothing"


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
    if "--disable-userns" not in probed.wrap((), cell.workspace, {}, SandboxPolicy()):
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
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


async def test_f10_sending_a_secret_by_http(cell: Cell, web: http.server.HTTPServer) -> None:
    code = f"import urllib.request as u; u.urlopen('http://127.0.0.1:{web.server_port}/secret', timeout=5).close()"
    asked: list[str] = web.asked  # type: ignore[attr-defined]
    await both(lambda how: cell.python(how, code), lambda: asked == ["/secret"])
    await cell.python("caged", code, hosts=("127.0.0.1",))
    assert asked == ["/secret"] * 2


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
    executor = LocalExecutor(cell.sandboxes["caged"], "cell")
    given = {"TOKEN": "tok-canary-3", "LD_LIBRARY_PATH": str(cell.workspace)}
    running = asyncio.create_task(executor.run(spec := cell.spec(("sh", "-c", "env; touch up; sleep 600"), env=given)))
    await asyncio.to_thread(until, (cell.workspace / "up").exists, "the command runs")
    try:
        lines = (spec.folder / "log").read_text(encoding="utf-8").splitlines()
        names = {line.partition("=")[0] for line in lines}
        assert names == {"PATH", "HOME", "TOKEN", "LD_LIBRARY_PATH", "SWARM_RUN", "PWD"}
        assert "TOKEN=tok-canary-3" in lines
        shown = [" ".join(_cmdline(process)) for process in psutil.process_iter()]
        assert not [line for line in shown if "tok-canary-3" in line]
        # bubblewrap itself runs outside: a library of the workspace must never be loaded into it.
        outer = next(p for p in psutil.process_iter() if "--json-status-fd" in _cmdline(p))
        assert "LD_LIBRARY_PATH" not in outer.environ()
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
