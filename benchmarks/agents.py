"""What agents cost: their libraries at the start of `swarm status`, a run beside the bare agent, and the engine's loop
while eight of them talk."""

from __future__ import annotations

from benchmarks import agents_loop, agents_overhead
from benchmarks.engine_process import PYTHON, environment, run_until_idle, tinykit
from benchmarks.figure import Beside, Figure, Scale
from benchmarks.whole_process import in_turn_ms

LIBRARIES = ("acp", "pydantic_ai", "pydantic_graph", "mcp", "openai", "anthropic")
# A module that is None cannot be imported: it is as if it were not installed.
STATUS = """
import sys
sys.modules.update(dict.fromkeys(sys.argv.pop(1).split(",")))
from swarm_tui.cli import main
main()
"""


def measure(scale: Scale) -> list[Figure]:
    folders = [scale.folder / name for name in ("status", "overhead", "loop")]
    for folder in folders:
        folder.mkdir()
    status, overhead, loop = (Scale(folder, repeats=scale.repeats, idle_s=scale.idle_s) for folder in folders)
    return [*_status(status), *agents_overhead.measure(overhead), *agents_loop.measure(loop)]


def _status(scale: Scale) -> list[Figure]:
    bench = tinykit(scale.folder)
    run_until_idle(bench)
    nothing = [f"{name}_that_is_not" for name in LIBRARIES]
    commands = [[PYTHON, "-c", STATUS, ",".join(hidden), "status", *bench.options] for hidden in (nothing, LIBRARIES)]
    count = scale.repeats if scale.repeats == 1 else 3 * scale.repeats
    shown, hidden = in_turn_ms(commands, count, bench.repo, environment())
    ratios = [with_them / without for with_them, without in zip(shown, hidden, strict=True)]
    return [
        Figure("swarm status, cold, agent libraries installed", "ms", shown, beside=[Beside("hidden", hidden)]),
        Figure("  beside hidden ones, pair by pair", "×", ratios),
    ]
