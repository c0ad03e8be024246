"""How long `swarm status` takes, as a whole process, beside the interpreter alone and its two largest imports."""

from __future__ import annotations

from benchmarks.engine_process import PYTHON, SWARM, environment, run_until_idle, tinykit
from benchmarks.figure import Beside, Figure, Scale
from benchmarks.whole_process import in_turn_ms

GOAL_MS = 300.0


def measure(scale: Scale) -> list[Figure]:
    bench = tinykit(scale.folder)
    run_until_idle(bench)
    commands = [
        [SWARM, "status", *bench.options],
        [PYTHON, "-c", "pass"],
        [PYTHON, "-c", "import typer, pydantic"],
    ]
    status, bare, imports = in_turn_ms(commands, scale.repeats, bench.repo, environment())
    beside = [Beside("python -c pass", bare), Beside("python -c 'import typer, pydantic'", imports)]
    return [Figure("swarm status, cold", "ms", status, GOAL_MS, beside=beside)]
