"""Slots: leases, exact checkouts, and noticing what a gate did to the files."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from engine.git.hub import Hub
from engine.git.slots import Slots

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX files")

HOLDER = """
import asyncio, sys
from pathlib import Path
from engine.git.hub import Hub
from engine.git.slots import Slots
async def main():
    async with Slots(Hub(Path(sys.argv[1])), Path(sys.argv[2]), 2).lease(sys.argv[3]) as slot:
        slot.checkout(sys.argv[4])
        print(slot.number, flush=True)
        sys.stdin.readline()
asyncio.run(main())
"""


@pytest.fixture
def slots(hub: Hub, state: Path) -> Slots:
    return Slots(hub, state / "slots", 2)


def _files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()}


def _hold(hub: Hub, state: Path, key: str) -> subprocess.Popen[bytes]:
    """Another process that has a slot until its input ends; it has printed the slot's number."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(hub.state), str(state / "slots"), key, hub.main().tree],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    assert holder.stdout is not None
    assert holder.stdout.readline().strip() in (b"1", b"2")
    return holder


async def test_a_slot_holds_exactly_the_tree_and_its_cache_stays(slots: Slots, hub: Hub, land: Any) -> None:
    first = hub.main().tree
    land({"src/c.txt": "c\n", "src/b.txt": None})
    async with slots.lease("a") as slot:
        slot.checkout(first)
        (slot.cache / "warm").write_text("w", encoding="utf-8")
        (slot.path / "target").mkdir()
        (slot.path / "target" / "ignored.o").write_text("o", encoding="utf-8")
        (slot.path / "a.txt").write_text("edited", encoding="utf-8")
        kept = (slot.path / ".gitignore").stat().st_mtime_ns
        slot.checkout(hub.main().tree)
        assert _files(slot.path) == {".gitignore", "a.txt", "src/c.txt"}
        assert (slot.path / "a.txt").read_bytes() == b"a\n"
        assert (slot.path / ".gitignore").stat().st_mtime_ns == kept
        assert (slot.cache / "warm").exists()
        assert slot.path not in slot.cache.parents
        assert slot.unchanged() == []
    assert hub.main().tree != first


async def test_the_hubs_own_head_does_not_move(slots: Slots, hub: Hub) -> None:
    head = (hub.path / "HEAD").read_bytes()
    async with slots.lease("a") as slot:
        slot.checkout(hub.main().tree)
    assert (hub.path / "HEAD").read_bytes() == head
    assert not (hub.path / "index").exists()


async def test_two_leases_at_a_time_and_the_third_waits(slots: Slots, hub: Hub) -> None:
    async with slots.lease("a") as one:
        async with slots.lease("b") as two:
            assert {one.number, two.number} == {1, 2}
            third = asyncio.create_task(slots.lease("c").__aenter__())
            done, _ = await asyncio.wait([third], timeout=0.1)
            assert not done
        slot = await asyncio.wait_for(third, 5)
        assert slot.number == two.number


async def test_waiting_can_be_cancelled_and_a_cancelled_holder_gives_back(slots: Slots) -> None:
    async def hold(started: asyncio.Event) -> None:
        async with slots.lease("x"):
            started.set()
            await asyncio.Event().wait()

    events = [asyncio.Event(), asyncio.Event()]
    holders = [asyncio.create_task(hold(event)) for event in events]
    await asyncio.gather(*(event.wait() for event in events))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1), slots.lease("y"):
            raise AssertionError("there was no free slot")
    for holder in holders:
        holder.cancel()
    await asyncio.gather(*holders, return_exceptions=True)
    async with slots.lease("a") as one, slots.lease("b") as two:
        assert one.number != two.number


async def test_another_process_takes_another_slot(slots: Slots, hub: Hub, state: Path) -> None:
    holder = _hold(hub, state, "theirs")
    try:
        async with slots.lease("ours") as slot:
            assert slot.number == 2
    finally:
        holder.communicate()


