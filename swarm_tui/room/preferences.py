"""A person's own settings of the room, for all repositories: theme, keys, and how it asks for attention.

Read before the first paint, so it needs nothing but the standard library. A mistake never keeps the room from opening:
what is wrong is left out and said.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.toml_lines import Loc
    from swarm_tui.room.all_bindings import Bound

FILE = "room.toml"
FOLDER_VARIABLE = "SWARM_CONFIG"
MOST_BYTES = 200_000
_KNOWN = ("theme", "keys", "bell", "notify", "popup", "editor")
_AT_LINE = re.compile(r"\s*\(at (?:line (\d+), column \d+|end of document)\)$")


@dataclass(frozen=True)
class KeyChoice:
    """`keys` as written, by comma; `where` is `file:line`."""

    ident: str
    keys: str
    where: str


@dataclass(frozen=True)
class Preferences:
    """What a person chose. `problems`: one sentence each, with file, line and what to do."""

    path: Path = Path(FILE)
    """Where the file is, or would be."""
    theme: str = ""
    """"": the room chooses by what the terminal can show."""
    theme_where: str = FILE
    keys: tuple[KeyChoice, ...] = ()
    bell: bool = True
    """Ring the terminal's bell when something new needs the person."""
    notify: bool = True
    """Show a note of the desktop when the terminal has no focus."""
    popup: bool = True
    """Open a new approval by itself; without it only the banner tells."""
    editor: str = ""
    """The program for `e`, with its arguments; "": VISUAL, EDITOR."""
    problems: tuple[str, ...] = ()


def preferences_path(environ: Mapping[str, str] | None = None) -> Path:
    """`room.toml` in the folder that SWARM_CONFIG names, else in the platform's folder for a person's settings."""
    named = (os.environ if environ is None else environ).get(FOLDER_VARIABLE, "")
    if named:
        return Path(named).expanduser() / FILE
    import platformdirs

    return platformdirs.user_config_path("swarm", appauthor=False) / FILE


def load_preferences(path: Path | None = None) -> Preferences:
    """What the file says; the defaults without one. Never raises."""
    path = path or preferences_path()
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except FileNotFoundError:
        return Preferences(path)
    except OSError as error:
        return _nothing(path, f"{FILE}: it cannot be read ({error.strerror}); mend that, or move {path} away")
    if len(raw) > MOST_BYTES:
        return _nothing(path, f"{FILE}: it is larger than {MOST_BYTES // 1000} kB; write only what you change")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return _nothing(path, f"{FILE}:{line}: this is not UTF-8; save the file as UTF-8")
    return parse_preferences(text, path)


def parse_preferences(text: str, path: Path) -> Preferences:
    """What a text says. Every part that is wrong is left out and named in `problems`."""
    import tomllib  # most people have no such file, and the first paint waits for this module

    text = text.replace("\r\n", "\n")
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return _nothing(path, _syntax(str(error), text))
    except RecursionError:
        return _nothing(path, f"{FILE}: values are nested too deeply; write them flatter")
    if not data:
        return Preferences(path)
    from engine.toml_lines import key_lines

    return _Reading(path, data, key_lines(text)).preferences()


def _nothing(path: Path, problem: str) -> Preferences:
    return Preferences(path, problems=(f"{problem}; until then the defaults are used",))


def _syntax(message: str, text: str) -> str:
    found = _AT_LINE.search(message)
    line = int(found[1]) if found and found[1] else text.count("\n") + (not text.endswith("\n"))
    said = _AT_LINE.sub("", message)
    return f"{FILE}:{max(line, 1)}: this is not TOML: {said[:1].lower()}{said[1:]}; mend the syntax there"


