"""How long `swarm status` takes, as a whole process, beside the interpreter alone and what it needs of others."""

from __future__ import annotations

from benchmarks.engine_process import PYTHON, SWARM, environment, run_until_idle, tinykit
from benchmarks.figure import Beside, Figure, Scale
from benchmarks.whole_process import in_turn_ms

GOAL_MS = 300.0
# Importing pydantic loads nearly nothing of it; the first model does.
ONE_MODEL = "import pydantic; pydantic.create_model('One', number=(int, 0))()"


def measure(scale: Scale) -> list[Figure]:
    bench = tinykit(scale.folder)
    run_until_idle(bench)
    commands = [
        [SWARM, "status", *bench.options],
        [PYTHON, "-c", "pass"],
        [PYTHON, "-c", "import typer, pydantic"],
        [PYTHON, "-c", ONE_MODEL],
    ]
    status, bare, imports, model = in_turn_ms(commands, scale.repeats, bench.repo, environment())
    beside = [
        Beside("python -c pass", bare),
        Beside("python -c 'import typer, pydantic'", imports),
        Beside("python -c, one pydantic model made", model),
    ]
    return [Figure("swarm status, cold", "ms", status, GOAL_MS, beside=beside)]
