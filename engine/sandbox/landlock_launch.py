"""Gives up rights for good and becomes a command: the program of `engine.sandbox.landlock`.

    python -I -S landlock_launch.py OPTIONS -- COMMAND…        or, with the options NUL-ended in a descriptor:
    python -I -S landlock_launch.py --args FD --json-status-fd FD -- COMMAND…

The descriptors are bubblewrap's, so that one supervisor can drive both. The work is in `landlock_run`, so that its
bytecode is cached.
"""

# pathlib is too slow to import here.
# ruff: noqa: PTH100, PTH120

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # Appended, so that nothing beside our packages can shadow the standard library.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from engine.sandbox.landlock_run import main

    main(sys.argv[1:])
