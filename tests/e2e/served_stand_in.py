"""What a served room looks like from outside: it greets, draws its words and size, echoes keys, quits when told.

The word "stubborn" does not quit.
"""

from __future__ import annotations

import json
import os
import sys
import time


def send(kind: bytes, payload: bytes) -> None:
    os.write(1, kind + len(payload).to_bytes(4, "big") + payload)


def receive() -> tuple[bytes, bytes]:
    head = sys.stdin.buffer.read(5)
    return head[:1], sys.stdin.buffer.read(int.from_bytes(head[1:], "big"))


def main() -> None:
    stubborn = "stubborn" in sys.argv
    os.write(1, b"__GANGLION__\n")
    send(b"D", f"{' '.join(sys.argv[1:])} {os.environ['COLUMNS']}x{os.environ['ROWS']}".encode())
    while True:
        kind, payload = receive()
        if not kind:
            if not stubborn:
                return
            time.sleep(0.1)
        if kind == b"D":
            send(b"D", b"key " + payload)
            continue
        told = json.loads(payload or b"{}")
        if told.get("type") == "resize":
            send(b"D", f"size {told['width']}x{told['height']}".encode())
        elif told.get("type") == "quit" and not stubborn:
            send(b"M", b'{"type": "exit"}')
            return


if __name__ == "__main__":
    main()
