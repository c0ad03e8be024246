"""`python -I -S launch_stream.py EXCHANGE TREE PLAN`: a command whose standard output is its results (TAP, SARIF).

The output goes to the log and, whole, to `exchange/stdout`, with a signed record of its digest and the exit status.
"""

import hashlib
import os
import sys
from pathlib import Path

_MAX_BYTES = 64_000_000


def _watcher():
    """What all launchers share, compiled from its source: a cached `.pyc` could have been planted by an earlier run."""
    path = Path(__file__).with_name("watcher.py")
    module = type(sys)("swarm_watcher")
    module.__file__ = str(path)
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    return module


watcher = _watcher()


def run(exchange, tree, plan):
    results, argv = watcher.recorder(exchange), plan["argv"]
    digest, size = hashlib.sha256(), [0]
    with (Path(exchange) / "stdout").open("xb", buffering=0) as kept:

        def feed(chunk):
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
            chunk = chunk[: max(_MAX_BYTES - size[0], 0)] if size[0] + len(chunk) > _MAX_BYTES else chunk
            size[0] += len(chunk)
            digest.update(chunk)
            kept.write(chunk)

        try:
            status = watcher.run(argv, tree, dict(os.environ), feed)
        except OSError as error:
            results.record({"kind": "fault", "what": f"{argv[0]} cannot be started: {error.strerror or error}"})
            return 70
    status = status if status >= 0 else 128 - status
    results.record({"kind": "output", "sha256": digest.hexdigest(), "cut": size[0] >= _MAX_BYTES})
    results.finish(status)
    return status


if __name__ == "__main__":
    watcher.main(run)
