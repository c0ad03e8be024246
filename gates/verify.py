"""Checking reports: signatures, subject, binding; and the commands with which a stranger checks them without us."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from engine.artifacts import ArtifactStore
from engine.errors import SwarmError, UserError
from engine.git.door import Git, UserGit
from engine.git.hub import CommitInfo, Hub
from engine.git.notes import NOTES, find
from engine.models.report import VerificationReport
from engine.text.sanitise import sanitise_line
from gates import sshsig
from gates.report import open_report
from gates.sign import PAYLOAD_TYPE, SSH_IDENTITY, BadEnvelope, VerifyKey
from gates.statement import VERDICT_TYPE, read_statement

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
    envelope: the report's bytes, where they were found. remarks: sentences worth knowing that refute nothing.
    """

    commit: str
    subject: str
    status: Literal["proved", "batch", "unproven", "false"]
    digest: str = ""
    report: VerificationReport | None = None
    problems: tuple[str, ...] = ()
    envelope: bytes = b""
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Court:
    """Judges commits. Reports are looked for in the artifact store, then in the git notes of the repositories `noted`.

    policy_of: the policy digest that the definitions on a commit have ("": not known).
    orders_of: (commits, work order) -> digests of the order's text where it is written down: on any of these commits,
    and here and now. None of them: not known.
    """

    hub: Hub
    store: ArtifactStore
    key: VerifyKey
    noted: Sequence[Git | UserGit] = ()
    policy_of: Callable[[str], str] | None = None
    orders_of: Callable[[Sequence[str], str], Collection[str]] | None = None

    def judge(self, commit: str) -> VerifiedCommit:
        """What the commit's trailers are worth. commit: a full id. Raises GitError and UserError of the hub."""
        return self._judge(_info(self.hub, commit))

    def judge_range(self, old: str | None, new: str) -> list[VerifiedCommit]:
        """Every commit of the first-parent line from `old` (not included; None: the beginning) to `new`, oldest
        first."""
        asked, main = self.hub.commits_between(old, new, first_parent=True), self.hub.main().commit
        on_main = bool(asked) and self.hub.is_ancestor(asked[-1].commit, main)
        seen = _Seen(self.hub.commits_between(old, main, first_parent=True) if on_main else ())
        return [self._judge(info, seen) for info in asked]

    def _judge(self, info: CommitInfo, seen: _Seen | None = None) -> VerifiedCommit:
        seen = seen or _Seen()
        if info.commit not in seen.judged:
            seen.judged[info.commit] = self._judge_anew(info, seen)
        return seen.judged[info.commit]

    def _judge_anew(self, info: CommitInfo, seen: _Seen) -> VerifiedCommit:
        own, batch = info.trailers.get(REPORT_TRAILER, []), info.trailers.get(BATCH_TRAILER, [])
        claimed = own or batch
        if not claimed:
            return VerifiedCommit(info.commit, info.subject, "unproven")
        if len(own) + len(batch) > 1:
            twice = "The commit names more than one report: a commit of the swarm has one, so this is none of its own."
            return VerifiedCommit(info.commit, info.subject, "false", problems=(twice,))
        digest, tip = claimed[0], info if own else self._tip(info.commit, claimed[0], seen)
        try:
            envelope = self._find(digest, (tip or info).commit)
        except SwarmError as error:
            do = "bring its note with `git fetch REMOTE refs/notes/swarm:refs/notes/swarm`"
            if self.store.has(digest):
                do = f"move {self.store.path(digest)} away, and its note counts"
            lost = f"{error}: {do}."
            return VerifiedCommit(info.commit, info.subject, "false", digest, problems=(lost,))
        base = _before(self.hub, info, digest) if own else None
        verified = verify_report(
            envelope, self.key, tree=info.tree if own else None, base=base.tree if base is not None else None
        )
        problems, remarks, report = list(verified.problems), list[str](), verified.report
        if report is not None:
            problems += _not_for_landing(report) + self._beside(report)
            remarks += self._remarks(report, base) + self._of_the_order(report, [info, *([base] if base else [])])
        if batch and (tip is None or self._judge(tip, seen).status != "proved"):
            problems.append("No proved commit of main is the tip of its batch: verify main as a whole.")
        status = "false" if problems else "proved" if own else "batch"
        return VerifiedCommit(
            info.commit, info.subject, status, digest, report, tuple(problems), envelope, tuple(remarks)
        )

    def _find(self, digest: str, commit: str) -> bytes:
        if not self.store.has(digest):  # what is there and damaged is told, not replaced
            for git in self.noted:
                if (envelope := find(git, commit, digest)) is not None:
                    return envelope
        return self.store.get(digest)

    def _beside(self, report: VerificationReport) -> list[str]:
        """What is wrong with the other envelopes that the report names, as far as they are here."""
        problems: list[str] = []
        for digest in report.envelopes:
            try:
                if not self.store.has(digest):
                    continue
                said = read_statement(self.key.open(self.store.get(digest)))
            except SwarmError as error:
                problems.append(
                    f"The envelope {digest[:19]} that the report names does not hold ({error}): restore it."
                )
                continue
            approved = "SWARM_GATES_GREEN" in said.predicate.get("properties", ())
            if said.tree != report.tree or (said.kind == VERDICT_TYPE and approved != (report.result == "green")):
                problems.append(
                    f"The envelope {digest[:19]} contradicts the report that names it: run the gates again."
                )
        return problems

    def _remarks(self, report: VerificationReport, base: CommitInfo | None) -> list[str]:
        policy = self.policy_of(base.commit) if self.policy_of is not None and base is not None else ""
        if not policy or report.policy == policy or report.kind != "land":
            return []
        told = "they were not committed then, or this version of the program knows more settings"
        return [f"Its policy is not that of the definitions on its base as they are read today: {told}."]

    def _of_the_order(self, report: VerificationReport, commits: Sequence[CommitInfo]) -> list[str]:
        if self.orders_of is None or not report.order or report.kind != "land":
            return []
        known = self.orders_of([info.commit for info in commits], report.work_order)
        if not known or report.order in known:
            return []
        order = sanitise_line(report.work_order)
        return [f"The work order {order} read otherwise when this was proved than wherever it is written down today."]

    def _tip(self, commit: str, digest: str, seen: _Seen) -> CommitInfo | None:
        """The commit of main with that report, if only commits of the same batch lie between it and this one."""
        if commit in seen.place:
            return seen.tip(commit, digest)
        main = self.hub.main().commit
        if not self.hub.is_ancestor(commit, main):
            return None
        return _tip_of(self.hub.commits_between(commit, main, first_parent=True), digest)


