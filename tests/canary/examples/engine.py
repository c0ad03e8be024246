"""A stand-in for a browser engine: takes commands as JSON lines, and reports frames and pages as JSON lines."""

import json
import sys
import time

VIEW = {"view_id": 4711, "renderer": "software"}


def emit(kind: str, **data: object) -> None:
    print(json.dumps({"t": time.monotonic(), "kind": kind, "key": kind, "data": {**VIEW, **data}}), flush=True)


def main() -> None:
    emit("ready")
    for line in sys.stdin:
        told = json.loads(line)
        began = time.perf_counter()
        if told["kind"] == "resize":
            took = (time.perf_counter() - began) * 1000
            emit("frame", w=told["w"], h=told["h"], ms=took)
        elif told["kind"] == "navigate":
            emit("page", url=told["url"], state="loaded")
        elif told["kind"] == "quit":
            emit("bye")
            return


if __name__ == "__main__":
    main()