async def test_the_slot_of_a_dead_holder_goes_to_its_key_and_to_others_last(
    slots: Slots, hub: Hub, state: Path
) -> None:
    holder = _hold(hub, state, "gate-7")
    holder.kill()
    holder.communicate()
    async with slots.lease("other") as other:
        assert (other.number, other.adopted, other.tree) == (2, False, None)
        async with slots.lease("gate-7") as again:
            assert (again.number, again.adopted, again.tree) == (1, True, hub.main().tree)
            assert again.unchanged() == []
            (again.path / "a.txt").write_text("x", encoding="utf-8")
            assert again.unchanged() == ["a.txt"]
    async with slots.lease("gate-7") as given_back:
        assert not given_back.adopted
        with pytest.raises(RuntimeError):
            given_back.unchanged()


async def test_a_dead_holders_slot_is_used_by_others_when_there_is_no_other(hub: Hub, state: Path) -> None:
    holder = _hold(hub, state, "gate-7")
    holder.kill()
    holder.communicate()
    async with Slots(hub, state / "slots", 1).lease("other") as slot:
        assert (slot.number, slot.adopted) == (1, False)


@posix
async def test_hostile_leftovers_are_swept(slots: Slots, hub: Hub, tmp_path: Path) -> None:
    assert sys.platform != "win32"
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x", encoding="utf-8")
    tree = hub.main().tree
    async with slots.lease("a") as slot:
        slot.checkout(tree)
        root = slot.path
        os.mkfifo(root / "src" / ".gitattributes")
        (root / "a.txt").unlink()
        os.mkfifo(root / "a.txt")
        (root / "closed").mkdir()
        (root / "closed" / "x").write_text("x", encoding="utf-8")
        (root / "closed").chmod(0)
        (root / "link").symlink_to(outside)
        (root / ".git").mkdir()
        (root / ".git" / "config").write_text("[core]\n\tfsmonitor = false\n", encoding="utf-8")
        shutil.rmtree(root / "src")
        (root / "src").symlink_to(outside)
        (root / ".gitignore").unlink()
        (root / ".gitignore").mkdir()
        assert slot.unchanged() == [".gitignore", "a.txt", "src/b.txt"]
        slot.checkout(tree)
        assert _files(root) == {".gitignore", "a.txt", "src/b.txt"}
        assert slot.unchanged() == []
    assert (outside / "precious").exists()
    assert not (outside / "b.txt").exists()


@posix
async def test_a_change_that_hides_its_time_and_size_is_seen_and_undone(slots: Slots, hub: Hub) -> None:
    tree = hub.main().tree
    async with slots.lease("a") as slot:
        slot.checkout(tree)
        file = slot.path / "a.txt"
        before = file.stat()
        file.write_bytes(b"Z\n")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert slot.unchanged() == ["a.txt"]
        file.chmod(0o755)
        slot.checkout(tree)
        assert file.read_bytes() == b"a\n"
        assert not file.stat().st_mode & 0o111
        file.chmod(0o755)
        assert slot.unchanged() == ["a.txt"]
        slot.checkout(tree)
        assert slot.unchanged() == []


@posix
async def test_a_hard_link_kept_outside_cannot_change_a_later_checkout(slots: Slots, hub: Hub) -> None:
    async with slots.lease("a") as slot:
        slot.checkout(hub.main().tree)
        os.link(slot.path / "a.txt", slot.cache / "handle")
        slot.checkout(hub.main().tree)
        (slot.cache / "handle").write_text("evil", encoding="utf-8")
        assert slot.unchanged() == []
        assert (slot.path / "a.txt").read_bytes() == b"a\n"


async def test_touching_a_file_is_no_change(slots: Slots, hub: Hub) -> None:
    async with slots.lease("a") as slot:
        slot.checkout(hub.main().tree)
        os.utime(slot.path / "a.txt", (1, 1))
        (slot.path / "new").write_text("not in the tree", encoding="utf-8")
        assert slot.unchanged() == []


async def test_a_lock_or_a_damaged_index_of_a_killed_git_does_not_wedge_a_slot(
    slots: Slots, hub: Hub, state: Path
) -> None:
    async with slots.lease("a") as slot:
        slot.checkout(hub.main().tree)
    folder = state / "slots" / "gate-1"
    (folder / "index.lock").write_bytes(b"")
    (folder / "index").write_bytes(b"damage")
    (folder / "lease.json").write_bytes(b"{")
    async with slots.lease("a") as slot:
        slot.checkout(hub.main().tree)
        assert slot.unchanged() == []


