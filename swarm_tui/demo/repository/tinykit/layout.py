"""From blocks to lines: words are wrapped to the width of a view."""

from __future__ import annotations

from dataclasses import dataclass

from tinykit.document import Block


@dataclass(frozen=True)
class Line:
    """One line of a laid out page. It is never longer than the width it was laid out for."""

    text: str
    kind: str = "paragraph"


def wrap(text: str, width: int) -> list[str]:
    """The words of `text` in lines of at most `width` cells. A word that is longer than that is broken."""
    if width <= 0:
        return []
    lines: list[str] = []
    line = ""
    for word in _pieces(text, width):
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    return [*lines, line] if line else lines


def _pieces(text: str, width: int) -> list[str]:
    """The words of `text`, the long ones cut into pieces that fit."""
    pieces: list[str] = []
    for word in text.split():
        pieces.extend(word[at : at + width] for at in range(0, len(word), width))
    return pieces


def lay_out(blocks: list[Block], width: int) -> list[Line]:
    """All lines of a page in `width` cells, a blank line between blocks."""
    lines: list[Line] = []
    for block in blocks:
        if lines:
            lines.append(Line("", "gap"))
        lines.extend(_lines_of(block, width))
    return lines


def _lines_of(block: Block, width: int) -> list[Line]:
    if block.kind == "rule":
        return [Line("-" * max(0, width), "rule")]
    if block.kind == "heading":
        words = [Line(text, "heading") for text in wrap(block.text.upper(), width)]
        return [*words, Line("=" * min(max(0, width), len(block.text)), "heading")]
    text = f"> {block.text}" if block.kind == "link" else block.text
    return [Line(text, block.kind) for text in wrap(text, width)]