@dataclass
class _Reading:
    """Takes what is right out of a parsed file."""

    path: Path
    data: dict[str, Any]
    lines: Mapping[Loc, int]
    problems: list[str] = field(default_factory=list[str])

    def preferences(self) -> Preferences:
        for name in self.data:
            if name not in _KNOWN:
                self._wrong((name,), f'there is no setting "{_short(name)}"', _closest(name, _KNOWN))
        theme, editor = self._text("theme"), self._text("editor")
        bell, notify, popup = self._switch("bell"), self._switch("notify"), self._switch("popup")
        keys = tuple(self._keys())
        return Preferences(
            self.path, theme, self._where(("theme",)), keys, bell, notify, popup, editor, tuple(self.problems)
        )

    def _text(self, name: str) -> str:
        value = self.data.get(name, "")
        if isinstance(value, str):
            return value.strip()
        self._wrong((name,), f"{name} is no text", 'write it in quotes, such as "…"')
        return ""

    def _switch(self, name: str) -> bool:
        value = self.data.get(name, True)
        if isinstance(value, bool):
            return value
        self._wrong((name,), f"{name} is neither on nor off", "write true or false")
        return True

    def _keys(self) -> Iterator[KeyChoice]:
        table = self.data.get("keys", {})
        if not isinstance(table, dict):
            self._wrong(("keys",), "keys is no table", 'write [keys] and below it lines such as "app.detach" = "Q"')
            return
        for loc, value in _leaves(table, ("keys",)):
            ident = ".".join(loc[1:])
            if isinstance(value, list) and all(isinstance(each, str) for each in value):
                value = ",".join(value)
            if not isinstance(value, str):
                self._wrong(loc, f"the key of {_short(ident)} is no text", 'write it in quotes, such as "Q"')
            elif chosen := self._spelled(loc, ident, value):
                yield KeyChoice(ident, chosen, self._where(loc))

    def _spelled(self, loc: tuple[str, ...], ident: str, written: str) -> str:
        from swarm_tui.room.key_names import spelled, wrong

        keys = [spelled(key if key == " " else key.strip()) for key in written.split(",")] if written else []
        if not any(keys):
            self._wrong(loc, f"{_short(ident)} has no key", 'write one, such as "Q"')
            return ""
        for key in keys:
            if why := wrong(key):
                what, _, do = why.rpartition("; ")
                self._wrong(loc, f"the key of {_short(ident)} is wrong: {what}" if what else
                            f"the key of {_short(ident)} is wrong", do)  # fmt: skip
                return ""
        return ",".join(dict.fromkeys(keys))

    def _where(self, loc: tuple[str, ...]) -> str:
        from engine.toml_lines import line_of

        line = line_of(self.lines, loc)
        return FILE if line is None else f"{FILE}:{line}"

    def _wrong(self, loc: tuple[str, ...], what: str, do: str) -> None:
        self.problems.append(f"{self._where(loc)}: {what}; {do}")


def _leaves(table: Mapping[str, Any], at: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """`app.detach` without quotes is a table in TOML; it means the same."""
    for name, value in table.items():
        if isinstance(value, dict) and len(at) < 4:
            yield from _leaves(value, (*at, name))
        else:
            yield (*at, name), value


def keymap_of(chosen: Sequence[KeyChoice], known: Sequence[Bound]) -> tuple[dict[str, str], list[str]]:
    """The choices that can be used, for `App.set_keymap`, and what is wrong with the others.

    A choice whose key another binding has at the same time is left out, unless that binding got another key as well.
    """
    by_ident = {bound.ident: bound for bound in known}
    problems: list[str] = []
    keymap: dict[str, str] = {}
    for choice in chosen:
        if choice.ident in by_ident:
            keymap[choice.ident] = choice.keys
        else:
            do = _closest(choice.ident, by_ident)
            problems.append(f'{choice.where}: there is no binding "{_short(choice.ident)}"; {do}')
    where = {choice.ident: choice.where for choice in chosen}
    while clash := _first_clash(keymap, known):
        ident, key, other = clash
        from swarm_tui.room.key_names import shown

        del keymap[ident]
        problems.append(
            f"{where[ident]}: {shown(key)} is the key of {other.ident} ({other.words}) already; "
            f"choose another, or give {other.ident} another one"
        )
    return keymap, problems


def _first_clash(keymap: Mapping[str, str], known: Sequence[Bound]) -> tuple[str, str, Bound] | None:
    from swarm_tui.room.all_bindings import meet

    def keys(bound: Bound) -> set[str]:
        return set(keymap[bound.ident].split(",")) if bound.ident in keymap else set(bound.keys)

    by_ident = {bound.ident: bound for bound in known}
    # The last choice yields to the earlier ones, as it was the one that made the clash.
    for ident in reversed(list(keymap)):
        for other in known:
            taken = keys(by_ident[ident]) & keys(other) if meet(by_ident[ident], other) else set[str]()
            new = taken - set(by_ident[ident].keys)
            if new or (taken and other.ident in keymap and not set(other.keys) & taken):
                return ident, min(new or taken), other
    return None


def theme_of(preferences: Preferences, available: Iterable[str], color_system: str | None) -> tuple[str, str]:
    """(the theme, what is wrong). color_system: as `rich.console.Console.color_system` says, None without colour.

    Without a choice a terminal with 16 colours or none gets a theme that uses those the person set for the terminal.
    """
    own = "textual-dark" if color_system in ("256", "truecolor") else "ansi-dark"
    if not preferences.theme or preferences.theme in (names := set(available)):
        return preferences.theme or own, ""
    do = _closest(preferences.theme, names)
    return own, f'{preferences.theme_where}: there is no theme "{_short(preferences.theme)}"; {do}'


def _closest(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    if near := difflib.get_close_matches(name, names, n=1, cutoff=0.5):
        return f'write "{near[0]}" instead'
    return f"use one of {', '.join(names)}" if len(names) <= 25 else "the help (?) lists them"


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:39]}…"
