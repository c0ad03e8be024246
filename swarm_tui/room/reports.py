"""What a signed report says, read back and checked, and the command with which anybody checks it again."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.artifacts import ArtifactStore
from engine.errors import SwarmError
from engine.folders import StateFolder, state_folder_for
from engine.models.report import VerificationReport
from engine.text.sanitise import sanitise_line


@dataclass(frozen=True)
class ReadReport:
    """`report` is None when the envelope is gone or not believed. `problem`: why, in one clean sentence."""

    digest: str
    report: VerificationReport | None = None
    problem: str = ""


def read_report(read: Callable[[str], bytes], public_key: Path, digest: str) -> ReadReport:
    """Read an envelope with `read` and check its signature. Blocks; never raises."""
    from gates.sign import VerifyKey  # cryptography is heavy, and only wanted here
    from gates.verify import verify_report

    try:
        envelope = read(digest)
    except (SwarmError, OSError) as error:
        return ReadReport(digest, problem=sanitise_line(str(error)))
    if not public_key.is_file():
        return ReadReport(digest, problem="there is no public key beside this journal")
    try:
        verified = verify_report(envelope, VerifyKey.load(public_key))
    except (SwarmError, OSError) as error:
        return ReadReport(digest, problem=sanitise_line(str(error)))
    return ReadReport(digest, verified.report, sanitise_line(" ".join(verified.problems)))


def verify_command(repository: Path, folders: StateFolder, digest: str, commit: str = "") -> str:
    """The command that proves a landed `commit`, or else checks the envelope `digest`; from any folder. "" for a digest
    that is none. Blocks for a look at the disk."""
    subject = commit
    if not subject:
        try:
            subject = str(ArtifactStore(folders.artifacts).path(digest))
        except SwarmError:
            return ""
    argv = ["swarm", "verify", subject, "--repo", str(repository)]
    try:
        usual = state_folder_for(repository).root
    except (SwarmError, OSError):
        usual = None
    if usual != folders.root:
        argv += ["--state", str(folders.root)]
    return command_line(argv)


def command_line(argv: Sequence[str]) -> str:
    """Words as one line for this system's shell."""
    return subprocess.list2cmdline(argv) if sys.platform == "win32" else shlex.join(argv)
