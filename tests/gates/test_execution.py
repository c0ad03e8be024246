"""What a run was given comes back, however it ends: the build cache, and its private folder."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InfrastructureFault
from engine.git.slots import Slot
from engine.ports import Overlay
from engine.process.programs import Program
from tests.gates.bench import Bench, gate, only


@dataclass(frozen=True)
class Lent:
    env: Mapping[str, str] = field(default_factory=dict[str, str])
    overlays: tuple[Overlay, ...] = ()
    writable: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    note: str = "lent"


class Lender:
    """Caches that count what is out. `then`: what happens while one is lent, with the folder of the run."""

    def __init__(self) -> None:
        self.out, self.returned = 0, list[bool]()
        self.then: Callable[[Path], None] = lambda _folder: None

    def prepare(self, slot: Slot, run: Path, program: Program, argv: Sequence[str]) -> Lent:
        self.out += 1
        self.then(run.parent.parent / run.name)
        return Lent()

    def finished(self, prepared: Any, tree: str, green: bool) -> None:
        assert isinstance(prepared, Lent)
        self.out -= 1
        self.returned.append(green)

    def promote(self, tree: str) -> None: ...


@pytest.fixture
def lender(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lender:
    (tmp_path / "private").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "private"))
    lender = Lender()
    bench.runner = bench.make_runner("lent", caches=lender)
    return lender


async def test_a_cache_is_given_back_once_with_the_word_on_its_run(bench: Bench, lender: Lender) -> None:
    assert (await bench.gates(bench.base_tree, gate())).report.result == "green"
    red = gate("red", ("python", "-c", "import absent_module"), "none")
    assert (await bench.gates(bench.base_tree, red)).report.result == "red"
    assert (lender.out, lender.returned) == (0, [True, False])


async def test_a_run_that_cannot_be_noted_leaves_neither_a_cache_nor_a_folder(
    bench: Bench, lender: Lender, tmp_path: Path
) -> None:
    lender.then = lambda folder: (folder / "watch.new").mkdir()
    with pytest.raises(InfrastructureFault):
        await bench.gates(bench.base_tree, gate())
    assert (lender.out, lender.returned) == (0, [False])
    assert list((tmp_path / "private").iterdir()) == []


async def test_a_run_that_is_cancelled_while_it_is_prepared_gives_its_cache_back(
    bench: Bench, lender: Lender, tmp_path: Path
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait(_folder: Path) -> None:
        begun.set()
        assert go_on.wait(20)

    lender.then = wait
    asking = asyncio.create_task(bench.gates(bench.base_tree, gate()))
    assert await asyncio.to_thread(begun.wait, 20)
    asking.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (lender.out, lender.returned) == (0, [False])
    assert list((tmp_path / "private").iterdir()) == []
    lender.then = lambda _folder: None
    assert only((await bench.gates(bench.base_tree, gate())).report).result == "green"
