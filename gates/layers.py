"""One warm build cache in layers: `base`, which only landed trees have written, and a throw-away layer for each run.

A run sees both through an overlay and writes to its own layer alone. When the run's tree lands, its layer is merged
into the base, provided that the base is still what the run saw; every other layer is thrown away. So what a change
leaves behind for others to find is never found, unless it landed.

    <folder>/base          the lower layer, and the place at which the overlay is mounted
    <folder>/base.json     which base it is (a new id after every merge), and since which start of the machine
    <folder>/merging       exists while a layer is merged; a base that is found with it is thrown away
    <folder>/layers/<id>   upper, work, note.json
    <folder>/trash         what nobody wants any more; taking it away can wait until no gate does
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import sys
import time
import uuid
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, cast

from engine.git.removal import remove_tree

KEPT_LAYERS = 4
"""How many layers wait at most to learn whether their trees land."""
FREE_BYTES = 2_000_000_000
"""With less than this free on the disk, layers go first and then the base."""
BASE_BYTES = 20_000_000_000
"""A base that has grown beyond this starts anew: builders never clean up."""
MERGES = 100
"""After so many merges the base starts anew, so that nothing that crept in stays for good."""
MOST_TRASH = 64
"""With more folders than this in the trash, nothing waits any more."""
_MEASURED = 8
"""Every so many merges the base is measured, which looks at all of its files."""
_OVERLAY = "user.overlay."


@dataclass(frozen=True)
class Note:
    """What is known of a layer. green: None while nothing is known; one red run makes it False for good."""

    tree: str
    base: str
    green: bool | None = None
    landed: float = 0.0
    used: float = 0.0


@dataclass(frozen=True)
class Layer:
    folder: Path

    @property
    def upper(self) -> Path:
        return self.folder / "upper"

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def note(self) -> Note | None:
        fields = _read(self.folder / "note.json")
        try:
            return Note(**fields) if fields else None
        except TypeError:
            return None

    def write(self, note: Note) -> None:
        _write(self.folder / "note.json", asdict(note))


class Layers:
    """One user at a time. Raises OSError when the disk does not do what it is asked."""

    def __init__(self, folder: Path) -> None:
        self.base = folder / "base"
        self._folder = folder
        self._record, self._merging, self._trash = folder / "base.json", folder / "merging", folder / "trash"

    def open(self, name: str, tree: str) -> Layer:
        """The layer of this name as it was left, if it lies over this base and is this tree's; else a fresh one."""
        base = self.require()
        layer = Layer(self._folder / "layers" / name)
        found = layer.note()
        if found is None or (found.tree, found.base) != (tree, base):
            remove_tree(layer.folder)
            found = Note(tree, base)
        remove_tree(layer.work)  # the kernel takes none that was in use: it cannot know what a crash has left
        for made in (layer.upper, layer.work):
            made.mkdir(parents=True, exist_ok=True)
        layer.write(replace(found, used=time.time()))
        return layer

    def landed(self, tree: str) -> None:
        """This tree is main: its green layer is for the base, at the next `settle`."""
        for layer in self._layers():
            note = layer.note()
            if note is not None and note.tree == tree and note.green:
                layer.write(replace(note, landed=time.time()))

    def settle(self) -> None:
        """Merge the layer that landed last and throw away what cannot be merged any more. Nobody may use a layer now.

        Layers that landed before it lie over the same base, and their trees are in its tree.
        """
        base = self.require()
        noted = [(layer, layer.note()) for layer in self._layers()]
        landed = [(note.landed, layer) for layer, note in noted if note and note.landed and note.base == base]
        if landed:
            try:
                self._merge(max(landed, key=lambda pair: pair[0])[1])
            except (OSError, RecursionError):
                self._start_anew()  # nobody knows how far it got; the layer goes too, because its base is no more
            base = self.require()
        waiting = [(note.used, layer) for layer, note in noted if note and note.base == base]
        waiting.sort(key=lambda pair: pair[0], reverse=True)
        kept = {layer.folder for _, layer in waiting[:KEPT_LAYERS]}
        for layer in self._layers():
            if layer.folder not in kept:
                self._throw_away(layer.folder)
        if self._is_short() or _count(self._trash) > MOST_TRASH:
            self.empty_trash()
        for layer in self._layers():
            if self._is_short():
                remove_tree(layer.folder)
        if self._is_short():
            self._start_anew()

    def empty_trash(self) -> None:
        """Take away what waits for it. At any time."""
        remove_tree(self._trash)

    def _throw_away(self, path: Path) -> None:
        """A folder with all that is in it, at the price of a move."""
        self._trash.mkdir(exist_ok=True)
        try:
            path.rename(self._trash / uuid.uuid4().hex)
        except OSError:
            _remove(path)

    def _discard(self, path: Path) -> None:
        if path.is_dir() and not path.is_symlink():
            self._throw_away(path)
        else:
            _remove(path)

    def _merge(self, layer: Layer) -> None:
        self._merging.touch()
        merges = int(_read(self._record).get("merges", 0)) + 1
        self._merge_folder(layer.upper, self.base)
        self._throw_away(layer.folder)
        if merges >= MERGES or (merges % _MEASURED == 0 and _size(self.base) > BASE_BYTES):
            self._start_anew()
            return
        self._new_base(merges)
        self._merging.unlink()

    def require(self) -> str:
        """The base's id. One that was being merged when its engine died is thrown away, and one of an earlier start of
        the machine too: nothing here is hardened against a loss of power."""
        record = _read(self._record)
        if self._merging.exists() or not self.base.is_dir() or record.get("boot") != _boot() or "id" not in record:
            return self._start_anew()
        return str(record["id"])

    def _start_anew(self) -> str:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._merging.touch()
        if not remove_tree(self.base):
            raise OSError(f"{self.base} is in use by another program and cannot be deleted")
        self.base.mkdir()
        made = self._new_base(0)
        self._merging.unlink()
        return made

    def _new_base(self, merges: int) -> str:
        made = uuid.uuid4().hex
        _write(self._record, {"id": made, "boot": _boot(), "merges": merges})
        return made

    def _layers(self) -> list[Layer]:
        folder = self._folder / "layers"
        return [Layer(each) for each in sorted(folder.iterdir())] if folder.is_dir() else []

    def _merge_folder(self, upper: Path, lower: Path) -> None:
        """Carry out in `lower` what overlayfs noted in `upper`. Files are moved, so that times and hard links stay."""
        with os.scandir(upper) as listing:
            entries = list(listing)
        for entry in entries:
            source, target = Path(entry.path), lower / entry.name
            if _is_whiteout(entry):
                self._discard(target)
            elif not entry.is_dir(follow_symlinks=False):
                if target.is_dir() and not target.is_symlink():
                    self._throw_away(target)
                _forget_overlay(source)
                source.replace(target)
            else:
                found = entry.stat(follow_symlinks=False)
                if _is_opaque(source) or target.is_symlink() or not target.is_dir():
                    self._discard(target)
                    target.mkdir()
                self._merge_folder(source, target)
                target.chmod(stat.S_IMODE(found.st_mode))
                os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))

    def _is_short(self) -> bool:
        return shutil.disk_usage(self._folder).free < FREE_BYTES


