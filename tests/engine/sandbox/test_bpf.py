"""The filters say what the rules say, judged by an interpreter that shares nothing with the assembler."""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.sandbox.bpf import ANY_BIT, EQUAL, MAX_INSTRUCTIONS, NUMBER, Assembler
from engine.sandbox.seccomp import Deny, If, compile_filter, rules_for
from engine.sandbox.syscalls import AARCH64, X86_64, Architecture

ALLOWED, KILLED = 0x7FFF0000, 0x80000000
ARCHITECTURES = [X86_64, AARCH64]


def run(program: bytes, data: bytes) -> int:
    """Classic BPF as linux/filter.h and seccomp(2) describe it; an unknown instruction is an error."""
    code = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    accumulator, at = 0, 0
    for _ in range(len(code)):
        operation, yes, no, k = code[at]
        at += 1
        if operation == 0x20:  # ld [k]
            assert k % 4 == 0
            assert k + 4 <= len(data)
            accumulator = struct.unpack_from("=I", data, k)[0]
        elif operation == 0x54:  # and #k
            accumulator &= k
        elif operation == 0x05:  # ja k
            at += k
        elif operation == 0x15:  # jeq #k
            at += yes if accumulator == k else no
        elif operation == 0x45:  # jset #k
            at += yes if accumulator & k else no
        elif operation == 0x35:  # jge #k
            at += yes if accumulator >= k else no
        elif operation == 0x06:  # ret #k
            return k
        else:
            raise AssertionError(f"operation {operation:#x}")
    raise AssertionError("no return")


def call(number: int, arguments: Sequence[int] = (), architecture: int = X86_64.audit) -> bytes:
    """A `struct seccomp_data`."""
    six = [value & 0xFFFFFFFFFFFFFFFF for value in (*arguments, 0, 0, 0, 0, 0, 0)[:6]]
    return struct.pack("=iIQ6Q", number, architecture, 0x1234, *six)


def decide(rules: Sequence[Deny], architecture: Architecture, number: int, arguments: Sequence[int]) -> int:
    """What the rules mean, read as sentences."""
    for rule in rules:
        if number in [architecture.number(name) for name in rule.names] and all(
            _holds(condition, arguments[condition.index] & 0xFFFFFFFF) for condition in rule.when
        ):
            return 0x00050000 | rule.error
    return ALLOWED


def _holds(condition: If, value: int) -> bool:
    if not condition.values:
        return bool(value & condition.mask)
    return ((value & condition.mask) in condition.values) == condition.wanted


def constants(rules: Sequence[Deny]) -> list[int]:
    """Values at the edges of every condition."""
    found = {0, 1, 2, 3, 6, 10, 16, 17, 40, 0x80001, 0x80002, 0x80003, 0xFFFFFFFF, 1 << 32, (1 << 32) | 0x5412}
    for rule in rules:
        for condition in rule.when:
            found |= {condition.mask, *condition.values, *(value | 1 << 40 for value in condition.values)}
    return sorted(found)


VARIANTS = ("namespaces", "closed", "port")


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda each: each.name)
@pytest.mark.parametrize("variant", VARIANTS)
@given(data=st.data())
def test_every_call_is_decided_as_the_rules_say(variant: str, architecture: Architecture, data: st.DataObject) -> None:
    rules = rules_for(variant)  # type: ignore[arg-type]
    program = compile_filter(rules, architecture)
    named = [number for rule in rules for name in rule.names if (number := architecture.number(name)) is not None]
    value = st.sampled_from(constants(rules)) | st.integers(0, 2**64 - 1)
    arguments = data.draw(st.lists(value, min_size=6, max_size=6))
    for number in (*named, data.draw(st.integers(0, 1000))):
        seen = run(program, call(number, arguments, architecture.audit))
        assert seen == decide(rules, architecture, number, arguments), number


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda each: each.name)
def test_another_architectures_calls_end_the_process(architecture: Architecture) -> None:
    program = compile_filter(rules_for("namespaces"), architecture)
    i386, other = 0x40000003, next(each.audit for each in ARCHITECTURES if each is not architecture)
    for foreign in (i386, other, 0):
        assert run(program, call(0, architecture=foreign)) == KILLED
    assert run(program, call(0, architecture=architecture.audit)) == ALLOWED


@given(st.integers(0x40000000, 0xFFFFFFFF))
def test_x32_does_not_exist(number: int) -> None:
    program = compile_filter(rules_for("namespaces"), X86_64)
    signed = number - (1 << 32) if number >= 1 << 31 else number
    assert run(program, call(signed)) == 0x00050000 | errno.ENOSYS


