"""How a flow speaks to the program under test: one file a kind of program, and one line here."""

from __future__ import annotations

from importlib import import_module

from canary.drivers.driver import Driver

_DRIVERS = {
    "process": ("canary.drivers.process", "ProcessDriver"),
    "http": ("canary.drivers.process", "ProcessDriver"),
    "terminal": ("canary.drivers.terminal", "TerminalDriver"),
    "browser": ("canary.drivers.browser", "BrowserDriver"),
}
"""`driver` of a flow -> module and class; imported when a flow needs it, with all that it brings along."""


def driver_of(name: str) -> Driver:
    """The driver of this name."""
    module, kind = _DRIVERS[name]
    return getattr(import_module(module), kind)()
