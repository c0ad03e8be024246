"""What somebody with the user's rights can do to a journal, and how its signed head shows it."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.errors import JournalBroken, SwarmError
from engine.journal import Journal
from engine.journal.heads import Head, SignedHead, Trust, digest_of
from engine.journal.keeper import SIGN_AFTER_EVENTS, HeadKeeper
from engine.journal.rows import GENESIS, chain_hash
from engine.models.event import NewEvent
from gates.sign import KeySigner, open_keys

OpenJournal = Callable[..., Journal]
COLUMNS = ("seq", "at", "boot_id", "monotonic", "kind", "json", "prev", "hash")


class Clock:
    def now(self) -> float:
        return 1_700_000_000.25

    def monotonic(self) -> float:
        return 1.0


class Desk:
    """A journal, its key, and the copy of its head."""

    def __init__(self, path: Path, open_journal: OpenJournal, signer: KeySigner) -> None:
        self.path, self.copy, self.signer, self._open = path, path.with_name("journal.head"), signer, open_journal
        self.warnings: list[str] = []

    async def night(self, events: int = 10, *, snapshot: bool = False, epoch: int = 1) -> None:
        """One engine's life: it trusts what is there, writes, and stops in order."""
        journal = self._open()
        keeper = self.keeper(journal, epoch)
        assert await keeper.sign()
        await journal.append("engine_started", {"epoch": epoch, "heads": True})
        written = await journal.append_all([NewEvent("tick", {"n": n}) for n in range(events)])
        if snapshot:
            await journal.save_snapshot(written[-1].seq, b"state of %d" % written[-1].seq)
        await journal.append("engine_stopped")
        await keeper.close()
        journal.close()

    def keeper(self, journal: Journal, epoch: int = 1) -> HeadKeeper:
        trust = journal.trusted(self.copy, self.signer)
        return HeadKeeper(journal, self.signer, self.copy, trust, clock=Clock(), epoch=epoch, warn=self.warnings.append)

    def trusted(self, signer: KeySigner | None = None) -> Trust:
        """As the next start would."""
        journal = self._open()
        try:
            trust = journal.trusted(self.copy, signer or self.signer)
            assert journal.verify_chain(0, trust.start) is None
            return trust
        finally:
            journal.close()

    def sql(self, *statements: str) -> None:
        connection = sqlite3.connect(self.path, isolation_level=None)
        for statement in statements:
            connection.execute(statement)
        connection.close()

    def chain_anew(self) -> None:
        """Give every row the hash that its contents have: what a careful forger does."""
        connection = sqlite3.connect(self.path, isolation_level=None)
        prev = GENESIS
        for seq, at, boot, monotonic, kind, body in connection.execute(
            "SELECT seq, at, boot_id, monotonic, kind, json FROM events ORDER BY seq"
        ).fetchall():
            fresh = chain_hash(prev, seq, at, boot.encode(), monotonic, kind.encode(), body.encode())
            connection.execute("UPDATE events SET prev = ?, hash = ? WHERE seq = ?", (prev, fresh, seq))
            prev = fresh
        connection.close()


@pytest.fixture
def signer(tmp_path: Path) -> KeySigner:
    return open_keys(tmp_path / "keys")


@pytest.fixture
def desk(path: Path, open_journal: OpenJournal, signer: KeySigner) -> Desk:
    return Desk(path, open_journal, signer)


async def test_an_untouched_journal_is_trusted_to_its_last_event(desk: Desk) -> None:
    await desk.night()
    await desk.night(epoch=2)
    trust = desk.trusted()
    assert trust.head is not None
    assert (trust.head.seq, trust.head.epoch, trust.behind, desk.warnings) == (24, 2, False, [])
    await desk.night()  # and goes on


@pytest.mark.parametrize(
    ("tampering", "event"),
    [
        *((f"UPDATE events SET {column} = {column} + 1 WHERE seq = 6", 6) for column in ("at", "monotonic")),
        *((f"UPDATE events SET {column} = {column} || ' ' WHERE seq = 6", 6) for column in ("boot_id", "kind", "json")),
        *(
            (f"UPDATE events SET {column} = CAST(substr({column}, 1, 31) || x'00' AS BLOB) WHERE seq = 6", 6)
            for column in ("prev", "hash")
        ),
        ("UPDATE events SET seq = 600 WHERE seq = 6", 6),
        ("UPDATE events SET seq = -6 WHERE seq = 6", -6),
        ("UPDATE events SET at = 'noon' WHERE seq = 6", 6),
        ("UPDATE events SET boot_id = x'ff' WHERE seq = 6", 6),
        ("DELETE FROM events WHERE seq = 6", 6),
        ("DELETE FROM events WHERE seq = 1", 1),
        ("INSERT INTO events SELECT 13, at, boot_id, monotonic, kind, json, hash, hash FROM events WHERE seq = 12", 13),
    ],
)
async def test_a_changed_row_is_named(desk: Desk, tampering: str, event: int) -> None:
    await desk.night()
    desk.trusted()
    desk.sql(tampering)
    with pytest.raises(JournalBroken) as broken:
        desk.trusted()
    assert broken.value.event == event


