"""Checking reports: signature, subject, binding; and the commands with which a stranger checks them without us."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.artifacts import ArtifactStore
from engine.errors import SwarmError, UserError
from engine.git.hub import CommitInfo, Hub
from engine.models.report import VerificationReport
from gates.report import open_report
from gates.sign import PAYLOAD_TYPE, BadEnvelope, VerifyKey

REPORT_TRAILER = "Report"
BATCH_TRAILER = "Batch-Report"


@dataclass(frozen=True)
class Verified:
    """`report` is None when the envelope is not believed. `problems` are sentences; without any, everything holds."""

    report: VerificationReport | None
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass(frozen=True)
class VerifiedCommit:
    """What a commit's claim is worth.

    proved: its report is green and about its tree. batch: it landed with others, and the tip of that batch is proved.
    unproven: a person's commit, which claims nothing. false: it claims a report that does not hold.
    """

    commit: str
    subject: str
    status: Literal["proved", "batch", "unproven", "false"]
    digest: str = ""
    report: VerificationReport | None = None
    problems: tuple[str, ...] = ()


def verify_report(
    envelope: bytes, key: VerifyKey, *, tree: str | None = None, base: str | None = None, policy: str | None = None
) -> Verified:
    """Signature and form, and, for those that are given, that the report is about this tree, base tree and policy.

    Whether the report is green is not judged here: a red report can be perfectly valid.
    """
    try:
        report = open_report(envelope, key)
    except BadEnvelope as error:
        return Verified(None, (f"{error}.",))
    problems: list[str] = []
    for what, said, asked in (
        ("tree", report.tree, tree),
        ("base", report.base, base),
        ("policy", report.policy, policy),
    ):
        if asked is not None and said != asked:
            problems.append(f"The report is about the {what} {said[:19]}, not {asked[:19]}.")
    return Verified(report, tuple(problems))


def verify_commit(hub: Hub, store: ArtifactStore, key: VerifyKey, commit: str) -> VerifiedCommit:
    """What the commit's `Report:` trailer is worth. commit: a full id. Raises GitError and UserError of the hub."""
    return _judge(hub, store, key, _info(hub, commit))


def verify_range(hub: Hub, store: ArtifactStore, key: VerifyKey, old: str | None, new: str) -> list[VerifiedCommit]:
    """Every commit of the first-parent line from `old` (not included; None: the beginning) to `new`, oldest first."""
    return [_judge(hub, store, key, info) for info in hub.commits_between(old, new, first_parent=True)]


def recipe(envelope: Path, public_key: Path) -> list[str]:
    """Shell lines that check the envelope with `openssl` (3.0 or newer) alone; the last prints the tree that is proved.

    The order is DSSE's: take the payload and the signature out, write the bytes that were signed, verify.
    """
    file, key = shlex.quote(str(envelope)), shlex.quote(str(public_key))
    field = 's/.*"{}":"\\([A-Za-z0-9+\\/=]*\\)".*/\\1/p'
    subject = 's/.*"subject":\\[{"digest":{"gitTree":"\\([0-9a-f]*\\)"},"name":"main"}\\].*/\\1/p'
    return [
        'cd "$(mktemp -d)"',
        f"sed -n '{field.format('payload')}' {file} | base64 -d > payload",
        f"sed -n '{field.format('sig')}' {file} | base64 -d > sig",
        f"printf 'DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} %d ' \"$(wc -c < payload)\" > pae",
        "cat payload >> pae",
        f"openssl pkeyutl -verify -pubin -inkey {key} -rawin -in pae -sigfile sig",
        f"sed -n '{subject}' payload",
    ]


def _judge(hub: Hub, store: ArtifactStore, key: VerifyKey, info: CommitInfo) -> VerifiedCommit:
    own, batch = info.trailers.get(REPORT_TRAILER, []), info.trailers.get(BATCH_TRAILER, [])
    claimed = own or batch
    if not claimed:
        return VerifiedCommit(info.commit, info.subject, "unproven")
    if len(own) + len(batch) > 1:
        return VerifiedCommit(info.commit, info.subject, "false", problems=("The commit names more than one report.",))
    digest = claimed[0]
    try:
        envelope = store.get(digest)
    except SwarmError as error:
        return VerifiedCommit(info.commit, info.subject, "false", digest, problems=(f"{error}.",))
    tree, base = (info.tree, _base(hub, info, digest)) if own else (None, None)
    verified = verify_report(envelope, key, tree=tree, base=base)
    problems = list(verified.problems)
    if verified.report is not None and verified.report.result != "green":
        problems.append(f"The report says {verified.report.result}.")
    if verified.report is not None and verified.report.kind == "gates":
        problems.append("The report was asked for by hand, so it is not one for landing.")
    if batch and not _tip_is_proved(hub, store, key, info.commit, digest):
        problems.append("No proved commit of main is the tip of its batch.")
    status = "false" if problems else "proved" if own else "batch"
    return VerifiedCommit(info.commit, info.subject, status, digest, verified.report, tuple(problems))


def _tip_is_proved(hub: Hub, store: ArtifactStore, key: VerifyKey, commit: str, digest: str) -> bool:
    """Whether, on main, only commits of the same batch lie between this one and a proved commit with that report."""
    main = hub.main().commit
    if not hub.is_ancestor(commit, main):
        return False
    for later in hub.commits_between(commit, main, first_parent=True):
        if digest in later.trailers.get(REPORT_TRAILER, []):
            return _judge(hub, store, key, later).status == "proved"
        if digest not in later.trailers.get(BATCH_TRAILER, []):
            return False
    return False


def _base(hub: Hub, info: CommitInfo, digest: str) -> str | None:
    """The tree that the report's change, or batch, was put on."""
    while info.parents:
        info = _info(hub, info.parents[0])
        if digest not in info.trailers.get(BATCH_TRAILER, []):
            return info.tree
    return None


def _info(hub: Hub, commit: str) -> CommitInfo:
    try:
        before = hub.resolve(f"{commit}^1")
    except UserError:  # a root commit
        before = None
    return hub.commits_between(before, commit)[-1]
