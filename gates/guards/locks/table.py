"""Which files name the packages of others, and who reads them. Adding one is one function and one line here."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from gates.guards.guard import fold
from gates.guards.locks import go, node, python, rust
from gates.guards.locks.package import Listing, Unreadable

MAX_BYTES = 20_000_000
"""Larger files are not read, so they are unreadable."""

Read = Callable[[str, bytes], Listing]


@dataclass(frozen=True)
class Kind:
    """A kind of file. `read(path, content)` raises Unreadable; None: nobody here can read it."""

    read: Read | None
    lock: bool


_LOCKS: dict[str, Read | None] = {
    "cargo.lock": rust.cargo_lock,
    "uv.lock": python.uv_lock,
    "poetry.lock": python.poetry_lock,
    "pdm.lock": python.poetry_lock,
    "pipfile.lock": python.pipfile_lock,
    "package-lock.json": node.package_lock,
    "npm-shrinkwrap.json": node.package_lock,
    ".package-lock.json": node.package_lock,
    "go.sum": go.go_sum,
    "go.work.sum": go.go_sum,
    **dict.fromkeys(
        ("pnpm-lock.yaml", "yarn.lock", "bun.lock", "bun.lockb", "deno.lock", "gemfile.lock", "composer.lock")
    ),
    **dict.fromkeys(("mix.lock", "pubspec.lock", "podfile.lock", "package.resolved", "flake.lock", "pixi.lock")),
    **dict.fromkeys(("gradle.lockfile", "packages.lock.json", "conda-lock.yml", "module.bazel.lock")),
}
_MANIFESTS: dict[str, Read | None] = {
    "cargo.toml": rust.cargo_toml,
    "pyproject.toml": python.pyproject,
    "setup.cfg": python.setup_cfg,
    "pipfile": python.pipfile,
    "package.json": node.package_json,
    "go.mod": go.go_mod,
    **dict.fromkeys(("pnpm-workspace.yaml", "environment.yml", "pixi.toml", "gemfile", "composer.json")),
}
_PYLOCK = re.compile(r"^pylock(\.[^.]+)?\.toml$")
_REQUIREMENTS = re.compile(r"^([\w.-]*requirements[\w.-]*|constraints[\w.-]*)\.(txt|in|lock|pip)$")


def kind_of(path: str) -> Kind | None:
    """What kind of file this is by its name, whatever its case and folder; None: it names no packages."""
    folder, _, name = fold(path).rpartition("/")
    if name in _LOCKS:
        return Kind(_LOCKS[name], lock=True)
    if name in _MANIFESTS:
        return Kind(_MANIFESTS[name], lock=False)
    if _PYLOCK.match(name):
        return Kind(python.pylock, lock=True)
    in_folder = folder.rpartition("/")[2] == "requirements" and name.endswith((".txt", ".in"))
    if in_folder or _REQUIREMENTS.match(name):
        return Kind(python.requirements, lock=False)
    return None


def read_listing(kind: Kind, path: str, content: bytes | None) -> Listing:
    """The packages of a file; None (no such file) has none. Raises Unreadable, and nothing else."""
    if content is None:
        return Listing()
    if kind.read is None:
        raise Unreadable("files of this kind cannot be judged")
    if len(content) > MAX_BYTES:
        raise Unreadable(f"it is larger than {MAX_BYTES} bytes")
    try:
        return kind.read(path, content)
    except Unreadable:
        raise
    except (ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise Unreadable("it has a shape that is not known") from error
