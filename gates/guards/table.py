"""All guards, in the order in which they speak. Adding one is one file and one line here."""

from __future__ import annotations

from gates.guards.binaries import BinariesGuard
from gates.guards.boundaries import BoundariesGuard
from gates.guards.dependencies import DependenciesGuard
from gates.guards.generated import GeneratedGuard
from gates.guards.guard import Guard
from gates.guards.hidden_text import HiddenTextGuard
from gates.guards.lfs import LfsGuard
from gates.guards.names import NamesGuard
from gates.guards.paths import PathsGuard
from gates.guards.protected import ProtectedGuard
from gates.guards.secrets import SecretsGuard
from gates.guards.size import SizeGuard

GUARDS: tuple[Guard, ...] = (
    PathsGuard(),
    ProtectedGuard(),
    NamesGuard(),
    DependenciesGuard(),
    BoundariesGuard(),
    GeneratedGuard(),
    SecretsGuard(),
    HiddenTextGuard(),
    BinariesGuard(),
    LfsGuard(),
    SizeGuard(),
)
