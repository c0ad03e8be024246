"""The first window: a list of lines with a box around them. Nothing imports it any more."""

from __future__ import annotations


def boxed(lines: list[str]) -> list[str]:
    """The lines in a box of plus, minus and bar."""
    edge = "+" + "-" * max((len(line) for line in lines), default=0) + "+"
    return [edge, *(f"|{line}|" for line in lines), edge]
