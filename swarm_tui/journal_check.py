"""`swarm events --verify`: whether the journal is what the engine signed, looked at from outside."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from engine.errors import JournalBroken
from engine.folders import StateFolder
from engine.journal.heads import Trust, refuse_break, trusted
from engine.journal.reader import Reads
from engine.lock import InstanceLock
from engine.text.sanitise import sanitise_line
from gates.sign import VerifyKey
from swarm_tui.place import find_folders

_TRIES = 3
_PAUSE_S = 0.2


@dataclass(frozen=True)
class PublicKey:
    """Verifies heads with the public key; signs nothing. Implements `engine.ports.HeadSigner`."""

    key: VerifyKey

    def sign(self, head: bytes) -> bytes:
        raise AssertionError("only an engine signs")

    def verify(self, head: bytes, signature: bytes) -> bool:
        return self.key.signed_head(head, signature)

    def close(self) -> None:
        """It holds nothing."""


def print_chain(repo: Path | None, state: Path | None, *, as_json: bool) -> int:
    """Follow the whole chain and say what was found; 0 when all is well, 1 when it is broken. Raises UserError."""
    folders = find_folders(repo, state)
    reads = Reads(folders.journal)
    trust, reason, event = None, "", 0
    try:
        trust = _whole(reads, folders)
    except JournalBroken as broken:
        reason, event = str(broken), broken.event
    finally:
        last = reads.last_seq()
        reads.close()
    signed = trust.head.seq if trust is not None and trust.head is not None else 0
    if as_json:
        found = {"ok": not reason, "events": last, "signed": signed, "event": event, "reason": reason}
        sys.stdout.write(json.dumps(found) + "\n")
    elif reason:
        sys.stdout.write(f"broken: {sanitise_line(reason)}\n")
    else:
        later = f", {last - signed} since then" if last > signed else ""
        head = f"signed up to event {signed}{later}" if signed else "no signed head yet"
        sys.stdout.write(f"whole: {last} events, each follows from the one before; {head}\n")
    return 1 if reason else 0


def _whole(reads: Reads, folders: StateFolder) -> Trust:
    """Raises JournalBroken. An engine that signs between our two looks at head and copy is waited for."""
    signer = PublicKey(VerifyKey.load(folders.keys / "public.pem"))
    for nth in range(_TRIES):
        try:
            trust = trusted(reads, folders.head, signer)
            refuse_break(reads.first_break(0, trust.start) if trust.start else None)
            return trust
        except JournalBroken:
            if nth == _TRIES - 1 or InstanceLock(folders.lock).holder() is None:
                raise
            time.sleep(_PAUSE_S)
    raise AssertionError("unreachable")
