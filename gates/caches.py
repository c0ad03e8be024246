"""Warm build caches of slots, for builders that keep one: cargo and go.

Each run sees its slot's cache through a throw-away overlay (`gates.layers`). Where overlays do not work, whatever is
not main's own tree is built cold, and the run's note says so. Without a sandbox nothing is warm: a change could write
to the cache itself. go's part follows its documentation and was not tried.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.git.removal import remove_tree
from engine.git.slots import Slot
from engine.ports import Overlay, Sandbox
from engine.process.environment import allowed_environment
from engine.process.programs import Program
from engine.sandbox.overlays import can_be_mounted
from gates.layers import Layer, Layers

COLD = "cold-build"
"""The note of a run that was given an empty cache although its builder keeps one."""
_MAIN_TREES = 50


@dataclass(frozen=True)
class Prepared:
    """What one run is given: its environment lies below the gate's own. note: for the report's flags, "" when there is
    nothing to say. readable: folders of the user's downloads that are not among the overlays."""

    env: Mapping[str, str] = field(default_factory=dict[str, str])
    overlays: tuple[Overlay, ...] = ()
    writable: tuple[Path, ...] = ()
    note: str = ""
    readable: tuple[Path, ...] = ()
    layer: Layer | None = None
    scrap: Path | None = None
    """Removed when the run is over."""


@dataclass(frozen=True)
class _Builder:
    """downloads: the user's folders of what was fetched. env: (cache, program, how many run at once, no network)."""

    kind: str
    downloads: Callable[[], Iterable[Path]]
    env: Callable[[Path, Program, int, bool], dict[str, str]]


