"""Overlay mounts for processes of an unprivileged user (Linux): a folder that can be changed without changing it.

Newer versions of bubblewrap (0.11) mount them; for older ones `unshare` makes a user and a mount namespace, in which
`mount` mounts them and bubblewrap then runs. The option `userxattr` makes overlayfs keep its notes in attributes that
such a user may write (kernel 5.11). `volatile` spares a sync of every file that is copied up: nothing of an upper
folder is believed after a loss of power. The kernel mounts such an upper folder again only with a fresh work folder.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from engine.ports import Overlay

OverlayMounts = Literal["", "bwrap", "unshare"]
"""Who mounts overlays: nobody, bubblewrap itself, or `unshare` and `mount` before it."""

UNSHARE, MOUNT, SHELL = Path("/usr/bin/unshare"), Path("/usr/bin/mount"), Path("/bin/sh")
_PLAIN = re.compile(r"[^,:\\\"\n]+\Z")

# $1: how many overlays. Then, for each: a folder, the options with names relative to it, and where. Then the command.
_SCRIPT = """
n=$1; shift
while [ "$n" -gt 0 ]; do
    cd -- "$1" && {mount} -i -n -t overlay overlay -o "$2" -- "$3" || exit 1
    shift 3; n=$((n - 1))
done
cd / && exec "$@"
"""


def mounted_before(overlays: Sequence[Overlay]) -> tuple[str, ...]:
    """What stands in front of a command that is to see these overlays at their places, which must exist.

    The command runs as root of a user namespace of its own, which is the caller outside of it, and in a mount namespace
    that ends with it. Raises ValueError when the folders' names do not suit the options of a mount.
    """
    words: list[str] = []
    for overlay in overlays:
        paths = [each.resolve() for each in (overlay.lower, overlay.upper, overlay.work)]
        # Names in options would need escaping, which tools and kernels disagree on. So only paths' ends are there.
        parent = Path(os.path.commonpath(paths))
        names = [each.relative_to(parent).as_posix() for each in paths]
        if not all(_PLAIN.match(name) for name in names):
            raise ValueError(f"the folders {', '.join(names)} cannot be mounted as an overlay: rename them")
        lower, upper, work = names
        options = f"lowerdir={lower},upperdir={upper},workdir={work},userxattr,volatile"
        words += [str(parent), options, str(overlay.at.resolve())]
    script = _SCRIPT.format(mount=MOUNT)
    return (str(UNSHARE), "-U", "-r", "-m", "--", str(SHELL), "-c", script, "overlays", str(len(overlays)), *words)


def can_be_mounted(overlay: Overlay) -> bool:
    """Whether the folders' names suit the options of a mount."""
    try:
        mounted_before([overlay])
    except ValueError:
        return False
    return True


def own_ids() -> tuple[str, ...]:
    """bubblewrap's options for a process that is root in `mounted_before`'s namespace, to be its caller again."""
    if sys.platform == "win32":
        return ()
    return ("--uid", str(os.getuid()), "--gid", str(os.getgid()))
