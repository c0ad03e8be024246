"""The figures as one table for people, or as JSON for scripts."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from benchmarks.figure import Figure

HEAD = ("figure", "median", "min – max", "goal", "met", "beside it, in the same run")


def as_json(figures: Sequence[Figure]) -> list[dict[str, Any]]:
    return [
        {
            "figure": each.name,
            "unit": each.unit,
            "median": each.median,
            "min": min(each.values),
            "max": max(each.values),
            "values": list(each.values),
            "goal": each.goal,
            "at_least": each.at_least,
            "met": each.met,
            "beside": [
                {"what": one.what, "median": statistics.median(one.values), "ratio": each.ratio(one)}
                for one in each.beside
            ],
        }
        for each in figures
    ]


def as_text(figures: Sequence[Figure]) -> str:
    rows = [HEAD, *(row for each in figures for row in _rows(each))]
    widths = [max(len(row[at]) for row in rows) for at in range(len(HEAD) - 1)]
    lines = [
        "  ".join([*(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in rows
    ]
    lines.insert(1, "  ".join("─" * width for width in [*widths, len(HEAD[-1])]))
    return "\n".join(line.rstrip() for line in lines)


def _rows(figure: Figure) -> list[tuple[str, ...]]:
    beside = [
        f"{one.what}: {_number(statistics.median(one.values))} {figure.unit}; ratio {figure.ratio(one):.2f}"
        for one in figure.beside
    ] or [""]
    goal = "" if figure.goal is None else f"{'≥' if figure.at_least else '≤'} {_number(figure.goal)} {figure.unit}"
    met = {None: "", True: "yes", False: "no"}[figure.met]
    spread = f"{_number(min(figure.values))} – {_number(max(figure.values))}"
    first = (figure.name, f"{_number(figure.median)} {figure.unit}", spread, goal, met, beside[0])
    return [first, *(("", "", "", "", "", other) for other in beside[1:])]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
