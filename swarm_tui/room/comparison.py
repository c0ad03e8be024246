"""Samples of two commits side by side, as text: before, after, and what was made of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from engine.text.sanitise import sanitise_line
from swarm_tui.room import words
from swarm_tui.room.words import Sign
from swarm_tui.widgets.prose import BLANK, Line, Span, line, title

if TYPE_CHECKING:
    from engine.history import CanaryRecord

Metric = Mapping[str, Any]
SHORT = 10
NAME = 14
SIGNS: dict[str, Sign] = {
    "same": Sign("=", "same", "quiet"),
    "worse": Sign("✘", "worse", "bad"),
    "better": Sign("✔", "better", "good"),
    "over-budget": Sign("✘", "over budget", "bad"),
    "unknown": Sign("?", "unknown", "attention"),
}
_WORST = ("over-budget", "worse", "unknown", "better", "same")


def comparison_lines(run: CanaryRecord) -> list[Line]:
    """What a comparison said, and a table of its samples."""
    sign = words.sign(words.VERDICTS, run.verdict)
    lines = [line(Span(f"{sign.glyph} {sign.word}", sign.tone), hang=2)]
    lines.append(line(Span(run.reason, "bad" if sign.tone == "bad" else "plain"), hang=2))
    if run.metrics:
        beside = f"Samples beside {run.against[:SHORT]}, run in turns" if run.against else "Samples, run in turns"
        lines += [
            BLANK,
            title(beside),
            line(Span(f"{'sample':<{NAME}} {'before':>9} {'after':>9} {'change':>7}", "quiet")),
        ]
    for metric in run.metrics:
        lines += _metric_lines(metric)
    return lines


def _metric_lines(metric: Metric) -> list[Line]:
    sign = sign_of(metric)
    name = str(metric.get("sample", ""))
    figures = f"{_figure(metric, 'before')} {_figure(metric, 'after')} {change_of(metric):>7}"
    head = line(f"{name[:NAME]:<{NAME}} {figures}  ", Span(f"{sign.glyph} {sign.word}", sign.tone), hang=2)
    pairs = int(metric.get("pairs", 0))
    tried = f"{pairs} pair{'s' * (pairs != 1)} of runs"
    parts = [str(metric.get("unit", "")), f"{metric.get('better', '')} is better", tried, f"p = {_p(metric)}"]
    # How much worse or better stands in the table already.
    reason = str(metric.get("reason", "")) if metric.get("verdict") not in ("worse", "better") else ""
    told = [line(Span("  " + " · ".join(part for part in parts if part), "quiet"), hang=2)]
    return [head, *told, *([line(Span(f"  {reason}"), hang=2)] if reason else [])]


def sign_of(metric: Metric) -> Sign:
    """The sign of a sample's verdict."""
    return words.sign(SIGNS, str(metric.get("verdict", "")))


def change_of(metric: Metric) -> str:
    """How far the median moved, in percent; "" when there is nothing to say."""
    before, after = _number(metric, "before"), _number(metric, "after")
    return f"{100 * (after / before - 1):+.1f}%" if before else ""


def flows_of(run: CanaryRecord) -> list[str]:
    """The flows that a comparison measured, in order."""
    return list(dict.fromkeys(str(metric.get("flow", "")) for metric in run.metrics))


def summary_of(run: CanaryRecord, flow: str) -> tuple[Sign, str]:
    """The worst verdict on a flow's samples, and how far each of them moved."""
    own = [metric for metric in run.metrics if metric.get("flow") == flow]
    worst = min(own, key=_rank, default={})
    return sign_of(worst), sanitise_line(moved(own))


def _rank(metric: Metric) -> int:
    verdict = metric.get("verdict", "")
    return _WORST.index(verdict) if verdict in _WORST else 0


def _figure(metric: Metric, side: str) -> str:
    return f"{_number(metric, side):>9.4g}"


def _number(metric: Metric, name: str) -> float:
    value = metric.get(name)
    return float(value) if isinstance(value, int | float) else 0.0


def _p(metric: Metric) -> str:
    return f"{_number(metric, 'p'):.2g}"


def moved(metrics: Sequence[Metric]) -> str:
    """All samples of a comparison in a few words, for a row."""
    return ", ".join(f"{metric.get('sample', '')} {change_of(metric)}".rstrip() for metric in metrics)