class _Seen:
    """What is known while a range is judged, so that each commit of a batch does not look for its tip by itself.

    line: the commits of main from the range's beginning on, oldest first.
    """

    def __init__(self, line: Sequence[CommitInfo] = ()) -> None:
        self.line = line
        self.place = {info.commit: at for at, info in enumerate(line)}
        self.judged: dict[str, VerifiedCommit] = {}
        self._tips: dict[str, tuple[int, CommitInfo]] = {}

    def tip(self, commit: str, digest: str) -> CommitInfo | None:
        at = self.place[commit]
        first, found = self._tips.get(digest, (len(self.line), None))
        if found is not None and first <= at < self.place[found.commit]:
            return found
        found = _tip_of((self.line[later] for later in range(at + 1, len(self.line))), digest)
        if found is not None:
            self._tips[digest] = (at, found)
        return found


def _tip_of(line: Iterable[CommitInfo], digest: str) -> CommitInfo | None:
    for later in line:
        if digest in later.trailers.get(REPORT_TRAILER, []):
            return later
        if digest not in later.trailers.get(BATCH_TRAILER, []):
            return None
    return None


def verify_report(
    envelope: bytes,
    key: VerifyKey,
    *,
    tree: str | None = None,
    base: str | None = None,
    policy: str | None = None,
    repository: str | None = None,
) -> Verified:
    """Signatures and form, and, for those that are given, that the report is about this tree, base tree, policy and
    repository.

    Whether the report is green is not judged here: a red report can be perfectly valid.
    """
    try:
        report = open_report(envelope, key)
    except BadEnvelope as error:
        untouched = "get an untouched copy, or prove the tree anew with `swarm gates`"
        return Verified(None, (f"The report is not believed, because {error}: {untouched}.",))
    bound = (
        ("is about the tree", report.tree, tree, "run `swarm gates` on the commit that you want to have proved"),
        ("was made on the base", report.base, base, "run the gates again on this base"),
        ("is bound to the policy", report.policy, policy, "run the gates again as they are defined now"),
        ("is about the repository", report.repository, repository, "look for the report of this repository"),
    )
    problems = [
        f"The report {what} {said[:19]}, not {asked[:19]}: {do}."
        for what, said, asked, do in bound
        if asked is not None and said != asked
    ]
    return Verified(report, tuple(problems))


