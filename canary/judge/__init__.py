"""Judging numbers that two commits gave side by side. Pure: no clock, no files, no chance."""

from __future__ import annotations

from canary.judge.budgets import Limit, limit_of
from canary.judge.ranks import holm, mann_whitney
from canary.judge.rule import FIRST_PAIRS, FRESH_PAIRS, Metric, Sides, judge, wants_fresh

__all__ = [
    "FIRST_PAIRS",
    "FRESH_PAIRS",
    "Limit",
    "Metric",
    "Sides",
    "holm",
    "judge",
    "limit_of",
    "mann_whitney",
    "wants_fresh",
]
