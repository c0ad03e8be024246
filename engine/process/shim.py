"""The shim: a small supervisor, so that no process outlives its leash, its deadline or its run.

    python -I -S shim.py

It takes orders from stdin, one at a time (see `engine.executors.shims`). For each it starts the command in a session of
its own with its output piped through the shim into `FOLDER/log`, writes `FOLDER/result.json` by write, fsync and rename
when nothing of the run is left, and reports on stdout; then it can take the next. The byte `k` on stdin cancels; the
end of the stream kills everything when the order says `leash` and otherwise lets it go on to its end or its deadline;
either way the shim ends then, and it also ends when it has waited for long. On Windows it takes one order.

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
    os._exit(main())
