"""The shim: one small supervisor per process, so that no process outlives its leash, its deadline or its run.

    python -I -S shim.py FOLDER

It reads its order from stdin (see `engine.executors.local`), starts the command in a session of its own with its output
piped through the shim into `FOLDER/log`, and writes `FOLDER/result.json` by write, fsync and rename when nothing of the
run is left. What follows on stdin is the leash: the byte `k` cancels; the end of the stream kills everything when the
order says `leash`, and means nothing otherwise.

Only the standard library, and of that only modules that import fast: `json`, `subprocess` and `signal` would more than
double the start (12, 16 and 6 ms beside 12 ms for the bare interpreter). That is why the order is marshalled (the
interpreter at both ends is the same) and why the records are written by hand. The work is done in `shim_run`, so that
its bytecode is cached. Without `site`, nothing that a virtual environment runs at start runs here.
"""

# pathlib is too slow to import here.
# ruff: noqa: PTH100, PTH120

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    # Appended, so that nothing beside our packages can shadow the standard library.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
    from engine.process.shim_run import main

    # No clean shutdown: threads that still block in a read must not hold up the end.
    os._exit(main(sys.argv[1]))
