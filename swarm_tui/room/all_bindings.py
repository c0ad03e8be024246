"""Every key binding of the room, found by walking its screens and widgets: for the help, key settings and the lint."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen

SHARED = ("rows", "log")
"""Areas of widgets that stand in most screens."""
_AREAS = {
    "app": "Everywhere",
    "screen": "Screens",
    "main": "Main screen",
    "rows": "Lists",
    "log": "Logs",
    "hud": "Debug figures",
    "wall": "Logs side by side",
    "order": "Work order",
    "inbox": "Needs you",
    "train": "Gates",
}


@dataclass(frozen=True)
class Bound:
    """One binding. `keys`: as spelled by Textual, several for one action. `owner`: the class that defines it."""

    ident: str
    keys: tuple[str, ...]
    action: str
    words: str
    help: str
    owner: type[DOMNode]
    shown: bool = True

    @property
    def area(self) -> str:
        return self.ident.partition(".")[0]


@cache
def all_bindings() -> tuple[Bound, ...]:
    """All of them, the app's first. Imports every screen: not for the start of the room."""
    return tuple(bound for owner in owners() for bound in bindings_of(owner))


@cache
def owners() -> tuple[type[DOMNode], ...]:
    """The classes of the room that define bindings."""
    import swarm_tui.app
    import swarm_tui.screens
    import swarm_tui.widgets

    modules = [swarm_tui.app]
    for package in (swarm_tui.screens, swarm_tui.widgets):
        names = sorted(each.name for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}."))
        modules += [importlib.import_module(name) for name in names]
    return tuple(_owners_in(modules))


def _owners_in(modules: list[Any]) -> Iterator[type[DOMNode]]:
    for module in modules:
        for _, each in inspect.getmembers(module, inspect.isclass):
            if each.__module__ == module.__name__ and issubclass(each, DOMNode) and "BINDINGS" in vars(each):
                yield each


def bindings_of(owner: type[DOMNode]) -> list[Bound]:
    """What this class itself defines, in its order."""
    found: list[Bound] = []
    for each in vars(owner).get("BINDINGS", ()):
        binding = each if isinstance(each, Binding) else Binding(*each)
        keys = tuple(made.key for made in Binding.make_bindings([binding]))
        line = help_line(owner, binding)
        found.append(Bound(binding.id or "", keys, binding.action, binding.description, line, owner, binding.show))
    return found


def help_line(owner: type[DOMNode], binding: Binding) -> str:
    """What a binding does, in one line: its tooltip, else what its method's docstring says, else its description."""
    return binding.tooltip or _docstring(owner, binding.action) or binding.description


def action_method(action: str) -> str:
    """The name of the method that an action calls, on the class that `acts_on` gives."""
    return f"action_{action.partition('(')[0].rpartition('.')[2]}"


def acts_on(owner: type[DOMNode], action: str) -> type[DOMNode]:
    """The class that an action written in `owner` is looked up in: its own, the app or any screen."""
    from swarm_tui.app import RoomApp

    target = action.partition("(")[0].rpartition(".")[0]
    return {"app": RoomApp, "screen": Screen}.get(target, owner)


def _docstring(owner: type[DOMNode], action: str) -> str:
    method = getattr(acts_on(owner, action), action_method(action), None)
    ours = method is not None and method.__module__.startswith("swarm_tui.")
    return (inspect.getdoc(method) or "").partition("\n")[0] if ours else ""


def area_title(area: str) -> str:
    """An area's name for people."""
    return _AREAS.get(area, area.replace("_", " ").capitalize())


def meet(one: Bound, other: Bound) -> bool:
    """Whether both may be active at once, so that a key of both would be taken from one of them."""
    if one.ident == other.ident:
        return False
    if issubclass(one.owner, other.owner) or issubclass(other.owner, one.owner):
        return True
    if issubclass(one.owner, App) or issubclass(other.owner, App):
        return not _is_modal(one) and not _is_modal(other)
    return (one.area in SHARED) != (other.area in SHARED)


def _is_modal(bound: Bound) -> bool:
    """A question hides the app's keys, as it must be answered first."""
    return issubclass(bound.owner, ModalScreen)