@pytest.mark.parametrize("column", COLUMNS)
async def test_a_flipped_byte_in_any_column_is_a_break(desk: Desk, column: str) -> None:
    """Byte by byte in the stored value, whatever its type."""
    await desk.night()
    connection = sqlite3.connect(desk.path, isolation_level=None)
    (value,) = connection.execute(f"SELECT {column} FROM events WHERE seq = 7").fetchone()
    before = connection.execute("SELECT * FROM events WHERE seq = 7").fetchone()
    connection.close()
    flipped: Any
    if isinstance(value, int):
        flipped = value ^ 64
    elif isinstance(value, float):
        flipped = float.fromhex((value * (1 + 2**-52)).hex())
    elif isinstance(value, str):
        flipped = value[:3] + chr(ord(value[3]) ^ 1) + value[4:]
    else:
        flipped = value[:31] + bytes([value[31] ^ 1])
    assert flipped != value
    for content, breaks in ((flipped, True), (value, False)):
        connection = sqlite3.connect(desk.path, isolation_level=None)
        row = dict(zip(COLUMNS, before, strict=True)) | {column: content}
        connection.execute("DELETE FROM events WHERE seq IN (7, ?)", (content if column == "seq" else 7,))
        connection.execute(f"INSERT INTO events ({', '.join(row)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*row.values(),))
        connection.close()
        if breaks:
            with pytest.raises(JournalBroken):
                desk.trusted()
        if column == "seq":
            desk.sql(f"DELETE FROM events WHERE seq = {flipped}")
    desk.trusted()  # the control: with the old value back, all is well


async def test_a_chain_made_anew_is_not_the_one_that_was_signed(desk: Desk) -> None:
    await desk.night()
    desk.chain_anew()
    desk.trusted()  # the control: the same contents give the same chain
    desk.sql("UPDATE events SET json = replace(json, '\"n\":5', '\"n\":6') WHERE seq = 7")
    desk.chain_anew()
    with pytest.raises(JournalBroken, match="event 12 is not the one that was signed"):
        desk.trusted()


async def test_an_end_cut_off_is_noticed(desk: Desk) -> None:
    await desk.night()
    desk.sql("DELETE FROM events WHERE seq > 9")
    with pytest.raises(JournalBroken, match="it ends at event 9, but event 12 was signed") as broken:
        desk.trusted()
    assert broken.value.event == 10


async def test_an_older_copy_of_the_journal_is_noticed(desk: Desk, tmp_path: Path) -> None:
    await desk.night()
    shutil.copy2(desk.path, tmp_path / "older.db")
    await desk.night(epoch=2)
    shutil.copy2(desk.path, tmp_path / "newer.db")
    shutil.copy2(tmp_path / "older.db", desk.path)
    with pytest.raises(JournalBroken, match="an older copy of it was put back"):
        desk.trusted()
    shutil.copy2(tmp_path / "newer.db", desk.path)
    desk.trusted()


async def test_an_older_copy_of_the_head_is_noticed(desk: Desk, tmp_path: Path) -> None:
    await desk.night()
    shutil.copy2(desk.copy, tmp_path / "older")
    await desk.night(epoch=2)
    shutil.copy2(tmp_path / "older", desk.copy)
    with pytest.raises(JournalBroken, match="beside the keys is another one"):
        desk.trusted()


async def test_an_empty_journal_in_its_place_is_noticed(desk: Desk) -> None:
    await desk.night()
    for rest in ("", "-wal", "-shm"):
        desk.path.with_name(desk.path.name + rest).unlink(missing_ok=True)
    with pytest.raises(JournalBroken, match="its signed head is gone"):
        desk.trusted()


@pytest.mark.parametrize("kept", ["journal", "copy", "neither"])
async def test_a_head_that_was_deleted_is_missed(desk: Desk, kept: str) -> None:
    await desk.night()
    if kept != "journal":
        desk.sql("DELETE FROM heads")
    if kept != "copy":
        desk.copy.unlink()
    with pytest.raises(JournalBroken, match="gone"):
        desk.trusted()


async def test_a_table_of_heads_that_was_dropped_is_missed(desk: Desk) -> None:
    await desk.night()
    desk.sql("DROP TABLE heads")
    desk.copy.unlink()
    with pytest.raises(JournalBroken, match="gone"):
        desk.trusted()


async def test_a_head_by_another_key_is_refused(desk: Desk, tmp_path: Path) -> None:
    """Cut off, chained anew, and signed by somebody else: everything that can be made without our key."""
    await desk.night()
    other = open_keys(tmp_path / "other")
    desk.sql("DELETE FROM events WHERE seq > 9")
    connection = sqlite3.connect(desk.path)
    (hashed,) = connection.execute("SELECT hash FROM events WHERE seq = 9").fetchone()
    connection.close()
    payload = Head(9, 9, hashed, 1, 0.0, {}).payload()
    forged = SignedHead(payload, other.sign(payload))
    desk.sql("DELETE FROM heads", f"INSERT INTO heads VALUES (9, '{payload.decode()}', x'{forged.signature.hex()}')")
    desk.copy.write_bytes(forged.as_file())
    with pytest.raises(JournalBroken, match="was not signed with this engine's key"):
        desk.trusted()
    desk.trusted(other)  # the control: it is only the key


async def test_a_report_signature_is_no_signature_of_a_head(desk: Desk) -> None:
    payload = Head(1, 0, GENESIS, 1, 0.0, {}).payload()
    signature = desk.signer.sign(payload)
    assert desk.signer.verify(payload, signature)
    assert not desk.signer.verify(payload, desk.signer.private.sign(payload))
    assert not desk.signer.verify(payload + b" ", signature)
    assert not desk.signer.verify(payload, signature[:-1])


@pytest.mark.parametrize(
    "content", [b"", b"{}\n\n", b"\xff\n", b"[" * 100_000, b'{"_type":1}\nAAAA\n', b"a\nb\nc\nd\n"]
)
async def test_a_copy_that_makes_no_sense_is_a_break(desk: Desk, content: bytes) -> None:
    await desk.night()
    desk.copy.write_bytes(content)
    with pytest.raises(JournalBroken, match=r"journal\.head"):
        desk.trusted()


async def test_a_snapshot_that_no_head_vouches_for_is_not_used(desk: Desk) -> None:
    await desk.night(snapshot=True)
    assert desk.trusted().snapshot == (11, b"state of 11")
    forged = "x'" + b"forged".hex() + "'"
    digest = f"x'{digest_of(b'forged').hex()}'"
    desk.sql(f"INSERT INTO snapshots VALUES (12, {digest}, {forged})")
    assert desk.trusted().snapshot == (11, b"state of 11")
    desk.sql("DELETE FROM snapshots WHERE seq = 11", "UPDATE snapshots SET seq = 11")
    assert desk.trusted().snapshot is None


async def test_a_snapshot_is_vouched_for_by_later_engines_too(desk: Desk) -> None:
    await desk.night(snapshot=True)
    await desk.night(epoch=2)
    assert desk.trusted().snapshot == (11, b"state of 11")


async def test_what_lies_before_the_snapshot_is_found_by_the_longer_look(desk: Desk) -> None:
    await desk.night(snapshot=True)
    desk.sql("UPDATE events SET at = at + 1 WHERE seq = 3")
    journal = desk._open()
    trust = journal.trusted(desk.copy, desk.signer)
    assert trust.start == 11
    assert journal.verify_chain(0, trust.start) == 3
    assert journal.verify_chain(0, trust.start, lambda: False) is None


@pytest.mark.parametrize("made", ["TRIGGER t AFTER INSERT ON events BEGIN SELECT 1; END", "VIEW v AS SELECT 1"])
async def test_what_could_make_queries_lie_is_refused(desk: Desk, made: str) -> None:
    await desk.night()
    desk.sql(f"CREATE {made}")
    with pytest.raises(JournalBroken, match="which no engine made"):
        desk.trusted()


async def test_a_journal_from_before_there_were_heads_is_trusted_and_signed_from_then_on(
    desk: Desk, open_journal: OpenJournal
) -> None:
    journal = open_journal()
    await journal.append("engine_started", {"epoch": 1})
    await journal.save_snapshot(1, b"old")
    journal.close()
    desk.sql("DROP TABLE heads")
    assert desk.trusted().snapshot == (1, b"old")
    await desk.night(epoch=2)
    head = desk.trusted().head
    assert head is not None
    assert set(head.snapshots) == {1}


async def test_a_crash_anywhere_between_events_and_signing_is_no_break(desk: Desk) -> None:
    """kill -9 stops at any await: events without a head, a head without its copy, and both again and again."""
    await desk.night()
    for nth in range(12):
        journal = desk._open()
        keeper = desk.keeper(journal, nth + 2)
        await keeper.sign()
        for kind in ("engine_started", "tick")[: nth % 4]:
            await journal.append(kind, {"heads": True})
        if nth % 4 == 3:
            await _sign_and_lose_the_copy(keeper, desk.copy)
        journal.close()
        desk.trusted()
    assert desk.warnings == []


async def _sign_and_lose_the_copy(keeper: HeadKeeper, copy: Path) -> None:
    before = copy.read_bytes()
    assert await keeper.sign()
    copy.write_bytes(before)  # as if the process had ended before it was written


async def test_the_first_head_ever_may_lack_its_copy(desk: Desk) -> None:
    journal = desk._open()
    assert await desk.keeper(journal).sign()
    journal.close()
    desk.copy.unlink()
    assert desk.trusted().behind
    await desk.night()


async def test_a_landing_is_signed_at_once_and_much_is_signed_soon(desk: Desk) -> None:
    journal = Journal(desk.path, clock=Clock(), ballast_bytes=0)
    journal.open()
    keeper = desk.keeper(journal)
    journal.start(asyncio.get_running_loop(), keeper.saw)

    async def signed_seq(at_least: int) -> int:
        for _ in range(1000):
            if (seq := Head.of(SignedHead.of_file(desk.copy.read_bytes()).payload).seq) >= at_least:
                return seq
            await asyncio.sleep(0.01)
        raise AssertionError("it was not signed")

    assert await keeper.sign()
    await journal.append("tick")
    await asyncio.sleep(0.05)
    assert await signed_seq(0) == 0  # a few events wait for the timer
    landed = await journal.append("change_landed")
    await signed_seq(landed.seq)
    many = await journal.append_all([NewEvent("tick")] * SIGN_AFTER_EVENTS)
    await signed_seq(many[-1].seq)
    await keeper.leave()
    journal.close()


async def test_a_signer_that_fails_is_said_and_tried_again(desk: Desk, open_journal: OpenJournal) -> None:
    class Weak:
        works = False

        def sign(self, head: bytes) -> bytes:
            if not self.works:
                raise SwarmError("no key today")
            return desk.signer.sign(head)

        def verify(self, head: bytes, signature: bytes) -> bool:
            return desk.signer.verify(head, signature)

        def close(self) -> None: ...

    journal = open_journal()
    weak = Weak()
    trust = journal.trusted(desk.copy, weak)
    keeper = HeadKeeper(journal, weak, desk.copy, trust, clock=Clock(), epoch=1, warn=desk.warnings.append)
    assert not await keeper.sign()
    assert "no key today" in desk.warnings[0]
    weak.works = True
    await journal.append("tick")
    await keeper.close()
    journal.close()
    head = desk.trusted().head
    assert head is not None
    assert head.seq == 1


async def test_a_copy_that_cannot_be_written_never_falls_two_behind(desk: Desk, open_journal: OpenJournal) -> None:
    journal = open_journal()
    keeper = desk.keeper(journal)
    assert await keeper.sign()
    desk.copy.unlink()
    desk.copy.mkdir()  # nothing can be put there
    for _ in range(3):
        await journal.append("tick")
        assert not await keeper.sign()
    assert journal._read().newest_head() is not None
    desk.copy.rmdir()
    assert await keeper.sign()
    await keeper.leave()
    journal.close()
    head = desk.trusted().head
    assert head is not None
    assert (head.nth, head.seq) == (3, 3)


def test_a_head_has_one_spelling() -> None:
    head = Head(3, 12, bytes(range(32)), 2, 1.5, {5: bytes(32), 11: b"\1" * 32})
    assert Head.of(head.payload()) == head
    for other in (head.payload() + b" ", head.payload().replace(b'"nth":3', b'"nth":3.0'), b"null", b"[]", b"{}"):
        with pytest.raises(ValueError):
            Head.of(other)
