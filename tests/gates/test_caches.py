"""Warm build caches: what a run finds, and what becomes of what it leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.process.programs import Program
from engine.sandbox.none import NoSandbox
from gates.caches import COLD, Prepared
from tests.gates.yard import SHELL, Yard, overlaying


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path, overlaying(tmp_path))


async def test_what_a_run_builds_is_found_by_others_only_when_its_tree_has_landed(yard: Yard) -> None:
    one, two = yard.tree({"a": "1"}), yard.tree({"a": "2"})
    await yard.shell(one, "echo built > artifact")
    assert await yard.shell(two, "ls") == ""
    yard.caches.promote(one)
    assert await yard.shell(two, "cat artifact") == "built"


async def test_gates_of_one_session_on_one_tree_share_what_they_build(yard: Yard) -> None:
    one, two = yard.tree({"a": "1"}), yard.tree({"a": "2"})
    await yard.shell(one, "echo built > artifact", session="s")
    assert await yard.shell(one, "cat artifact", session="s") == "built"
    assert await yard.shell(one, "ls", session="other") == ""
    assert await yard.shell(two, "ls", session="s") == ""


async def test_a_layer_with_a_red_run_is_never_merged(yard: Yard) -> None:
    one, two = yard.tree({"a": "1"}), yard.tree({"a": "2"})
    await yard.shell(one, "echo built > artifact; exit 1", session="s")
    await yard.shell(one, "true", session="s")
    yard.caches.promote(one)
    assert await yard.shell(two, "ls") == ""


async def test_of_two_layers_over_one_base_the_one_that_landed_last_is_merged(yard: Yard) -> None:
    one, two, three = (yard.tree({"a": str(number)}) for number in range(3))
    await yard.shell(one, "echo one > both; echo x > only-one")
    await yard.shell(two, "echo two > both")
    yard.caches.promote(one)
    yard.caches.promote(two)
    assert await yard.shell(three, "ls; cat both") == "both\ntwo"


async def test_a_merged_base_is_what_the_run_saw(yard: Yard) -> None:
    first, second, third = (yard.tree({"a": str(number)}) for number in range(3))
    await yard.shell(
        first, "mkdir -p d/e gone replaced kept; for f in d/e/x d/y gone/z replaced/old kept/k f; do echo 1 > $f; done"
    )
    yard.caches.promote(first)
    changes = (
        "rm -r gone replaced f; mkdir replaced f; echo 2 > replaced/new; echo 2 > f/now-a-folder; rm d/e/x; "
        "echo 22 > d/y; ln d/y d/hard; ln -s nowhere d/link; chmod 700 kept; touch -d 2001-02-03 kept/k d/hard; "
    )
    look = "find . -printf '%p %y %m %n %s %l\\n' | sort; find . -type f -printf '%p %T@\\n' | sort"
    seen = await yard.shell(second, changes + look)
    assert "./replaced/new f" in seen
    assert "./replaced/old" not in seen
    yard.caches.promote(second)
    found = await yard.shell(third, look)
    assert _files(found) == _files(seen)
    slot = yard.folder / "state" / "slots" / "gate-1" / "cache" / "cargo"
    assert not [path for path in (slot / "base").rglob("*") if path.is_char_device()]


def _files(listing: str) -> list[str]:
    """Less the link counts and sizes of folders, which a filesystem chooses."""
    rows = [row.split(" ") for row in listing.splitlines()]
    return [" ".join(row[:3] if len(row) > 2 and row[1] == "d" else row) for row in rows]


async def test_a_base_that_was_being_merged_when_the_engine_died_is_thrown_away(yard: Yard) -> None:
    one = yard.tree({"a": "1"})
    await yard.shell(one, "echo built > artifact")
    yard.caches.promote(one)
    assert await yard.shell(one, "ls") == "artifact"
    (yard.folder / "state" / "slots" / "gate-1" / "cache" / "cargo" / "merging").touch()
    assert await yard.shell(one, "ls") == ""


async def test_runs_at_the_same_time_in_one_slot_have_a_layer_each_and_fewer_jobs(yard: Yard) -> None:
    tree = yard.tree({"a": "1"})
    async with yard.slots.lease("yard") as slot:
        slot.checkout(tree)
        first = yard.caches.prepare(slot, yard.folder / "s" / "one", SHELL, ())
        second = yard.caches.prepare(slot, yard.folder / "s" / "two", SHELL, ())
        cores = os.cpu_count() or 1
        assert first.layer != second.layer
        assert [given.env["CARGO_BUILD_JOBS"] for given in (first, second)] == [str(cores), str(max(1, cores // 2))]
        for given in (first, second):
            yard.caches.finished(given, tree, green=True)
        assert yard.caches.prepare(slot, yard.folder / "s" / "three", SHELL, ()).layer == first.layer


async def test_without_overlays_only_mains_own_trees_are_warm_and_the_rest_says_that_it_is_cold(tmp_path: Path) -> None:
    class Sealed(NoSandbox):
        def __init__(self) -> None:
            super().__init__()
            self.guarantees = {"fs_write": True}

    for sandbox, warm in ((Sealed(), True), (NoSandbox(), False)):
        folder = tmp_path / str(warm)
        folder.mkdir()
        yard = Yard(folder, sandbox)
        main, change = yard.tree({"a": "1"}), yard.tree({"a": "2"})
        yard.caches.promote(main)
        async with yard.slots.lease("yard") as slot:
            notes: list[str] = []
            for tree in (main, change, main):
                slot.checkout(tree)
                given = yard.caches.prepare(slot, folder / "runs" / "gate", SHELL, ())
                target = Path(given.env["CARGO_TARGET_DIR"])
                assert given.overlays == ()
                assert given.writable == (target,)
                notes.append(f"{given.note} {len(list(target.iterdir()))}".strip())
                (target / "artifact").touch()
                yard.caches.finished(given, tree, green=True)
                assert target.exists() == (not given.note)
            assert notes == (["0", f"{COLD} 0", "1"] if warm else [f"{COLD} 0"] * 3)


async def test_programs_that_keep_no_cache_get_nothing(yard: Yard) -> None:
    tree = yard.tree({"a": "1"})
    async with yard.slots.lease("yard") as slot:
        slot.checkout(tree)
        python = Program("python", Path("/usr/bin/python3"))
        assert yard.caches.prepare(slot, yard.folder, python, ("-m", "pytest")) == Prepared()
