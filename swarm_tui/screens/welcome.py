"""The welcome screen: a repository that the swarm does not know yet is set up, seen before it is written."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Footer, Static

from engine.errors import UserError
from engine.git.user_repository import inspect
from engine.text.sanitise import sanitise_line
from swarm_tui.room.changes import Changes
from swarm_tui.room.key_names import key_now
from swarm_tui.screens.room_screen import Framed
from swarm_tui.starting import FirstSteps, look_around

HEAD, GOOD, BAD, QUIET = "bold", "bold", "bold reverse", "dim"


class WelcomeScreen(Framed, Screen[None]):  # pyright: ignore[reportIncompatibleMethodOverride]
    """What does the swarm need before it can work here?"""

    CSS_PATH = "welcome.tcss"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("i", "write", "Write these files", id="welcome.write"),
        Binding("c", "open", "Open the room", id="welcome.open"),
        Binding("r", "look_again", "Look again", id="welcome.look"),
        Binding("j", "scroll(1)", "Down", show=False, id="welcome.down"),
        Binding("k", "scroll(-1)", "Up", show=False, id="welcome.up"),
    ]

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder
        self._steps: FirstSteps | None = None
        self._obstacle = ""
        self._said: list[str] = []
        self._failed = ""

    def compose(self) -> ComposeResult:
        yield Static(id="welcome-title")
        with VerticalScroll(id="welcome-body"):
            yield Static(id="welcome-found")
            yield Static(id="welcome-files")
        yield Footer(compact=True, show_command_palette=False)

    def on_mount(self) -> None:
        title = Text("swarm", style=HEAD, no_wrap=True, overflow="ellipsis")
        title.append(f"  sets up {sanitise_line(str(self._folder))}", style="")
        self.query_one("#welcome-title", Static).update(title)
        self.query_one("#welcome-found", Static).update(Text("looking around …"))
        self.query_one("#welcome-body").focus()
        self._look()

    def frame(self, changes: Changes, tick: int) -> None:
        """The room is open, so this is done."""
        self.app.call_later(self._leave)

    def _leave(self) -> None:
        if self in self.app.screen_stack:
            while self.app.screen is not self:
                self.app.pop_screen()
            self.app.pop_screen()

    # -- looking around ------------------------------------------------------------------------------------------

    @work(thread=True, exclusive=True)
    def _look(self) -> None:
        steps, obstacle = None, ""
        try:
            steps = look_around(self._folder)
            inspect(self._folder)
        except UserError as error:
            obstacle = str(error)
        except OSError as error:
            obstacle = f"{self._folder} cannot be read ({error.strerror}); mend that"
        self.app.call_from_thread(self._found, steps, obstacle)

    def _found(self, steps: FirstSteps | None, obstacle: str) -> None:
        self._steps, self._obstacle = steps, obstacle
        if not self.lives:
            return
        self.query_one("#welcome-found", Static).update(self._told())
        self.query_one("#welcome-files", Static).update(_drawn_files(steps) if steps and not self._said else Text())
        self.refresh_bindings()

    def _told(self) -> Text:
        steps = self._steps
        text = Text()
        if self._failed:
            _line(text, "✘ ", self._failed, BAD)
        if self._obstacle:
            _line(text, "! ", sanitise_line(self._obstacle), GOOD)
            text.append(f"  Then press {self._key('look')} to look again.\n", style=QUIET)
        if steps is None:
            return text
        if self._obstacle or self._failed:
            text.append("\n")
        if self._said:
            for said in self._said:
                _line(text, "✔ ", sanitise_line(said), "")
            return text.append_text(_next_steps(steps, self._key("open")))
        if not steps.missing:
            _line(text, "✔ ", f"{' and '.join(steps.kept)} are there already; nothing is to be written", "")
            return text.append_text(_next_steps(steps, self._key("open")))
        text.append("Found\n", style=HEAD)
        _row(text, "language", ", ".join(steps.languages) or "none that is known")
        _row(text, "gates", sanitise_line("; ".join(steps.gates)) or "no way to test it: nothing would be proved yet")
        agents = f"{', '.join(steps.agents)}; none is switched on before you do it" if steps.agents else ""
        _row(text, "agents", agents or "no known coding agent on the PATH; the file has an example")
        for name in steps.kept:
            _row(text, "kept", f"{name} is there already and stays as it is")
        text.append(f"\nPress {self._key('write')} to write {' and '.join(steps.missing)} as below. ", style=HEAD)
        text.append("Nothing else is changed, nothing is committed, nothing starts.\n")
        return text

    def _key(self, name: str) -> str:
        return key_now(self.app, f"welcome.{name}")

    # -- actions -------------------------------------------------------------------------------------------------

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "write":
            return self._steps is not None and bool(self._steps.missing) and not self._said
        if action == "open":
            return self._steps is not None and (bool(self._said) or not self._steps.missing)
        return True

    def action_write(self) -> None:
        """Write the files that are shown. A file that is there is never changed."""
        if self._steps is None:
            return
        try:
            self._said, self._failed = self._steps.write(), ""
        except UserError as error:
            self._failed = sanitise_line(str(error))
            self._look()
            return
        self.query_one("#welcome-body").scroll_to(y=0, animate=False)
        self._found(self._steps, self._obstacle)

    def action_open(self) -> None:
        """Open the room on this repository."""
        self.room_app.open_room()

    def action_look_again(self) -> None:
        """Look at the repository again, after something was mended."""
        self.look_again()

    def look_again(self) -> None:
        """The repository may have changed."""
        self._failed = ""
        self._look()

    def action_scroll(self, way: int) -> None:
        """Scroll by a line."""
        self.query_one("#welcome-body").scroll_relative(y=way, animate=False)


def _line(text: Text, sign: str, said: str, style: str) -> None:
    text.append(f"{sign}{said}\n", style=style)


def _row(text: Text, name: str, value: str) -> None:
    text.append(f"  {name:<10}", style=QUIET)
    text.append(f"{value}\n")


def _next_steps(steps: FirstSteps, open_key: str) -> Text:
    text = Text()
    text.append("\nNext\n", style=HEAD)
    for number, step in enumerate(
        (
            "swarm.toml: switch on an agent and its role (take away the #)",
            "roadmap.toml: say what is to be done, delete the line draft = true",
            f"git add {' '.join(steps.texts)}",
            'git commit -m "Set up the swarm"',
            f"press {open_key} to open the room; `swarm check` says what is missing",
        ),
        1,
    ):
        text.append(f"  {number}  {step}\n")
    return text


def _drawn_files(steps: FirstSteps) -> Text:
    """The texts as they would be written: what is said about a key stands back behind the key."""
    text = Text()
    for name in steps.missing:
        title = f" {name} "
        text.append(f"\n──{title}{'─' * max(4, 50 - len(title))}\n", style=HEAD)
        for line in steps.texts[name].splitlines():
            code, hash_sign, comment = line.partition("  #")
            if line.startswith("#"):
                text.append(f"{line}\n", style=QUIET)
            else:
                text.append(code).append(f"{hash_sign}{comment}\n", style=QUIET)
    return text
