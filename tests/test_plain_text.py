"""Nothing that comes from outside is drawn as markup, anywhere in the product; and the check that says so can fail."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plain_text import findings, texts_made_in

ROOT = Path(__file__).resolve().parents[1]
SOURCES = {
    path: path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "swarm_tui").rglob("*.py"))
    if "demo/repository" not in path.as_posix()
}
ALLOWED = {"swarm_tui/widgets/plot.py": "from_ansi(…)"}
"""File -> the one sink in it that may be used: the plots are drawn from numbers by our own code."""


def test_no_widget_border_note_or_console_is_given_a_string_of_outside_origin() -> None:
    texts = texts_made_in(SOURCES)
    found = [
        f"{name}:{finding.line} {finding.what}"
        for path, source in SOURCES.items()
        for finding in findings(source, texts)
        if ALLOWED.get(name := path.relative_to(ROOT).as_posix()) != finding.what
    ]
    assert found == []


LIVE = (
    "Static(said)",
    "Static(f'{said}')",
    "Static('[@click=app.quit]x[/]')",
    "Label(order.title)",
    "Button(order.title)",
    "Static(content=said)",
    "Static(sanitise_line(said))",  # no control characters, but its brackets are live
    "self.update(said)",
    "self.query_one('#head', Static).update(f'{len(said)} {said}')",
    "status.update(sanitise_line(said))",
    "self.notify(said)",
    "self.notify(f'{said} copied')",
    "pane.border_title = said",
    "pane.border_title, pane.border_subtitle = Content(said), said",
    "widget.tooltip = said if said else None",
    "Widget(tooltip=said)",
    "Text.from_markup(said)",
    "Content.from_markup(said)",
    "Text.from_ansi(said)",
    "RichLog(markup=True)",
    "RichLog(markup=wanted)",
    "self._console.print(said)",
    "text = said\n    self.update(text)",
    "console = Console()\n    console.print(said)",
    "text = Text(said)\n    text = said\n    self.update(text)",
)
PLAIN = (
    "Static(Text(said))",
    "Static('Needs you', id='title')",
    "Static(id='head')",
    "Static(Text.assemble(said, 'x'))",
    "self.update(Content(said))",
    "text = Text(said)\n    self.update(text)",
    "self.query_one('#head', Static).update(self.told())",
    "self.notify(said, markup=False)",
    "self.notify(f'{len(said)} lines copied')",
    "pane.border_title = Content(said) if said else None",
    "pane.border_title, pane.border_subtitle = Content(said), ''",
    "self._console.print(Text(said))",
    "console = Console(markup=False)\n    console.print(said)",
    "outcomes.update(said)",
    "hashed.update(said)",
    "Binding('a', 'b', tooltip=said)",
)


@pytest.mark.parametrize("line", LIVE)
def test_what_would_be_live_is_found(line: str) -> None:
    assert findings(f"def told(self) -> Text: ...\ndef draw(self, said: str) -> None:\n    {line}\n")


@pytest.mark.parametrize("line", PLAIN)
def test_what_is_drawn_as_it_is_passes(line: str) -> None:
    assert not findings(f"def told(self) -> Text: ...\ndef draw(self, said: str) -> None:\n    {line}\n")
