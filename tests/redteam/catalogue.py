"""The catalogue of attacks (catalogue.toml) as data."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATH = Path(__file__).with_name("catalogue.toml")


@dataclass(frozen=True)
class Case:
    """`tests`: `file::test` or a whole file. `why`: why no test runs here. `rest`: what is left of the danger."""

    id: str
    title: str
    layer: str
    tests: tuple[str, ...] = ()
    why: str = ""
    rest: str = ""


@dataclass(frozen=True)
class Class:
    """A letter, what its cases have in common, and the cases in order."""

    letter: str
    title: str
    cases: tuple[Case, ...] = field(default=())


@dataclass(frozen=True)
class Catalogue:
    """`layers`: number -> what it is."""

    layers: dict[str, str]
    classes: tuple[Class, ...]

    @property
    def cases(self) -> Iterator[Case]:
        return (case for each in self.classes for case in each.cases)


def load() -> Catalogue:
    """The catalogue. Raises TypeError for a field that no case has."""
    data = tomllib.loads(PATH.read_text(encoding="utf-8"))
    classes = tuple(
        Class(letter, each["title"], tuple(_case(row) for row in each["case"]))
        for letter, each in data["class"].items()
    )
    return Catalogue(data["layers"], classes)


def _case(row: dict[str, Any]) -> Case:
    return Case(**{**row, "tests": tuple(row.get("tests", ()))})
