"""The layers of one build cache on the disk: merging, what is thrown away, and what a crash leaves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from gates import layers as layers_module
from gates.layers import Layers


def test_a_merge_that_fails_half_way_leaves_no_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = Layers(tmp_path)
    layer = layers.open("one", "tree")
    for name in ("a", "b"):
        (layer.upper / name).write_text(name, encoding="utf-8")
    note = layer.note()
    assert note is not None
    layer.write(replace(note, green=True, landed=1.0))
    (layers.base / "old").touch()
    real = Path.replace

    def full(self: Path, target: Path) -> Path:
        if self.name == "b":
            raise OSError("no space left on device")
        return real(self, target)

    monkeypatch.setattr(Path, "replace", full)
    layers.settle()
    assert list(layers.base.iterdir()) == []


def test_a_base_of_an_earlier_start_of_the_machine_is_thrown_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Layers(tmp_path).require()
    (tmp_path / "base" / "artifact").touch()
    assert Layers(tmp_path).require() == first
    monkeypatch.setattr(layers_module, "_boot", lambda: "another")
    assert Layers(tmp_path).require() != first
    assert list((tmp_path / "base").iterdir()) == []


def test_only_a_few_layers_wait_and_the_newest_stay(tmp_path: Path) -> None:
    layers = Layers(tmp_path)
    for number in range(9):
        layers.open(f"layer-{number}", "tree")
    layers.settle()
    assert [path.name for path in sorted((tmp_path / "layers").iterdir())] == [f"layer-{n}" for n in (5, 6, 7, 8)]


def test_a_disk_that_is_nearly_full_costs_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layers = Layers(tmp_path)
    layers.open("one", "tree")
    (layers.base / "artifact").touch()
    monkeypatch.setattr(layers_module, "FREE_BYTES", 0)
    layers.settle()
    assert (layers.base / "artifact").exists()
    monkeypatch.setattr(layers_module, "FREE_BYTES", 1 << 62)
    layers.settle()
    assert list(layers.base.iterdir()) == []
    assert list((tmp_path / "layers").iterdir()) == []
