"""Desks are cleared at the end of a test: no engine outlives it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from command_line import Desk


class MakeDesk(Protocol):
    def __call__(self, *orders: str, **more: Any) -> Desk:
        """A repository with these work orders, committed on main; `settings` replaces command_line.SETTINGS."""
        ...


@pytest.fixture
def make_desk(tmp_path: Path) -> Iterator[MakeDesk]:
    desks: list[Desk] = []

    def make(*orders: str, **more: Any) -> Desk:
        desk = Desk.with_files(tmp_path, *orders, **more)
        desks.append(desk)
        return desk

    yield make
    for desk in desks:
        desk.close()


@pytest.fixture
def bare_desk(tmp_path: Path) -> Desk:
    """A repository without any commit."""
    return Desk.bare(tmp_path)
