"""What is read out of a lock file or a manifest, and how its odd shapes are refused."""

from __future__ import annotations

import json
import posixpath
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from engine.errors import SwarmError
from gates import strict_json

LOCAL = "the repository itself"
"""Source of a package whose code lies in the tree."""
USUAL = ""
"""Source of a package that comes from wherever the ecosystem gets its packages when nothing else is said."""

_URL = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*://)(?:[^/@\s]*@)?([^/?#\s]+)")


class Unreadable(ValueError):
    """The file cannot be taken apart, so nobody knows what it brings."""


@dataclass(frozen=True)
class Package:
    """One package. source: LOCAL, USUAL, or the text that says where else it comes from. version: an exact one in a
    lock file, what is asked for in a manifest. hashes: of what may be installed; empty where the file has none."""

    name: str
    version: str = ""
    source: str = USUAL
    hashes: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Listing:
    """One file's packages. `redirects`: settings, by place, that change where packages come from or which are taken."""

    packages: frozenset[Package] = frozenset()
    redirects: Mapping[str, str] = field(default_factory=dict[str, str])


def listing(packages: Iterable[Package], redirects: Mapping[str, str] | None = None) -> Listing:
    return Listing(frozenset(packages), redirects or {})


def decode(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable("it is not UTF-8") from error


def toml(content: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(decode(content))
    except (ValueError, RecursionError) as error:
        raise Unreadable("it is not TOML") from error


def json_table(content: bytes) -> dict[str, Any]:
    """Refuses duplicate keys: two readers of such a file may see two different things."""
    try:
        return table(strict_json.parse(content.removeprefix(b"\xef\xbb\xbf")))
    except (SwarmError, RecursionError) as error:
        raise Unreadable("it is not JSON with one meaning") from error


def table(value: object) -> dict[str, Any]:
    """A table, or an empty one for None. Raises Unreadable for anything else."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Unreadable("it has something else where a table should be")
    return cast(dict[str, Any], value)


def rows(value: object) -> list[Any]:
    """A list, or an empty one for None. Raises Unreadable for anything else."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise Unreadable("it has something else where a list should be")
    return cast(list[Any], value)


def text(value: object, default: str = "") -> str:
    """A text, or the default for None. Raises Unreadable for anything else."""
    if value is None:
        return default
    if not isinstance(value, str):
        raise Unreadable("it has something else where a text should be")
    return value


def name_of(row: Mapping[str, Any]) -> str:
    name = text(row.get("name"))
    if not name:
        raise Unreadable("it has a package without a name")
    return name


def said(value: object) -> str:
    """One text for any setting, to see whether it changed. Raises Unreadable."""
    try:
        return json.dumps(value, sort_keys=True, default=str)
    except (ValueError, TypeError, RecursionError) as error:
        raise Unreadable("it is nested too deeply") from error


def origin(url: str) -> str:
    """Scheme and host of an address, without user and password; "" for anything else."""
    found = _URL.match(url)
    return f"{found[1]}{found[2]}".lower() if found else ""


def beside(path: str, target: str) -> str | None:
    """Where a relative path in the file `path` leads within the tree; None when it leaves it."""
    target = target.replace("\\", "/")
    if target.startswith(("/", "~")) or re.match(r"^[A-Za-z]:", target):
        return None
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    return None if joined == ".." or joined.startswith("../") else joined


def local_source(path: str, target: str) -> str:
    """LOCAL for a folder or file within the tree, otherwise the path itself."""
    return LOCAL if beside(path, target) is not None else f"path+{target}"
