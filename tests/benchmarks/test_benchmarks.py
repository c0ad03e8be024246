"""Every benchmark runs and says something. What it measures is printed by `make bench` and never asserted."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from benchmarks.__main__ import BENCHMARKS
from benchmarks.figure import Beside, Figure, tiny
from benchmarks.table import as_json, as_text

WITHOUT_AN_ENGINE = (
    "journal",
    "judge",
    "text",
)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in WITHOUT_AN_ENGINE else pytest.mark.slow) for name in BENCHMARKS]
)
def test_every_benchmark_runs_at_a_tiny_size(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])  # put back afterwards: benchmarks add this interpreter
    figures = BENCHMARKS[name](tiny(tmp_path))
    assert figures
    assert all(value >= 0 for figure in figures for value in figure.values)
    assert all(figure.name.strip() in as_text(figures) for figure in figures)
    assert json.loads(json.dumps(as_json(figures)))


def test_a_figure_is_judged_by_its_median_and_compared_as_a_ratio() -> None:
    most = Figure("start", "ms", [90, 100, 400], goal=100, beside=[Beside("bare", [50, 50])])
    least = Figure("rate", "events/s", [1, 2, 3], goal=3, at_least=True)
    free = Figure("rate", "events/s", [1])
    assert (most.met, least.met, free.met) == (True, False, None)
    assert most.ratio(most.beside[0]) == 2
    text = as_text([most, least, free])
    assert "≤ 100 ms" in text
    assert "bare: 50 ms; ratio 2.00" in text
    assert "≥ 3 events/s" in text
