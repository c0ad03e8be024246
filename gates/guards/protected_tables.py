"""The parts of ordinary project files that decide what is proved: test runners', linters' and task runners' tables."""

from __future__ import annotations

import configparser
import tomllib
from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import SwarmError
from gates.guards.guard import SYMLINK, Judged, Row, file_name
from gates.strict_json import parse

_LINTERS = ("ruff", "mypy", "pyright", "basedpyright", "pylint", "bandit", "flake8", "importlinter", "ty")
_TOOLS = ("pytest", "tox", "coverage", "nox", "poe", "taskipy", *_LINTERS)
_BUILD = ("build-backend", "backend-path")
_NODE = ("scripts", "jest", "vitest", "mocha", "ava", "nyc", "c8", "babel", "eslintConfig", "lint-staged", "husky")
_CARGO = ("build", "autotests", "autobenches", "links", "metabuild")
_TARGETS = ("test", "doctest", "harness", "required-features")
_MAX_BYTES = 4_000_000


def changes_tables(change: Judged, row: Row) -> bool:
    """Whether the change touches such a part of this file. What nobody can read counts as touched."""
    read = _READERS.get(file_name(row.path))
    if read is None:
        return False
    if SYMLINK in (row.old_mode, row.new_mode):
        return True
    old, new = change.old(row.path), change.new(row.path)
    if max(len(old or b""), len(new or b"")) > _MAX_BYTES:
        return True
    try:
        return read(old) != read(new)
    except (ValueError, TypeError, AttributeError, RecursionError, configparser.Error, SwarmError):
        return True


def _pyproject(content: bytes | None) -> object:
    data = _toml(content)
    tool, build = data.get("tool", {}), data.get("build-system", {})
    found = {("tool", key): tool[key] for key in _TOOLS if key in tool}
    for name, part in (("pdm", "scripts"), ("hatch", "envs")):
        if part in tool.get(name, {}):
            found["tool", f"{name}.{part}"] = tool[name][part]
    return found | {("build", key): build[key] for key in _BUILD if key in build}


def _setup_cfg(content: bytes | None) -> object:
    if content is None:
        return {}
    parser = configparser.RawConfigParser(strict=True)
    parser.read_string(content.decode("utf-8"))
    sections = ("pytest", "aliases", "coverage", "tox", *_LINTERS)
    wanted = [name for name in parser.sections() if name.removeprefix("tool:").split(":")[0].startswith(sections)]
    return {name: dict(parser.items(name)) for name in wanted}, dict(parser.defaults()) if wanted else {}


def _package_json(content: bytes | None) -> object:
    if content is None:
        return {}
    data = parse(content)
    return {key: data[key] for key in _NODE if key in data.keys()}  # noqa: SIM118 (a list or text has no keys)


def _cargo(content: bytes | None) -> object:
    data = _toml(content)
    found: dict[tuple[str, ...], Any] = {}
    package = data.get("package", data.get("project", {}))
    found |= {("package", key): package[key] for key in _CARGO if key in package}
    found |= {("lints",): data.get("lints"), ("workspace",): data.get("workspace", {}).get("lints")}
    for kind in ("lib", "bin", "test", "bench", "example"):
        targets = data.get(kind, [])
        for target in [targets] if isinstance(targets, Mapping) else targets:
            chosen = {key: target[key] for key in _TARGETS if key in target}
            if chosen:
                found[kind, str(target.get("name", ""))] = chosen
    return found


def _toml(content: bytes | None) -> dict[str, Any]:
    return {} if content is None else tomllib.loads(content.decode("utf-8"))


_READERS: Mapping[str, Callable[[bytes | None], object]] = {
    "pyproject.toml": _pyproject,
    "setup.cfg": _setup_cfg,
    "package.json": _package_json,
    "cargo.toml": _cargo,
}
