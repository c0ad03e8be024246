"""`make bench-train REFEREE=path`: the project's planner on a referee's worlds, as ratios to its oracle.

A referee is a program of somebody else that simulates a workstation, knows the truth, and drives a planner over JSON
lines; without one there is nothing to measure against. The seeds here were never tuned on; the planner's parameters
were chosen on eight other workloads, but `default` and near relatives of the others were looked at, with other seeds,
before the parameters were kept.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

SEEDS = list(range(201, 209))
STRATEGIES = ["oracle", "serial", "zuul", "hybrid"]
FIGURES = {"p50": "P50", "p95": "P95", "landed_per_hour": "throughput", "gate_min_per_change": "gate-minutes"}
WORKLOADS: list[dict[str, Any]] = [
    {"name": "default"},
    {"name": "light", "rate_per_hour": 4.0, "slots": 2, "gate_median_min": 6.0},
    {"name": "many bad", "rate_per_hour": 7.0, "bad": 0.28},
    {"name": "cpu-bound", "rate_per_hour": 7.0, "contention": 1.0, "gate_median_min": 7.0},
    {"name": "clumps", "rate_per_hour": 8.0, "arrival": "clumps", "clump_size": 6},
    {"name": "clumps on a core", "rate_per_hour": 6.0, "arrival": "clumps", "core": 0.4, "p_conflict": 0.08},
    {"name": "long gates", "rate_per_hour": 5.0, "slots": 4, "contention": 0.4, "gate_median_min": 14.0},
    {"name": "flaky", "rate_per_hour": 7.0, "flaky": 0.05, "predictor": 0.5},
]
UNSOUND = ("escapes", "lost")


def measure(referee: Path) -> dict[str, dict[str, dict[str, Any]]]:
    """Workload -> strategy -> what the referee says of it. Takes minutes."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for workload in WORKLOADS:
            file = Path(folder, "workload.json")
            asked = {**workload, "seeds": SEEDS, "strategies": STRATEGIES}
            file.write_text(json.dumps(asked), encoding="utf-8")
            argv = [sys.executable, str(referee), str(file), "--", sys.executable, "-m", "benchmarks.train"]
            done = subprocess.run(argv, capture_output=True, check=True)
            found[workload["name"]] = json.loads(done.stdout)["results"]
            print(f"  {workload['name']}", file=sys.stderr, flush=True)
    return found


def mean_of(found: dict[str, dict[str, dict[str, Any]]], strategy: str, figure: str) -> float:
    """Geometric mean over the workloads of a figure's ratio to the oracle."""
    ratios = [results[strategy][figure] / results["oracle"][figure] for results in found.values()]
    return math.exp(sum(math.log(ratio) for ratio in ratios) / len(ratios))


def main(argv: list[str]) -> int:
    if len(argv) != 1 or not Path(argv[0]).is_file():
        print("skipped: there is no referee; name one with REFEREE=path/to/referee.py")
        return 0
    began = time.monotonic()
    found = measure(Path(argv[0]))
    strategies = [name for name in [*STRATEGIES, "external"] if name != "oracle"]
    table = Table(title=f"Ratios to the oracle, geometric mean of {len(WORKLOADS)} workloads, {len(SEEDS)} seeds each")
    for column in ("", *FIGURES.values(), "unsound or lost"):
        table.add_column(column, justify="left" if not column else "right")
    for strategy in strategies:
        unsound = sum(results[strategy][each] for results in found.values() for each in UNSOUND)
        cells = [f"{mean_of(found, strategy, figure):.2f}" for figure in FIGURES]
        table.add_row("this planner" if strategy == "external" else strategy, *cells, str(unsound))
    each = Table(title="This planner by workload")
    for column in ("workload", *FIGURES.values()):
        each.add_column(column, justify="left" if column == "workload" else "right")
    for name, results in found.items():
        ratios = [results["external"][figure] / results["oracle"][figure] for figure in FIGURES]
        each.add_row(name, *(f"{ratio:.2f}" for ratio in ratios))
    console = Console(width=110)
    console.print(table)
    console.print(each)
    console.print(f"{time.monotonic() - began:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