def test_known_calls_by_their_numbers() -> None:
    """The table against the manual pages, by hand."""
    program = compile_filter(rules_for("namespaces"), X86_64)
    denied, missing = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS
    assert run(program, call(425)) == missing  # io_uring_setup
    assert run(program, call(250)) == denied  # keyctl
    assert run(program, call(435)) == missing  # clone3
    assert run(program, call(56, [0x11])) == ALLOWED  # clone as fork does
    assert run(program, call(56, [0x003D0F00])) == ALLOWED  # clone as threads do
    assert run(program, call(56, [0x10000011])) == denied  # with a user namespace
    assert run(program, call(16, [0, 0x5401])) == ALLOWED  # TCGETS
    assert run(program, call(16, [0, 0x5412])) == denied  # TIOCSTI
    assert run(program, call(16, [0, (1 << 32) | 0x5412])) == denied  # the kernel drops the high word, too
    assert run(program, call(41, [1, 1])) == ALLOWED  # a Unix stream socket
    assert run(program, call(41, [16, 3 | 0x80000, 0])) == ALLOWED  # getaddrinfo asks the routes
    assert run(program, call(41, [40, 1])) == 0x00050000 | errno.EAFNOSUPPORT  # vsock
    assert run(program, call(90, [0, 0o755])) == ALLOWED  # chmod
    assert run(program, call(90, [0, 0o4755])) == denied
    assert run(program, call(257, [0, 0, 0x41, 0o644])) == ALLOWED  # openat O_CREAT|O_WRONLY
    assert run(program, call(257, [0, 0, 0x41, 0o4755])) == denied
    assert run(program, call(257, [0, 0, 0, 0o4755])) == ALLOWED  # without O_CREAT the mode is garbage


def test_beside_landlock_there_are_no_sockets_but_those_it_sees() -> None:
    closed = compile_filter(rules_for("closed"), AARCH64)
    port = compile_filter(rules_for("port"), AARCH64)
    socket, pair, sendto, refused = 198, 199, 206, 0x00050000 | errno.EPERM
    setpriority, ioprio_set = 140, 30

    def sees(program: bytes, number: int, *arguments: int) -> int:
        return run(program, call(number, arguments, AARCH64.audit))

    assert sees(closed, socket, 2, 1) == sees(closed, socket, 1, 1) == 0x00050000 | errno.EAFNOSUPPORT
    assert sees(port, socket, 2, 1 | 0x80000, 6) == sees(port, socket, 10, 1) == ALLOWED
    assert sees(port, socket, 2, 2) == sees(port, socket, 2, 3) == refused  # UDP, raw
    assert sees(port, socket, 2, 1, 262) == 0x00050000 | errno.EPROTONOSUPPORT  # MPTCP
    assert sees(port, sendto, 3, 0, 0, 0x20000000) == refused  # MSG_FASTOPEN
    for program in (closed, port):
        assert sees(program, pair, 1, 1) == sees(program, pair, 1, 5) == ALLOWED
        assert sees(program, pair, 1, 2 | 0x80000) == sees(program, pair, 1, 3) == refused
        assert sees(program, setpriority, 2, 0) == sees(program, ioprio_set, 3, 0) == refused  # all of this user's
        assert sees(program, setpriority, 0, 0) == sees(program, ioprio_set, 1, 0) == ALLOWED  # the caller


def test_what_the_kernel_would_refuse_is_refused_before() -> None:
    endless = Assembler()
    endless.label("again")
    endless.load(NUMBER)
    endless.jump("again")
    endless.give(0)
    with pytest.raises(ValueError, match="does not lie ahead"):
        endless.assemble()
    lost = Assembler()
    lost.compare(EQUAL, 1, yes="nowhere")
    lost.give(0)
    with pytest.raises(ValueError, match="no label nowhere"):
        lost.assemble()
    far = Assembler()
    far.compare(ANY_BIT, 1, yes="far")
    for _ in range(256):
        far.load(NUMBER)
    far.label("far")
    far.give(0)
    with pytest.raises(ValueError, match="256 far"):
        far.assemble()
    unfinished, long = Assembler(), Assembler()
    unfinished.load(NUMBER)
    with pytest.raises(ValueError, match="ends with a return"):
        unfinished.assemble()
    for _ in range(MAX_INSTRUCTIONS + 1):
        long.give(0)
    with pytest.raises(ValueError, match="instructions"):
        long.assemble()
    twice = Assembler()
    twice.label("a")
    with pytest.raises(ValueError, match="twice"):
        twice.label("a")
