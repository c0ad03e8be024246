"""An assembler for the filters that seccomp runs before every system call (classic BPF, linux/filter.h).

Only what such a filter needs: load a word of `struct seccomp_data`, mask it, compare it, return an action. Jumps go to
labels, forward only, as the kernel demands.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

LOAD, AND, JUMP, EQUAL, ANY_BIT, AT_LEAST, RETURN = 0x20, 0x54, 0x05, 0x15, 0x45, 0x35, 0x06
"""BPF_LD|W|ABS, BPF_ALU|AND|K, BPF_JMP|JA, and BPF_JMP with JEQ, JSET and JGE against a constant, BPF_RET|K."""

NUMBER, ARCHITECTURE = 0, 4
MAX_INSTRUCTIONS = 4096
MAX_STEP = 255
"""How far a comparison can jump."""


def argument(index: int) -> int:
    """Offset of the low word of argument 0 to 5. The kernel reads flags, modes and families from that word alone."""
    return 16 + 8 * index


@dataclass(frozen=True)
class _Line:
    code: int
    k: int = 0
    yes: str = ""
    no: str = ""


@dataclass
class Assembler:
    """Collects instructions; `assemble` gives the program. An empty label means the next instruction."""

    _lines: list[_Line] = field(default_factory=list[_Line])
    _labels: dict[str, int] = field(default_factory=dict[str, int])
    _made: int = 0

    def label(self, name: str) -> None:
        """Name the next instruction."""
        if name in self._labels:
            raise ValueError(f"the label {name} is there twice")
        self._labels[name] = len(self._lines)

    def fresh(self) -> str:
        """A name that no other label has."""
        self._made += 1
        return f".{self._made}"

    def load(self, offset: int) -> None:
        self._lines.append(_Line(LOAD, offset))

    def mask(self, bits: int) -> None:
        self._lines.append(_Line(AND, bits))

    def jump(self, label: str) -> None:
        self._lines.append(_Line(JUMP, yes=label))

    def compare(self, how: int, value: int, yes: str = "", no: str = "") -> None:
        """how: EQUAL, ANY_BIT or AT_LEAST."""
        self._lines.append(_Line(how, value, yes, no))

    def give(self, action: int) -> None:
        self._lines.append(_Line(RETURN, action))

    def assemble(self) -> bytes:
        """8 bytes an instruction, in this machine's byte order. Raises ValueError for what the kernel would refuse."""
        if not self._lines or len(self._lines) > MAX_INSTRUCTIONS:
            raise ValueError(f"a filter has 1 to {MAX_INSTRUCTIONS} instructions, this one has {len(self._lines)}")
        if self._lines[-1].code != RETURN:
            raise ValueError("a filter ends with a return")
        return b"".join(self._encode(at, line) for at, line in enumerate(self._lines))

    def _encode(self, at: int, line: _Line) -> bytes:
        if line.code == JUMP:
            return struct.pack("=HBBI", line.code, 0, 0, self._step(at, line.yes))
        yes, no = self._step(at, line.yes), self._step(at, line.no)
        if max(yes, no) > MAX_STEP:
            raise ValueError(f"instruction {at} jumps {max(yes, no)} far, {MAX_STEP} is the most")
        return struct.pack("=HBBI", line.code, yes, no, line.k & 0xFFFFFFFF)

    def _step(self, at: int, label: str) -> int:
        if not label:
            return 0
        if label not in self._labels:
            raise ValueError(f"there is no label {label}")
        step = self._labels[label] - at - 1
        if step < 0 or self._labels[label] >= len(self._lines):
            raise ValueError(f"the label {label} does not lie ahead")
        return step
