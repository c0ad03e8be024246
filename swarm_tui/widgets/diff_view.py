"""A difference to read: the files with their counts, then each file's lines. Files are gone through by keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.widgets import Static

from swarm_tui.room.differences import Difference, DiffLine, FileDiff
from swarm_tui.widgets.prose import BLANK, Line, Prose, Span, line, shortened
from swarm_tui.widgets.rows import Cell, Column, Rows
from swarm_tui.widgets.sections import FIRST_FOCUS

GUTTER = 5
"""Cells of the line number."""
TAB = 4
LIST_FROM_WIDTH = 110
"""Cells from which the files get a list of their own beside the lines."""
SIGNS = {"added": "+", "removed": "-", "same": " "}
TONES = {"added": "added", "removed": "removed", "same": "plain"}
STATUS = {"A": "new", "D": "deleted", "M": "changed", "T": "kind changed"}


class DiffView(Vertical):
    """`show` puts a difference there, `say` a sentence instead. n and p go to the next and the previous file."""

    DEFAULT_CSS = """
    DiffView {
        & > #diff-head { height: 1; padding: 0 1; color: $text-muted; text-wrap: nowrap; text-overflow: ellipsis; }
        & #diff-files { width: 38; border-right: solid $border-blurred; display: none; }
        &.-wide #diff-files { display: block; }
        &:ansi > #diff-head { color: ansi_default; }
    }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "file(1)", "Next file", id="diff.next"),
        Binding("N", "file(-1)", "Previous file", show=False, id="diff.previous"),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._difference: Difference | None = None
        self._said = ""

    def compose(self) -> ComposeResult:
        yield Static(id="diff-head")
        with Horizontal():
            yield Rows((Column("file"), Column("+", 5, right=True), Column("-", 5, right=True)), self._cells,
                       empty="no file", id="diff-files")  # fmt: skip
            yield Prose(id="diff-lines", classes=FIRST_FOCUS)

    def on_resize(self) -> None:
        self.set_class(self.size.width >= LIST_FROM_WIDTH, "-wide")

    @property
    def difference(self) -> Difference | None:
        return self._difference

    @property
    def text(self) -> str:
        """What can be read in it, clean."""
        return f"{self._said}\n{self.query_one('#diff-lines', Prose).text}"

    def show(self, difference: Difference, about: str) -> None:
        """`about`: what differs from what, one line of any origin."""
        self._difference = None if difference.problem else difference
        if difference.problem:
            self.say(difference.problem, about)
            return
        count = len(difference.files)
        counts = f"{count} file{'s' * (count != 1)}  +{difference.added} -{difference.removed}"
        self._head(f"{counts}  {about}")
        self._fill([str(number) for number in range(count)], lines_of(difference))

    def say(self, text: str, about: str = "") -> None:
        """A sentence instead of a difference."""
        self._difference = None
        self._head(about)
        self._fill([], [line(Span(text, "quiet"))])

    def _head(self, text: str) -> None:
        self._said = shortened(text, 500)
        self.query_one("#diff-head", Static).update(Text(self._said, no_wrap=True, overflow="ellipsis"))

    def _fill(self, keys: Sequence[str], lines: Sequence[Line]) -> None:
        rows = self.query_one("#diff-files", Rows)
        rows.show(keys)
        rows.touch()
        self.query_one("#diff-lines", Prose).show(lines, stay=False)

    # -- files ---------------------------------------------------------------------------------------------------

    @property
    def file(self) -> int:
        """The number of the file at the top; -1 above the first."""
        key = self.query_one("#diff-lines", Prose).key
        return int(key) if key else -1

    def action_file(self, way: int) -> None:
        """Go to the next or the previous file."""
        count = len(self._difference.files) if self._difference else 0
        if not count:
            return
        rows, lines = self.query_one("#diff-files", Rows), self.query_one("#diff-lines", Prose)
        # At the end of the text several short files are on screen at once: go on from the one that was chosen.
        at_end = lines.scroll_offset.y >= lines.max_scroll_y
        now = max(self.file, int(rows.key)) if at_end and rows.key and self.file >= 0 else self.file
        chosen = max(0, min(now + way, count - 1))
        lines.jump(str(chosen))
        rows.select(str(chosen))

    def on_rows_moved(self, event: Rows.Moved) -> None:
        event.stop()
        if event.rows.has_focus and event.key:
            self.query_one("#diff-lines", Prose).jump(event.key)

    def on_rows_opened(self, event: Rows.Opened) -> None:
        event.stop()
        self.query_one("#diff-lines", Prose).focus()

    def _cells(self, key: str) -> Sequence[Cell]:
        assert self._difference is not None
        file = self._difference.files[int(key)]
        added, removed = ("bin", "") if file.added is None else (str(file.added), str(file.removed))
        return (
            Cell(f"{file.status} {_tail(file.path)}{' …' if file.cut else ''}"),
            Cell(added, "good" if file.added else "quiet"),
            Cell(removed, "bad" if file.removed else "quiet"),
        )


def _tail(path: str) -> str:
    """The end of a path, which tells more of it than its beginning."""
    return path if len(path) <= 22 else f"…{path[-21:]}"


def lines_of(difference: Difference) -> list[Line]:
    """The whole difference as lines: what is left out, the files with their counts, then each file under its number."""
    lines = [line(Span(f"! {difference.note}", "attention"), hang=2)] if difference.note else []
    if not difference.files:
        return [*lines, line(Span("nothing differs", "quiet"))]
    if len(difference.files) > 1:
        widest = min(60, max(len(file.path) for file in difference.files))
        lines += [_listed(file, widest) for file in difference.files]
        lines.append(BLANK)
    for number, file in enumerate(difference.files):
        lines += _file_lines(number, file)
    return lines


def _listed(file: FileDiff, widest: int) -> Line:
    return line(Span(f"{file.status} ", "quiet"), f"{file.path:<{widest}}  ", *_counts(file), hang=2)


def _counts(file: FileDiff) -> list[Span]:
    if file.added is None:
        return [Span("not counted", "quiet")]
    return [Span(f"+{file.added}", "added"), Span(" "), Span(f"-{file.removed}", "removed")]


def _file_lines(number: int, file: FileDiff) -> list[Line]:
    word = STATUS.get(file.status, file.status)
    head = [Span(file.path, "title"), Span(f"  {word}  ", "quiet"), *_counts(file)]
    lines = [line(*head, key=str(number), hang=2)]
    if file.note:
        lines.append(line(Span(f"  {file.note}", "quiet"), hang=2))
    lines += [_drawn(row) for row in file.lines if row.kind != "hunk" or row.text or row.number > 1]
    if file.cut:
        lines.append(line(Span("  … the rest of this file is not shown", "attention"), hang=2))
    return [*lines, BLANK]


def _drawn(row: DiffLine) -> Line:
    if row.kind == "hunk":
        return line(Span(f"{'':>{GUTTER}} ⋯ {row.text}", "quiet"), hang=GUTTER + 3)
    if row.kind == "note":
        return line(Span(f"{'':>{GUTTER}}   ({row.text})", "quiet"), hang=GUTTER + 3)
    text = row.text.expandtabs(TAB) if "\t" in row.text else row.text
    gutter = Span(f"{row.number:>{GUTTER}} ", "quiet")
    return Line((gutter, Span(f"{SIGNS[row.kind]} {text}", TONES[row.kind])), GUTTER + 3)
