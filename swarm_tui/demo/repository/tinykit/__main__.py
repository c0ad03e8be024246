"""`python -m tinykit [URL ...]` paints one frame; `--events` speaks JSON lines, `--screen` takes keys on a terminal."""

from __future__ import annotations

import sys

from tinykit.compositor import Compositor
from tinykit.document import PageNotFound
from tinykit.events import serve
from tinykit.geometry import Size
from tinykit.screen import show
from tinykit.viewhost import ViewHost


def main(arguments: list[str]) -> int:
    """Exit code 0, or 2 for a page that is not there."""
    if arguments == ["--events"]:
        serve(sys.stdin, sys.stdout)
        return 0
    host = ViewHost(Size(72, 16))
    try:
        if arguments == ["--screen"]:
            show("tiny:home")
            return 0
        for url in arguments or ["tiny:home"]:
            host.open(url)
    except PageNotFound as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(Compositor().compose(host).rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
