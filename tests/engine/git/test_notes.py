"""Notes: evidence lies on the landed commit, once, and travels to the user's repository without taking from it."""

import hashlib
from pathlib import Path
from typing import Any

import pytest

from engine.errors import SwarmError
from engine.git.door import UserGit
from engine.git.hub import Hub
from engine.git.notes import NOTES, attach, attach_missing, digest_of, find, publish_notes, read

FIRST, SECOND = b'{"payload":"one"}\n', b'{"payload":"two"}\n'


def tip(hub: Hub) -> str:
    return hub.git.run("rev-parse", NOTES).line


def test_what_was_attached_is_read_back_byte_for_byte(hub: Hub) -> None:
    commit = hub.main().commit
    assert read(hub.git, commit) == []
    assert attach(hub, commit, [FIRST, SECOND], 1.0)
    assert read(hub.git, commit) == [FIRST, SECOND]
    assert digest_of(FIRST) == f"sha256:{hashlib.sha256(FIRST).hexdigest()}"
    assert find(hub.git, commit, digest_of(SECOND)) == SECOND
    assert find(hub.git, commit, digest_of(b"another\n")) is None
    shown = hub.git.run("notes", f"--ref={NOTES}", "show", commit).stdout
    assert shown.startswith(f"Report: {digest_of(FIRST)}\n\n".encode())


def test_attaching_again_changes_nothing_and_something_else_replaces_it(hub: Hub) -> None:
    commit = hub.main().commit
    attach(hub, commit, [FIRST], 1.0)
    before = tip(hub)
    assert not attach(hub, commit, [FIRST], 2.0)
    assert tip(hub) == before
    assert attach(hub, commit, [SECOND], 2.0)
    assert read(hub.git, commit) == [SECOND]
    assert hub.is_ancestor(before, tip(hub))


def test_notes_of_many_commits_stay_apart(hub: Hub) -> None:
    first = hub.main()
    second = hub.commit(first.tree, [first.commit], "next\n", 0.0)
    attach(hub, first.commit, [FIRST], 1.0)
    attach(hub, second, [SECOND], 1.0)
    assert (read(hub.git, first.commit), read(hub.git, second)) == ([FIRST], [SECOND])


@pytest.mark.parametrize("envelopes", [[], [b"no line feed"], [b"two\nlines\n"], [FIRST, b""]])
def test_only_whole_lines_are_attached(hub: Hub, envelopes: list[bytes]) -> None:
    with pytest.raises(SwarmError, match="one line"):
        attach(hub, hub.main().commit, envelopes, 1.0)
    assert read(hub.git, hub.main().commit) == []


def test_a_note_of_somebody_else_is_no_evidence(hub: Hub) -> None:
    env = {f"GIT_{who}_{what}": "p" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    hub.git.run("notes", f"--ref={NOTES}", "add", "-m", "nice work", hub.main().commit, env=env)
    assert read(hub.git, hub.main().commit) == []
    attach(hub, hub.main().commit, [FIRST], 1.0)
    assert read(hub.git, hub.main().commit) == [FIRST]


def test_notes_arrive_in_the_users_repository_and_in_a_clone_of_it(hub: Hub, user: Any, tmp_path: Path) -> None:
    commit, theirs = hub.main().commit, UserGit(user.root)
    assert publish_notes(hub, theirs) == ""  # nothing to bring
    for envelopes in ([FIRST], [SECOND]):
        attach(hub, commit, envelopes, 1.0)
        assert publish_notes(hub, theirs) == ""
        assert publish_notes(hub, theirs) == ""
        assert read(theirs, commit) == envelopes
    user("clone", "-q", str(user.root), str(tmp_path / "clone"))
    clone = UserGit(tmp_path / "clone")
    assert read(clone, commit) == []
    clone.run("fetch", "-q", "origin", f"{NOTES}:{NOTES}")
    assert read(clone, commit) == [SECOND]


def test_notes_that_are_not_the_swarms_are_left_alone(hub: Hub, user: Any) -> None:
    theirs, commit = UserGit(user.root), hub.main().commit
    user("notes", f"--ref={NOTES}", "add", "-m", "mine", commit)
    mine = user("rev-parse", NOTES)
    attach(hub, commit, [FIRST], 1.0)
    said = publish_notes(hub, theirs)
    assert "not the swarm's" in said
    assert user("rev-parse", NOTES) == mine
    user("update-ref", "refs/notes/mine", mine)
    user("update-ref", "-d", NOTES)
    assert publish_notes(hub, theirs) == ""
    assert read(theirs, commit) == [FIRST]


def test_landed_commits_without_a_note_get_theirs_once(hub: Hub) -> None:
    kept = {digest_of(envelope): [envelope] for envelope in (FIRST, SECOND)}
    start = main = hub.main()
    landed: list[str] = []
    for digest in (*kept, f"sha256:{'0' * 64}"):
        landed.append(hub.commit(start.tree, [main.commit], f"Land\n\nReport: {digest}\n", 5.0))
        assert hub.move_main(landed[-1], main.commit)
        main = hub.main()

    def evidence(digest: str) -> list[bytes]:
        if digest not in kept:
            raise SwarmError("it is not there")
        return kept[digest]

    def swapped(digest: str) -> list[bytes]:
        return [FIRST if digest == digest_of(SECOND) else SECOND]

    assert attach_missing(hub, swapped) == []
    assert attach_missing(hub, evidence, newest=2) == [landed[1]]
    assert attach_missing(hub, evidence) == [landed[0]]
    assert attach_missing(hub, evidence) == []
    assert [read(hub.git, commit) for commit in (start.commit, *landed)] == [[], [FIRST], [SECOND], []]
