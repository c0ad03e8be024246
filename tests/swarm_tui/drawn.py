"""What is on a screen, as text that a person can read and compare: the characters, and how each stretch of them is
drawn."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from rich.segment import Segment
from rich.style import Style
from textual.app import App

ATTRIBUTES = ("bold", "dim", "italic", "underline", "reverse", "strike")
PLAIN = "default"


def drawn(app: App[Any]) -> str:
    """The screen with all that lies below it: lines of text, of each line the names of its styles with their cells, and
    what the names mean. A name follows from the style alone, so that a change of one style shows as one change."""
    update: Any = app.screen._compositor.render_update(full=True, screen_stack=app._background_screens)
    text: list[str] = []
    styles: list[str] = []
    legend: dict[str, str] = {}
    for number, strips in enumerate(update.strips, 1):
        segments = [segment for strip in strips for segment in strip]
        text.append(f"{number:>2} {''.join(segment.text for segment in segments).rstrip()}".rstrip())
        styles.append(f"{number:>2} {' '.join(_stretches(segments, legend))}")
    meaning = [f"{name} {style}" for name, style in sorted(legend.items(), key=lambda item: item[1])]
    return "\n".join(["# text", *text, "", "# styles: name*cells", *styles, "", "# names", *meaning]) + "\n"


def _stretches(segments: list[Segment], legend: dict[str, str]) -> Iterator[str]:
    name, cells = "", 0
    for segment in segments:
        said, this = _named(segment.style)
        assert legend.setdefault(this, said) == said, f"{said} and {legend[this]} have the same name: take longer ones"
        if this != name and cells:
            yield f"{name}*{cells}"
            cells = 0
        name, cells = this, cells + segment.cell_length
    if cells:
        yield f"{name}*{cells}"


@lru_cache(10_000)
def _named(style: Style | None) -> tuple[str, str]:
    """How it looks, and the name of that."""
    said = _said(style) if style is not None else PLAIN
    return said, hashlib.sha256(said.encode()).hexdigest()[:3]


def _said(style: Style) -> str:
    colours = [each.name if each else PLAIN for each in (style.color, style.bgcolor)]
    attributes = [name for name in ATTRIBUTES if getattr(style, name)]
    return " ".join([f"{colours[0]} on {colours[1]}", *attributes])


def compare(seen: str, path: Path, *, accept: bool) -> None:
    """Fail with the difference unless the file says the same. `accept`: write the file instead."""
    if accept:
        path.parent.mkdir(exist_ok=True)
        path.write_text(seen, encoding="utf-8", newline="\n")
        return
    wanted = path.read_text(encoding="utf-8") if path.is_file() else ""
    if seen != wanted:
        lines = difflib.unified_diff(wanted.splitlines(), seen.splitlines(), path.name, "what is drawn", "", "", 1, "")
        told = "\n".join(lines)
        pytest.fail(
            f"{told}\n\nIf that is how it should look, accept it with:\n"
            "    python -m pytest tests/swarm_tui/test_snapshots.py --accept-snapshots\n"
            "and read the changed files under snapshots/ before they are committed.",
            pytrace=False,
        )