class Caches:
    """The caches of all slots of one engine. Every call blocks, and may come from any thread.

    Gates of one session, whose `run` folders lie beside one another, share a layer while they are on one tree: a test
    gate need not build again what the build gate built.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._overlays = sandbox.overlays
        self._sealed = sandbox.guarantees.get("fs_write", False)
        self._offline = sandbox.guarantees.get("net", False)
        self._lock = threading.Lock()
        """Of what is remembered here. Work on the disk goes on under the lock of its cache alone."""
        self._known: dict[Path, tuple[Layers, threading.Lock]] = {}
        self._busy: dict[Path, Path] = {}
        """What runs use now -> the cache that it belongs to."""
        self._main: deque[str] = deque(maxlen=_MAIN_TREES)

    def prepare(self, slot: Slot, run: Path, program: Program, argv: Sequence[str]) -> Prepared:
        """The cache of `slot`, on which `slot.tree` is checked out, for a run of `argv`. Raises OSError.

        For a builder, files of the tree whose times a process has set get the time of now: builders trust times.
        """
        builder = _builder(program)
        if builder is None or slot.tree is None:
            return Prepared()
        slot.freshen()
        folder = slot.cache / builder.kind
        with self._lock:
            layers, lock = self._known.setdefault(folder, (Layers(folder), threading.Lock()))
        with lock:
            with self._lock:
                busy, in_use = set(self._busy), folder in self._busy.values()
            if not slot.adopted and not in_use:
                layers.settle()
                for litter in folder.glob("cold-*"):
                    remove_tree(litter)
            name = hashlib.sha256(f"{run.parent}\0{slot.tree}".encode()).hexdigest()[:16]
            while any(used.name in (name, f"cold-{name}") for used in busy):
                name += "x"
            given = self._layered(builder, layers, name, slot.tree) if self._overlays else None
            if given is None:
                cold, in_place = folder / f"cold-{name}", layers.base not in busy
                given = self._without_overlays(builder, layers, cold, slot.tree, in_place=in_place)
            with self._lock:
                self._busy[_used(given)] = folder
                active = len(self._busy)
            place = layers.base if given.overlays else given.writable[0]
            return replace(given, env=builder.env(place, program, active, self._offline))

    def finished(self, prepared: Prepared, tree: str, green: bool) -> None:
        """The run is over. A layer that has seen a run that was not green is never merged. Raises OSError."""
        if not prepared.writable and prepared.layer is None:
            return
        used = _used(prepared)
        with self._lock:
            folder = self._busy.get(used)
            lock = self._known[folder][1] if folder in self._known else threading.Lock()
        with lock:
            try:
                if prepared.scrap is not None:
                    remove_tree(prepared.scrap)
                if prepared.layer is not None and (note := prepared.layer.note()) is not None:
                    good = green and note.tree == tree and note.green is not False
                    prepared.layer.write(replace(note, green=good))
            finally:
                with self._lock:
                    self._busy.pop(used, None)

    def promote(self, tree: str) -> None:
        """This tree is main now. Its green layers are merged when their slots are next prepared. Never raises."""
        with self._lock:
            self._main.append(tree)
            known = list(self._known.values())
        for layers, lock in known:
            with contextlib.suppress(OSError), lock:  # after an error that cache stays as it is
                layers.landed(tree)
        for layers, _ in known:
            with contextlib.suppress(OSError):
                layers.empty_trash()

    def _layered(self, builder: _Builder, layers: Layers, name: str, tree: str) -> Prepared | None:
        """None where the names of folders do not suit a mount."""
        layer = layers.open(name, tree)
        overlays = [Overlay(layers.base, layer.upper, layer.work, layers.base)]
        scrap = layer.folder / "downloads"
        remove_tree(scrap)
        for number, place in enumerate(builder.downloads()):
            # Unpacking what was downloaded writes, and the user's folder must stay as it is.
            overlays.append(Overlay(place, scrap / f"{number}", scrap / f"{number}-work", place))
        if not all(map(can_be_mounted, overlays)):
            return None
        for overlay in overlays[1:]:
            overlay.upper.mkdir(parents=True)
            overlay.work.mkdir()
        return Prepared(overlays=tuple(overlays), layer=layer, scrap=scrap)

    def _without_overlays(
        self, builder: _Builder, layers: Layers, cold: Path, tree: str, *, in_place: bool
    ) -> Prepared:
        """in_place: nobody uses the cache itself."""
        downloads = tuple(builder.downloads())
        if self._sealed and in_place and tree in self._main:
            layers.require()
            return Prepared(writable=(layers.base,), readable=downloads)
        cold.mkdir(parents=True, exist_ok=True)
        return Prepared(writable=(cold,), note=COLD, readable=downloads, scrap=cold)


def _used(prepared: Prepared) -> Path:
    return prepared.layer.folder if prepared.layer is not None else prepared.writable[0]


def _builder(program: Program) -> _Builder | None:
    names = (program.name, program.path.stem)
    if any(name == "cargo" or name.startswith("cargo-") for name in names):
        return _Builder("cargo", _cargo_downloads, _cargo)
    return _Builder("go", _go_downloads, _go) if "go" in names else None


def _cargo_home() -> Path:
    return Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo").absolute()


def _cargo_downloads() -> Iterable[Path]:
    """Not all of CARGO_HOME: credentials lie beside them, and a configuration that would change what is built."""
    return [place for name in ("registry", "git") if (place := _cargo_home() / name).is_dir()]


def _cargo(place: Path, program: Program, active: int, offline: bool) -> dict[str, str]:
    env = {"CARGO_TARGET_DIR": str(place), "CARGO_BUILD_JOBS": str(max(1, (os.cpu_count() or 1) // active))}
    if program.path.is_absolute():
        # cargo calls rustc by name, and rustup's launcher of that name cannot choose a toolchain in a sandbox.
        path = allowed_environment({}).values.get("PATH", "")
        env["PATH"] = os.pathsep.join((str(program.path.parent), *([path] if path else [])))
    if _cargo_downloads():
        env["CARGO_HOME"] = str(_cargo_home())
    if offline:
        env["CARGO_NET_OFFLINE"] = "true"
    return env


def _go_modules() -> Path:
    root = os.environ.get("GOPATH", "").split(os.pathsep)[0] or Path.home() / "go"
    return Path(os.environ.get("GOMODCACHE") or Path(root, "pkg", "mod")).absolute()


def _go_downloads() -> Iterable[Path]:
    return [_go_modules()] if _go_modules().is_dir() else []


def _go(place: Path, program: Program, active: int, offline: bool) -> dict[str, str]:
    env = {"GOCACHE": str(place), "GOTOOLCHAIN": "local", "GOMAXPROCS": str(max(1, (os.cpu_count() or 1) // active))}
    if _go_downloads():
        env["GOMODCACHE"] = str(_go_modules())
    if offline:
        env["GOPROXY"] = "off"
    return env