def _is_whiteout(entry: os.DirEntry[str]) -> bool:
    """overlayfs notes a removal as a character device 0/0."""
    if sys.platform == "win32":
        return False
    found = entry.stat(follow_symlinks=False)
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def _is_opaque(folder: Path) -> bool:
    """Whether the folder replaces the one below instead of being laid over it."""
    if sys.platform != "linux":
        return False
    try:
        return os.getxattr(folder, _OVERLAY + "opaque", follow_symlinks=False) == b"y"
    except OSError:
        return False


def _forget_overlay(path: Path) -> None:
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError):
        for name in os.listxattr(path, follow_symlinks=False):
            if name.startswith(_OVERLAY):
                os.removexattr(path, name, follow_symlinks=False)


def _remove(path: Path) -> None:
    if not remove_tree(path):
        raise OSError(f"{path} is in use by another program and cannot be deleted")


def _count(folder: Path) -> int:
    try:
        return sum(1 for _ in folder.iterdir())
    except OSError:
        return 0


def _size(folder: Path) -> int:
    """Bytes of all files below."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(place) / name).lstat().st_size
    return total


def _boot() -> str:
    """Which start of the machine this is; "" where that cannot be told."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _read(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cast("dict[str, Any]", fields) if isinstance(fields, dict) else {}


def _write(path: Path, fields: dict[str, Any]) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps(fields), encoding="utf-8")
    fresh.replace(path)
