"""Where a golden stands: by operating system and renderer first, then for all of them.

`canary/golden/nav.jsonl` may have siblings `nav.linux-software.jsonl` and `nav.linux.jsonl`, which count before it.
What draws is what the program says itself: the field `renderer` in `data` of its first event that has one.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

_NAME = re.compile(r"[A-Za-z0-9_]{1,40}")


def system() -> str:
    """The operating system in a golden's name: linux, macos or windows."""
    return {"darwin": "macos", "win32": "windows"}.get(sys.platform, "linux")


def renderer_of(events: Iterable[Mapping[str, Any]]) -> str:
    """What draws, by the program's own word; "" when it says nothing that can stand in a file's name."""
    for event in events:
        data = event.get("data")
        said = data.get("renderer") if isinstance(data, dict) else None
        if isinstance(said, str):
            return said.lower() if _NAME.fullmatch(said) else ""
    return ""


def keyed(path: str, renderer: str = "", name: str = "") -> str:
    """The golden's path for one system (`name`; "": this one) and renderer."""
    plain = PurePosixPath(path)
    key = f"{name or system()}-{renderer}" if renderer else name or system()
    return str(plain.with_name(f"{plain.stem}.{key}{plain.suffix}"))


def lookups(path: str, renderer: str = "") -> list[str]:
    """The paths of a golden, the first that is there counts."""
    own = [keyed(path, renderer)] if renderer else []
    return [*own, keyed(path), path]
