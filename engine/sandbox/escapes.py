"""Tries to get out of the sandbox that it is run in. A program of its own: `python -I -S escapes.py TARGETS`.

TARGETS is a JSON object of what `engine.sandbox.probe` has set up outside. It prints, as a JSON object, what it saw;
what it changed is judged from outside, because a write may succeed and go nowhere.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any


def attempt(act: Callable[[], Any]) -> Any:
    """What `act` returned, or None if it was not let."""
    try:
        return act()
    except OSError:
        return None


def connect(family: int, address: Any) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        client.connect(address)
    return True


def main(targets: dict[str, Any]) -> None:
    outside = Path(targets["outside"])
    attempt(lambda: outside.joinpath("written").write_text("escaped", encoding="utf-8"))
    attempt(lambda: Path(targets["ref"]).write_text("escaped", encoding="utf-8"))
    attempt(lambda: Path(targets["object"]).write_text("escaped", encoding="utf-8"))
    attempt(lambda: os.kill(targets["victim"], 9))
    seen = {
        "fs_read": attempt(lambda: Path(targets["secret"]).read_text(encoding="utf-8")),
        "net": attempt(lambda: connect(socket.AF_INET, ("127.0.0.1", targets["port"]))),
    }
    if sys.platform == "linux":
        # Opened, never written: it names a program that the kernel runs outside of every sandbox.
        seen["kernel"] = attempt(lambda: os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY))
        seen["unix_path"] = attempt(lambda: connect(socket.AF_UNIX, targets["socket"]))
        seen["unix_abstract"] = attempt(lambda: connect(socket.AF_UNIX, "\0" + targets["abstract"]))
    print(json.dumps(seen))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
