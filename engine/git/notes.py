"""Evidence that travels: a git note below `refs/notes/swarm` on each landed commit, with the report's envelopes in it.

A note is text: the line `Report: sha256:<hex>`, an empty line, and one envelope a line, the report's own first. Its
words prove nothing: whoever reads it checks the digest and the signatures.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from engine.errors import GitError, SwarmError
from engine.git.door import Git, UserGit
from engine.git.hub import IDENTITY_MAIL, IDENTITY_NAME, Hub
from engine.git.names import check_id, is_id
from engine.git.stores import sync_objects, sync_ref

NOTES = "refs/notes/swarm"

_HEAD = b"Report: "


def attach(hub: Hub, commit: str, envelopes: Sequence[bytes], at: float) -> bool:
    """Note these envelopes on a commit of the hub, durably; False when exactly they are there already.

    envelopes: the report's first, each one line with its line feed. at: UTC seconds. Raises GitError.
    """
    if not envelopes or not all(envelope.endswith(b"\n") and envelope.count(b"\n") == 1 for envelope in envelopes):
        raise SwarmError("a note holds envelopes of one line each, the report's first")
    text = _HEAD + digest_of(envelopes[0]).encode("ascii") + b"\n\n" + b"".join(envelopes)
    blob = hub.git.run("hash-object", "-w", "--stdin", stdin=text).line
    if _noted(hub.git, check_id(commit)) == blob:
        return False
    before = _tip(hub.git)
    stamp = f"@{max(0, int(at))} +0000"
    env = {
        f"GIT_{who}_{what}": value
        for who in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", IDENTITY_NAME), ("EMAIL", IDENTITY_MAIL), ("DATE", stamp))
    }
    hub.git.run("notes", f"--ref={NOTES}", "add", "-f", "-C", check_id(blob), commit, env=env)
    sync_objects(hub.git, _tip(hub.git) or "", before)
    sync_ref(hub.git, NOTES)
    return True


def attach_missing(hub: Hub, evidence: Callable[[str], Sequence[bytes]], *, newest: int = 100) -> list[str]:
    """Note the evidence of those of main's `newest` commits that name a report and have no note yet; these commits.

    evidence: the envelopes of a report by its digest, the report's first. A commit whose evidence raises SwarmError, or
    is not what it names, is passed over. Raises GitError.
    """
    listed = hub.git.run("notes", f"--ref={NOTES}", "list").line.split("\n")
    noted = {row.partition(" ")[2] for row in listed}
    attached: list[str] = []
    for info in hub.commits_between(None, hub.main().commit, first_parent=True, limit=newest):
        named = info.trailers.get("Report", [])
        if len(named) != 1 or info.commit in noted:
            continue
        try:
            envelopes = evidence(named[0])
        except GitError:
            raise
        except SwarmError:
            continue
        if envelopes and digest_of(envelopes[0]) == named[0]:
            attach(hub, info.commit, envelopes, info.at)
            attached.append(info.commit)
    return attached


def read(git: Git | UserGit, commit: str) -> list[bytes]:
    """The envelopes on a commit as they were attached, the report's first; [] without a note of ours. Not checked."""
    blob = _noted(git, check_id(commit))
    if blob is None:
        return []
    head, _, body = git.run("cat-file", "blob", blob, timeout_s=600.0).stdout.partition(b"\n\n")
    return [line + b"\n" for line in body.split(b"\n") if line] if head.startswith(_HEAD) else []


def find(git: Git | UserGit, commit: str, digest: str) -> bytes | None:
    """The envelope with this digest (`sha256:<hex>`, computed from its bytes) in the note on a commit, or None."""
    return next((envelope for envelope in read(git, commit) if digest_of(envelope) == digest), None)


def publish_notes(hub: Hub, user_repo: UserGit) -> str:
    """Bring the hub's notes to the user's repository, fast-forward only. "" or, in one sentence, why not.

    Raises GitError when git fails in a way that no person's work explains.
    """
    new = _tip(hub.git)
    old = _tip(user_repo)
    if new is None or new == old:
        return ""
    if old is not None and not hub.is_ancestor(old, new):
        return (
            f"{NOTES} in {user_repo.folder} has notes that are not the swarm's: move them to another ref with "
            f"`git update-ref refs/notes/mine {old}` and `git update-ref -d {NOTES}`, and the reports arrive."
        )
    user_repo.run(
        "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules",
        "--no-prune", "--refmap=", "--", str(hub.path.resolve()), f"{NOTES}:{NOTES}",
        settings={"protocol.file.allow": "always"}, timeout_s=600.0,
    )  # fmt: skip
    return ""


def digest_of(envelope: bytes) -> str:
    """`sha256:<hex>` of an envelope's bytes."""
    return f"sha256:{hashlib.sha256(envelope).hexdigest()}"


def _noted(git: Git | UserGit, commit: str) -> str | None:
    """The blob of the note on a commit."""
    done = git.run("notes", f"--ref={NOTES}", "list", commit, ok=(0, 1, 128))
    return done.line if done.returncode == 0 and is_id(done.line) else None


def _tip(git: Git | UserGit) -> str | None:
    done = git.run("rev-parse", "--verify", "--quiet", NOTES, ok=(0, 1, 128))
    return done.line if done.returncode == 0 and is_id(done.line) else None