async def test_line_endings_are_as_git_writes_them_and_phantoms_are_no_change(tmp_path: Path, user: Any) -> None:
    (user.root / "raw").write_bytes(b"one\r\ntwo\r\n")
    raw = user("hash-object", "-w", "--no-filters", "raw")
    (user.root / "raw").unlink()
    user.write(**{".gitattributes": "*.txt text\n*.bat text eol=crlf\n", "run.bat": "a\nb\n"})
    user("add", "-A")
    user("update-index", "--add", "--cacheinfo", f"100644,{raw},phantom.txt")
    user("commit", "-q", "-m", "endings")
    hub = Hub.create_or_open(tmp_path / "s", user.root, "main")
    async with Slots(hub, tmp_path / "s" / "slots", 1).lease("a") as slot:
        for _ in range(2):
            slot.checkout(hub.main().tree)
            assert (slot.path / "phantom.txt").read_bytes() == b"one\r\ntwo\r\n"
            assert (slot.path / "run.bat").read_bytes() == b"a\r\nb\r\n"
            os.utime(slot.path / "phantom.txt", (1, 1))
            os.utime(slot.path / "run.bat", (1, 1))
            assert slot.unchanged() == []
        # git calls this the same file, we do not
        (slot.path / "run.bat").write_bytes(b"a\nb\n")
        assert slot.unchanged() == ["run.bat"]
        slot.checkout(hub.main().tree)
        assert (slot.path / "run.bat").read_bytes() == b"a\r\nb\r\n"


async def test_links_and_gitlinks_of_a_tree(slots: Slots, hub: Hub) -> None:
    blob = hub.git.run("hash-object", "-w", "--stdin", stdin=b"a.txt").line
    rows = f"120000 blob {blob}\tlink\x00160000 commit {hub.main().commit}\tsub\x00100755 blob {blob}\trun\x00"
    tree = hub.git.run("mktree", "-z", stdin=rows.encode()).line
    async with slots.lease("a") as slot:
        for _ in range(2):
            slot.checkout(tree)
            assert slot.unchanged() == []
            assert list((slot.path / "sub").iterdir()) == []
            (slot.path / "sub" / "x").write_text("x", encoding="utf-8")
        if sys.platform != "win32":
            assert (slot.path / "link").readlink() == Path("a.txt")
            (slot.path / "link").unlink()
            (slot.path / "link").symlink_to("elsewhere")
            assert slot.unchanged() == ["link"]
            slot.checkout(tree)
            assert (slot.path / "link").readlink() == Path("a.txt")


@posix
async def test_odd_names(slots: Slots, hub: Hub) -> None:
    blob = hub.git.run("hash-object", "-w", "--stdin", stdin=b"x").line
    names = (b"\xff\xfe", b"new\nline", b"-n", b" ", b"*")
    rows = b"".join(f"100644 blob {blob}\t".encode() + name + b"\0" for name in sorted(names))
    tree = hub.git.run("mktree", "-z", stdin=rows).line
    async with slots.lease("a") as slot:
        slot.checkout(tree)
        assert {os.fsencode(entry.name) for entry in slot.path.iterdir()} == set(names)
        Path(os.fsdecode(os.fsencode(slot.path) + b"/\xff\xfe")).write_bytes(b"y")
        assert slot.unchanged() == [os.fsdecode(b"\xff\xfe")]
        slot.checkout(tree)
        assert slot.unchanged() == []


