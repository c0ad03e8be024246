"""How a flow speaks to the program under test: one file a kind of program, and one line here."""

from __future__ import annotations

from collections.abc import Mapping

from canary.drivers.driver import Driver
from canary.drivers.process import ProcessDriver

DRIVERS: Mapping[str, Driver] = {
    "process": ProcessDriver(),
}
"""`driver` of a flow -> the driver."""
