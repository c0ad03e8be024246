"""The signer: a small process that alone holds the private key.

    python -I signer_main.py KEYS_FOLDER

It answers on stdout what it reads on stdin. A message is a byte that says what it is, eight bytes of length, most
significant first, and the content. First it sends `+` and the public key (32 bytes), or `-` and why it cannot serve.
Then, for each `s` with a payload: `+` and the envelope, or `-` and why the payload is not signed. Only canonical
statements about a git tree with one of our predicates are. For each `h` with the head of a journal: `+` and its bare
signature, under a type of its own. It ends with its standard input, and so with its parent.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import IO

MAX_MESSAGE_BYTES = 64_000_000

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4


def send(stream: IO[bytes], kind: bytes, content: bytes) -> None:
    """Write one message. Raises OSError when the other side is gone."""
    stream.write(kind + len(content).to_bytes(8, "big") + content)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[bytes, bytes] | None:
    """The next message (kind, content), or None at the end of the stream, or of what makes sense in it."""
    head = stream.read(9)
    size = int.from_bytes(head[1:], "big")
    if len(head) != 9 or size > MAX_MESSAGE_BYTES:
        return None
    content = stream.read(size)
    return (head[:1], content) if len(content) == size else None


def _harden() -> None:
    """No core file and, on Linux, no debugger of the same user: memory with the key in it is nobody's to read."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
        libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)


def main(folder: Path) -> int:
    _harden()
    from engine.errors import SwarmError
    from gates.sign import open_keys
    from gates.statement import read_statement

    asks, answers = sys.stdin.buffer, sys.stdout.buffer
    try:
        signer = open_keys(folder)
    except SwarmError as error:
        send(answers, b"-", str(error).encode("utf-8", "replace"))
        return 2
    send(answers, b"+", signer.verify_key.raw)
    while (asked := receive(asks)) is not None:
        try:
            if asked[0] == b"h":
                answer = b"+", signer.sign(asked[1])
            else:
                read_statement(asked[1])
                answer = b"+", signer.envelope(asked[1])
        except SwarmError as error:
            answer = b"-", str(error).encode("utf-8", "replace")
        send(answers, *answer)
    return 0


if __name__ == "__main__":
    # Behind the standard library, which nothing beside our packages can shadow; before what else is installed.
    installed = (at for at, path in enumerate(sys.path) if path.endswith(("site-packages", "dist-packages")))
    sys.path.insert(next(installed, len(sys.path)), str(Path(__file__).resolve().parent.parent))
    try:
        sys.exit(main(Path(sys.argv[1])))
    except BrokenPipeError:
        os._exit(0)
