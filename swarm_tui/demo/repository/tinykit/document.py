"""Pages in a tiny markup, and the shelf of pages that are built in.

`# text` is a heading, `---` a rule, `=> url text` a link; lines without a blank line between them are one paragraph.
"""

from __future__ import annotations

from dataclasses import dataclass

PAGES: dict[str, str] = {
    "tiny:home": """\
# Tiny home
Welcome to a browser engine that fits on one screen. Drag its edge and watch the words find new places.
=> tiny:about About this engine
=> tiny:gallery The gallery
""",
    "tiny:about": """\
# About
A view host keeps the views, a layout breaks their text into lines, a compositor paints the frame.
---
Nothing here needs a network.
""",
    "tiny:gallery": """\
# Gallery
One picture says more than a thousand words, which is why this page has none.
---
=> tiny:home Home
""",
}


class PageNotFound(LookupError):
    """There is no page at this address."""


@dataclass(frozen=True)
class Block:
    """One piece of a page. `kind` is heading, paragraph, rule or link; `target` is where a link leads."""

    kind: str
    text: str = ""
    target: str = ""


def load(url: str) -> list[Block]:
    """The blocks of the page at `url`. Raises PageNotFound."""
    try:
        return parse(PAGES[url])
    except KeyError:
        raise PageNotFound(f"no page at {url}") from None


def title_of(blocks: list[Block]) -> str:
    """The text of the first heading, or "untitled"."""
    return next((block.text for block in blocks if block.kind == "heading"), "untitled")


def parse(source: str) -> list[Block]:
    """The blocks of a page's source, in order. Nothing is an error: what is not understood is a paragraph."""
    blocks: list[Block] = []
    paragraph: list[str] = []

    def finish_paragraph() -> None:
        if paragraph:
            blocks.append(Block("paragraph", " ".join(paragraph)))
            paragraph.clear()

    for line in (raw.strip() for raw in source.splitlines()):
        special = _special(line)
        if special is None and line:
            paragraph.append(line)
            continue
        finish_paragraph()
        if special is not None:
            blocks.append(special)
    finish_paragraph()
    return blocks


def _special(line: str) -> Block | None:
    """The block that this line is by itself, or None for a line of a paragraph."""
    if line.startswith("# "):
        return Block("heading", line[2:].strip())
    if line == "---":
        return Block("rule")
    if line.startswith("=> "):
        target, _, text = line[3:].strip().partition(" ")
        return Block("link", text.strip() or target, target)
    return None
