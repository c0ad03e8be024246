"""The journal's signed head: what shows that events were cut off, exchanged, or chained anew.

The chain alone says that each event follows from the one before. A head says, with the engine's signature, which event
was there and with which hash, and which snapshots are the engine's. It lies in the journal itself and, as a copy,
beside the keys; `nth` counts the signings, so that an older copy of either is seen. An older copy of both together is
not: that takes a witness elsewhere, such as the commits of main.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import JournalBroken
from engine.journal.reader import Reads
from engine.journal.rows import GENESIS
from engine.ports import HeadSigner

HEAD_TYPE = "https://swarm-tui.dev/journal-head/v1"


@dataclass(frozen=True)
class Head:
    """The event `seq` has this `hash`. nth: of all heads, from 1. at: UTC seconds. snapshots: digest by seq."""

    nth: int
    seq: int
    hash: bytes
    epoch: int
    at: float
    snapshots: Mapping[int, bytes]

    def payload(self) -> bytes:
        """The bytes that are signed: JSON in one spelling."""
        fields = {
            "_type": HEAD_TYPE,
            "at": self.at,
            "epoch": self.epoch,
            "hash": self.hash.hex(),
            "nth": self.nth,
            "seq": self.seq,
            "snapshots": {str(seq): digest.hex() for seq, digest in sorted(self.snapshots.items())},
        }
        return json.dumps(fields, separators=(",", ":"), sort_keys=True, allow_nan=False).encode("ascii")

    @classmethod
    def of(cls, payload: bytes) -> Head:
        """The head in signed bytes. Raises ValueError."""
        try:
            fields = json.loads(payload)
            snapshots = {int(seq): bytes.fromhex(digest) for seq, digest in fields["snapshots"].items()}
            hashed = bytes.fromhex(fields["hash"])
            head = cls(int(fields["nth"]), int(fields["seq"]), hashed, int(fields["epoch"]), fields["at"], snapshots)
            if head.payload() != payload:
                raise ValueError("not in its one spelling")
        except (KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise ValueError(f"not a head: {error!r}") from error
        return head


@dataclass(frozen=True)
class SignedHead:
    """A head as it was signed."""

    payload: bytes
    signature: bytes

    def as_file(self) -> bytes:
        """The copy beside the keys: the payload, and the signature in base64, a line each."""
        return self.payload + b"\n" + base64.b64encode(self.signature) + b"\n"

    @classmethod
    def of_file(cls, raw: bytes) -> SignedHead:
        """Raises ValueError."""
        try:
            payload, signature, rest = raw.split(b"\n")
            if rest:
                raise ValueError("there is more than a head")
            return cls(payload, base64.b64decode(signature, validate=True))
        except binascii.Error as error:
            raise ValueError(str(error)) from error


@dataclass(frozen=True)
class Trust:
    """What may be believed of a journal. signed: its newest head; None: it is older than signed heads are.

    start: the chain was followed from here to its end; what lies before is still to be looked at. snapshot: the newest
    one that the head vouches for, as (seq, state). behind: the copy beside the keys lacks the newest head.
    """

    signed: SignedHead | None
    head: Head | None
    start: int
    snapshot: tuple[int, bytes] | None
    behind: bool


def trusted(reads: Reads, copy: Path, signer: HeadSigner) -> Trust:
    """Compare journal, head and copy, and follow the chain behind the newest snapshot. Raises JournalBroken; what
    `signer` and `reads` raise."""
    if changed := reads.foreign():
        raise JournalBroken(f"it has the {changed}, which no engine made")
    own, beside = _own(reads, signer), _copy(copy, signer)
    if own is None:
        if beside is not None:
            raise JournalBroken("its signed head is gone, or another or older journal was put in its place")
        if reads.had_heads():
            raise JournalBroken("its signed head is gone, here and beside the keys")
        snapshot = reads.newest_snapshot()
        return _followed(reads, None, None, snapshot, behind=False)
    signed, head = own
    _compare(head, beside[1] if beside is not None else None)
    last = reads.last_seq()
    if head.seq > last:
        raise JournalBroken(f"it ends at event {last}, but event {head.seq} was signed: its end was cut off", last + 1)
    if head.seq and reads.hash_of(head.seq) != head.hash:
        raise JournalBroken(f"event {head.seq} is not the one that was signed", head.seq)
    if not head.seq and head.hash != GENESIS:
        raise JournalBroken("its signed head is of another journal")
    behind = beside is None or beside[1].nth < head.nth
    return _followed(reads, signed, head, reads.newest_snapshot(head.snapshots), behind=behind)


def _own(reads: Reads, signer: HeadSigner) -> tuple[SignedHead, Head] | None:
    row = reads.newest_head()
    return None if row is None else _opened(SignedHead(*row), signer, "its signed head")


def _copy(path: Path, signer: HeadSigner) -> tuple[SignedHead, Head] | None:
    whose = f"the copy of its signed head, {path},"
    try:
        signed = SignedHead.of_file(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise JournalBroken(f"{whose} cannot be read ({error})") from error
    return _opened(signed, signer, whose)


def _opened(signed: SignedHead, signer: HeadSigner, whose: str) -> tuple[SignedHead, Head]:
    if not signer.verify(signed.payload, signed.signature):
        raise JournalBroken(f"{whose} was not signed with this engine's key")
    try:
        return signed, Head.of(signed.payload)
    except ValueError as error:
        raise JournalBroken(f"{whose} makes no sense ({error})") from error


def _compare(head: Head, beside: Head | None) -> None:
    """Both are written one after the other, the journal's first: a crash leaves the copy one behind, never more."""
    if beside is None:
        if head.nth > 1:
            raise JournalBroken("the copy of its signed head beside the keys is gone")
    elif beside.nth > head.nth:
        raise JournalBroken(
            f"an older copy of it was put back: its signed head is number {head.nth}, there was a number {beside.nth}"
        )
    elif beside.nth < head.nth - 1 or (beside.nth == head.nth and beside != head):
        raise JournalBroken("the copy of its signed head beside the keys is another one")


def _followed(
    reads: Reads, signed: SignedHead | None, head: Head | None, snapshot: tuple[int, bytes] | None, *, behind: bool
) -> Trust:
    start = snapshot[0] if snapshot is not None else 0
    refuse_break(reads.first_break(start))
    return Trust(signed, head, start, snapshot, behind)


def refuse_break(event: int | None) -> None:
    """Raises JournalBroken when there is such an event."""
    if event is not None:
        raise JournalBroken(f"event {event} was changed, removed or put in", event)


def digest_of(state: bytes) -> bytes:
    """What a head says of a snapshot."""
    return hashlib.sha256(state).digest()