async def test_b01_nothing_planted_in_a_slot_runs(slots: Slots, hub: Hub, tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    async with slots.lease("a") as slot:
        slot.checkout(hub.main().tree)
        subprocess.run(["git", "init", "-q"], cwd=slot.path, check=True, capture_output=True)
        subprocess.run(["git", "config", "core.fsmonitor", f"touch {proof}"], cwd=slot.path, check=True)
        subprocess.run(["git", "status"], cwd=slot.path, check=False, capture_output=True)  # positive control
        assert proof.exists() or sys.platform == "win32"
        proof.unlink(missing_ok=True)
        assert slot.unchanged() == []
        slot.checkout(hub.main().tree)
        assert not proof.exists()


async def test_a_slot_that_holds_the_tree_asks_no_git(
    slots: Slots, hub: Hub, land: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = hub.main().tree
    async with slots.lease("a") as slot:
        slot.checkout(tree)
        await _pass_a_tick(slot.path)
        slot.checkout(tree)
        with monkeypatch.context() as patched:
            patched.setattr("engine.git.door.Git.run", _no_git)
            (slot.path / "litter").mkdir()
            (slot.path / "litter" / "x").touch()
            slot.checkout(tree)
            assert not (slot.path / "litter").exists()
            (slot.path / "a.txt").write_bytes(b"b\n")
            with pytest.raises(AssertionError, match="git was asked"):
                slot.checkout(tree)
        slot.checkout(tree)
        assert (slot.path / "a.txt").read_bytes() == b"a\n"


@posix
@pytest.mark.parametrize("how", ["content", "time", "mode", "link", "gone"])
async def test_a_file_that_was_touched_is_written_again_with_a_new_time(slots: Slots, hub: Hub, how: str) -> None:
    tree = hub.main().tree
    async with slots.lease("a") as slot:
        slot.checkout(tree)
        await _pass_a_tick(slot.path)
        slot.checkout(tree)
        file = slot.path / "a.txt"
        kept = (slot.path / ".gitignore").stat().st_mtime_ns
        before = file.stat()
        if how == "content":
            file.write_bytes(b"b\n")
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        elif how == "time":
            os.utime(file, (0, 0))
        elif how == "mode":
            file.chmod(0o755)
        else:
            file.unlink()
            if how == "link":
                os.link(slot.path / ".gitignore", file)
        slot.checkout(tree)
        now = file.stat()
        assert (file.read_bytes(), now.st_nlink, now.st_mode & 0o111) == (b"a\n", 1, 0)
        assert now.st_mtime_ns >= before.st_mtime_ns
        assert slot.unchanged() == []
        if how != "link":
            assert (slot.path / ".gitignore").stat().st_mtime_ns == kept


@posix
async def test_freshening_gives_touched_files_the_time_of_now_and_leaves_all_others(slots: Slots, hub: Hub) -> None:
    tree = hub.main().tree
    async with slots.lease("a") as slot:
        with pytest.raises(RuntimeError):
            slot.freshen()
        slot.checkout(tree)
        file, other = slot.path / "a.txt", slot.path / "src" / "b.txt"
        written, kept = file.stat().st_mtime_ns, other.stat().st_mtime_ns
        os.utime(file, (0, 0))
        slot.freshen()
        fresh = file.stat().st_mtime_ns
        assert fresh >= written
        assert other.stat().st_mtime_ns == kept
        slot.freshen()
        assert file.stat().st_mtime_ns == fresh
        assert slot.unchanged() == []
        file.unlink()
        file.symlink_to(other)
        slot.freshen()
        assert other.stat().st_mtime_ns == kept
        assert slot.unchanged() == ["a.txt"]


async def test_a_slot_that_cannot_be_noted_as_given_back_is_given_back(hub: Hub, state: Path) -> None:
    slots = Slots(hub, state / "slots", 1)
    in_the_way = state / "slots" / "gate-1" / "lease.json.new"
    with pytest.raises(OSError, match=r"lease\.json\.new"):
        async with slots.lease("a"):
            in_the_way.mkdir()
    in_the_way.rmdir()
    async with asyncio.timeout(10), slots.lease("b") as slot:
        assert slot.number == 1


def _no_git(*_: object, **__: object) -> None:
    raise AssertionError("git was asked")


async def _pass_a_tick(folder: Path) -> None:
    """Until what was written is old enough for its times to tell."""
    newest = max(path.lstat().st_ctime_ns for path in folder.rglob("*"))
    while time.time_ns() < newest + 150_000_000:  # noqa: ASYNC110  (only the clock can tell)
        await asyncio.sleep(0.01)