def recipe(
    envelope: Path,
    public_key: Path,
    *,
    ssh: bool = True,
    commit: str = "",
    repository: Path | None = None,
    note: str = "",
) -> list[str]:
    """Shell lines that check the envelope with `openssl` (3.0 or newer) and `ssh-keygen` alone; the last ones print the
    report's result and the tree that is proved.

    The order is DSSE's: take the payload and the signatures out, write the bytes that were signed, verify.
    ssh: False for a report of schema version 1. commit: a full id; its tree in `repository` has to be the proved one.
    note: the id of the commit with a note that holds the envelope, which is read there instead of the file.
    Raises UserError when the key cannot be read.
    """
    where, key = shlex.quote(str(repository)), shlex.quote(str(public_key))
    file = "envelope" if note else shlex.quote(str(envelope))
    text = "\\([A-Za-z0-9+\\/=]*\\)"
    lines = [
        'cd "$(mktemp -d)"',
        *([f"git -C {where} notes --ref={NOTES} show {note} | sed -n 3p > envelope"] if note else []),
        _taken(f'"payload":"{text}"', file) + " | base64 -d > payload",
        _taken(f'"signatures":\\[{{"keyid":"[0-9a-f]*","sig":"{text}"', file) + " | base64 -d > sig",
        f"printf 'DSSEv1 {len(PAYLOAD_TYPE)} {PAYLOAD_TYPE} %d ' \"$(wc -c < payload)\" > pae",
        "cat payload >> pae",
        f"openssl pkeyutl -verify -pubin -inkey {key} -rawin -in pae -sigfile sig",
    ]
    if ssh:
        signers = VerifyKey.load(public_key).allowed_signers.decode("ascii").rstrip("\n")
        lines += [
            _taken(f'"keyid":"sshsig:sha256:[0-9a-f]*","sig":"{text}"', file) + " | base64 -d > sig.ssh",
            f"printf '%s\\n' {shlex.quote(signers)} > signers",
            f"ssh-keygen -Y verify -f signers -I {SSH_IDENTITY} -n {sshsig.NAMESPACE} -s sig.ssh < pae",
        ]
    tree = _taken('"subject":\\[{"digest":{"gitTree":"\\([0-9a-f]*\\)"},"name":"main"}\\]', "payload")
    if commit and repository is not None:
        lines.append(f'test "$(git -C {where} rev-parse \'{commit}^{{tree}}\')" = "$({tree})"')
    result = _taken('"result":"\\([a-z]*\\)","sandbox"', "payload")
    lines += [f"printf 'result: %s\\n' \"$({result})\"", f"printf '%s\\n' \"$({tree})\""]
    # Nothing after the first line that fails: a tampered report must not end with words that sound green.
    return [lines[0], *(f"{line} &&" for line in lines[1:-1]), lines[-1]]


def _taken(pattern: str, file: str) -> str:
    return f"sed -n 's/.*{pattern}.*/\\1/p' {file}"


def _not_for_landing(report: VerificationReport) -> list[str]:
    problems: list[str] = []
    if report.result != "green":
        problems.append(f"The report says {report.result}: what is red does not land, so take the commit back.")
    if report.kind == "gates":
        problems.append("The report was asked for by hand, so it is not one for landing: the swarm did not land this.")
    return problems


def _before(hub: Hub, info: CommitInfo, digest: str) -> CommitInfo | None:
    """The commit that the report's change, or batch, was put on."""
    while info.parents:
        info = _info(hub, info.parents[0])
        if digest not in info.trailers.get(BATCH_TRAILER, []):
            return info
    return None


def _info(hub: Hub, commit: str) -> CommitInfo:
    try:
        before = hub.resolve(f"{commit}^1")
    except UserError:  # a root commit
        before = None
    return hub.commits_between(before, commit)[-1]
