"""The kernel does with the filter what the rules mean, and honest programs do not notice it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from engine.sandbox.seccomp import Variant, write_filter
from engine.sandbox.syscalls import AARCH64, X86_64, this_architecture

HERE = this_architecture()
ROOT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.skipif(HERE is None, reason="there is no table of system calls for this machine")

PRELUDE = f"""
import ctypes, errno, fcntl, json, os, socket, stat, sys, termios
sys.path.append({str(ROOT)!r})
from engine.sandbox.landlock_run import install_filter
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def call(number, *arguments):
    ctypes.set_errno(0)
    return 0 if libc.syscall(number, *arguments) >= 0 else ctypes.get_errno()
def code(act):
    try:
        act()
    except OSError as error:
        return error.errno
    return 0
if sys.argv[1]:
    libc.prctl(38, 1, 0, 0, 0)
    install_filter(libc, open(sys.argv[1], "rb").read())
"""


def seen(folder: Path, variant: Variant | None, body: str) -> list[int]:
    """What a program prints as JSON, behind this filter or without one."""
    assert HERE is not None
    given = str(write_filter(folder / "filters", variant, HERE)) if variant else ""
    code = PRELUDE + textwrap.dedent(body)
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code, given], cwd=folder, capture_output=True, check=True, timeout=30
    )
    return json.loads(done.stdout)


def number(name: str) -> int:
    assert HERE is not None
    found = HERE.number(name)
    assert found is not None
    return found


def test_a_mode_that_would_run_as_this_user_for_others_is_refused(tmp_path: Path) -> None:
    body = """
    open("a", "w").close()
    print(json.dumps([
        code(lambda: os.chmod("a", 0o4755)), code(lambda: os.fchmod(os.open("a", os.O_RDONLY), 0o4755)),
        code(lambda: os.open("b", os.O_CREAT | os.O_WRONLY, 0o4755)), code(lambda: os.mknod("c", 0o6755)),
        code(lambda: os.chmod("a", 0o755)), code(lambda: os.open("d", os.O_CREAT | os.O_WRONLY, 0o755)),
        code(lambda: os.mkdir("e", 0o2755)),
    ]))"""
    assert seen(tmp_path, "namespaces", body) == [1, 1, 1, 1, 0, 0, 0]
    for name in "abcde":
        path = tmp_path / name
        assert not path.exists() or not path.stat().st_mode & 0o4000
    shutil.rmtree(tmp_path / "e")
    assert seen(tmp_path, None, body) == [0] * 7


def test_a_file_that_is_only_read_cannot_be_leased(tmp_path: Path) -> None:
    (tmp_path / "pack").write_bytes(b"x")
    body = """
    file = os.open("pack", os.O_RDONLY)
    set_lease, exclusive, get_lease, flags = 1024, 1, 1025, fcntl.F_GETFL
    print(json.dumps([
        code(lambda: fcntl.fcntl(file, set_lease, exclusive)), code(lambda: fcntl.fcntl(file, flags)),
        fcntl.fcntl(file, get_lease),
    ]))"""
    unlocked = 2
    assert seen(tmp_path, "namespaces", body) == [1, 0, unlocked]
    assert seen(tmp_path, "closed", body) == [1, 0, unlocked]
    assert seen(tmp_path, None, body) == [0, 0, 1], "it can be, without the filter"


def test_one_end_of_a_pair_cannot_be_turned_to_another_socket(tmp_path: Path) -> None:
    body = """
    server = None if sys.argv[1] else socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if server:
        server.bind("s")
    def datagrams():
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ends[0].connect("s")
    def streams():
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        ends[0].sendall(b"x")
    print(json.dumps([code(datagrams), code(streams)]))"""
    assert seen(tmp_path, None, body) == [0, 0]
    assert seen(tmp_path, "closed", body) == [1, 0]


@pytest.mark.parametrize("variant", ["namespaces", "closed", "port"])
def test_nothing_new_is_made_of_old_rights(tmp_path: Path, variant: Variant) -> None:
    names = ("io_uring_setup", "keyctl", "unshare", "clone3", "bpf", "setns", "mount", "open_tree", "openat2", "chroot")
    body = f"print(json.dumps([call(n, 0x10000000) for n in {[number(name) for name in names]}]))"
    assert seen(tmp_path, variant, body) == [38, 1, 1, 38, 1, 1, 1, 1, 38, 1]


def test_other_processes_are_neither_limited_nor_slowed_down(tmp_path: Path) -> None:
    body = """
    import resource
    parent, nofile = os.getppid(), resource.RLIMIT_NOFILE
    print(json.dumps([
        code(lambda: resource.prlimit(parent, nofile)), code(lambda: os.sched_setaffinity(parent, [0])),
        code(lambda: os.setpriority(os.PRIO_PROCESS, parent, os.getpriority(os.PRIO_PROCESS, parent))),
        code(lambda: resource.setrlimit(nofile, (100, 100))), code(lambda: os.sched_setaffinity(0, [0])),
        code(lambda: os.nice(1)), code(lambda: os.setpriority(os.PRIO_PROCESS, 0, 5)),
    ]))"""
    kept = os.sched_getaffinity(0) if sys.platform == "linux" else set[int]()
    try:
        assert seen(tmp_path, None, body) == [0] * 7
    finally:
        if sys.platform == "linux":
            os.sched_setaffinity(0, kept)
    assert seen(tmp_path, "closed", body) == [1, 1, 1, 0, 0, 0, 0]
    assert seen(tmp_path, "namespaces", body)[3:] == [0] * 4


def test_all_processes_of_the_user_at_once_are_not_slowed_down_either(tmp_path: Path) -> None:
    """As a user whom nobody is, where that is possible: without the filter it would slow down the whole session."""
    body = """
    import signal, time
    if os.geteuid() == 0:
        os.setuid(64321)
    if (other := os.fork()) == 0:
        time.sleep(20)
        os._exit(0)
    tried = [code(lambda: os.setpriority(os.PRIO_USER, 0, 5)), os.getpriority(os.PRIO_PROCESS, other)]
    os.kill(other, signal.SIGKILL)
    print(json.dumps(tried))"""
    before = os.getpriority(os.PRIO_PROCESS, 0) if sys.platform != "win32" else 0
    assert seen(tmp_path, "closed", body) == [1, before]
    if sys.platform != "win32" and os.geteuid() == 0:
        assert seen(tmp_path, None, body) == [0, 5]


def test_what_processes_share_without_a_file_is_closed_beside_landlock(tmp_path: Path) -> None:
    names = ("shmget", "msgget", "semget", "mq_open")
    body = f"print(json.dumps([call(n, 0, 4096, 0o1600) for n in {[number(name) for name in names]}]))"
    assert seen(tmp_path, "port", body) == [38] * 4
    private = "i = libc.shmget(0, 4096, 0o1600); print(json.dumps([i >= 0, libc.shmctl(i, 0, None) == 0]))"
    assert seen(tmp_path, "namespaces", private) == [True, True]


def test_families_of_sockets(tmp_path: Path) -> None:
    body = """
    made = [(1, 1, 0), (2, 1, 0), (2, 2, 0), (16, 3, 0), (40, 1, 0), (17, 3, 0), (38, 5, 0), (2, 3, 1), (16, 3, 9)]
    print(json.dumps([code(lambda: socket.socket(*each)) for each in made]))"""
    assert seen(tmp_path, "namespaces", body) == [0, 0, 0, 0, 97, 97, 97, 1, 93]
    assert seen(tmp_path, "closed", body)[:5] == [97, 97, 97, 0, 97]
    assert seen(tmp_path, "port", body)[:5] == [97, 0, 1, 0, 97]
    if sys.platform == "linux" and os.geteuid() == 0:
        assert seen(tmp_path, None, body)[4:6] == [0, 0]


@pytest.mark.skipif(sys.platform != "linux" or HERE is not X86_64, reason="the calls of 32 bits are those of x86")
def test_calls_by_the_interface_of_32_bits_end_the_process(tmp_path: Path) -> None:
    """`mov eax, 20; int 0x80; ret`: getpid as i386 calls it."""
    body = """
    import mmap
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(bytes.fromhex("b814000000cd80c3"))
    run = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
    if (child := os.fork()) == 0:
        run()
        os._exit(0)
    print(json.dumps([os.waitpid(child, 0)[1]]))"""
    sigsys, core_dumped = 31, 0x80
    assert [status & ~core_dumped for status in seen(tmp_path, "namespaces", body)] == [sigsys]
    assert seen(tmp_path, None, body) == [0]


def test_a_filter_is_written_once_and_mended(tmp_path: Path) -> None:
    first = write_filter(tmp_path, "closed", X86_64)
    content, inode = first.read_bytes(), first.stat().st_ino
    assert write_filter(tmp_path, "closed", X86_64).stat().st_ino == inode
    first.write_bytes(b"")
    assert write_filter(tmp_path, "closed", X86_64).read_bytes() == content
    assert write_filter(tmp_path, "closed", AARCH64) != first != write_filter(tmp_path, "port", X86_64)
    assert sorted(tmp_path.iterdir()) == sorted({first, *tmp_path.glob("*.bpf")}), "nothing half-written stays"
