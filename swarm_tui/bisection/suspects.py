"""The commits between a good and a bad one, oldest first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.culprit import GOOD_END
from engine.errors import GitError, UserError
from engine.git.door import UserGit
from engine.text.sanitise import sanitise_line

MOST_BRANCHED = 30_000
"""Beyond that what each merge contains would take gigabytes."""


@dataclass(frozen=True)
class Suspects:
    """`commits` were made after `good`; the newest is the bad end. parents: as `engine.culprit.Search` takes them."""

    good: str
    commits: tuple[str, ...]
    parents: tuple[tuple[int, ...], ...] | None

    def commit(self, index: int) -> str:
        """The id of a suspect or of the good end."""
        return self.good if index == GOOD_END else self.commits[index]

    def index(self, commit: str) -> int:
        """Raises ValueError for a commit that is none of these."""
        return GOOD_END if commit == self.good else self.commits.index(commit)


def find_suspects(repo: Path, good: str, bad: str, *, first_parent: bool) -> Suspects:
    """What BAD has and GOOD has not. Raises UserError: no such commits, the same, or GOOD is not an ancestor of BAD."""
    git = UserGit(repo)
    old, new = _commit(git, "GOOD", good), _commit(git, "BAD", bad)
    if old == new:
        raise UserError(f"GOOD and BAD are the same commit {old[:12]}: name an older one that works as GOOD.")
    if git.run("merge-base", "--is-ancestor", old, new, ok=(0, 1)).returncode == 1:
        if git.run("merge-base", "--is-ancestor", new, old, ok=(0, 1)).returncode == 0:
            raise UserError("GOOD is newer than BAD: GOOD comes first, and is the older one.")
        base = git.run("merge-base", old, new, ok=(0, 1)).line
        advice = f"name their common ancestor {base[:12]} as GOOD" if base else "name an ancestor of BAD as GOOD"
        raise UserError(f"GOOD {old[:12]} is not an ancestor of BAD {new[:12]}: {advice}.")
    along = ("--first-parent",) if first_parent else ()
    listed = git.run("rev-list", "--topo-order", "--reverse", "--parents", *along, f"{old}..{new}", timeout_s=600.0)
    rows = [line.split() for line in listed.stdout.decode("ascii").splitlines()]
    commits = tuple(row[0] for row in rows)
    place = {commit: index for index, commit in enumerate(commits)}
    parents = tuple(tuple(sorted({place.get(parent, GOOD_END) for parent in row[1:]})) for row in rows)
    if first_parent or all(of == (index - 1,) for index, of in enumerate(parents)):
        return Suspects(old, commits, None)
    if len(commits) > MOST_BRANCHED:
        raise UserError(
            f"there are {len(commits)} commits in between, with merges: narrow it down with --first-parent."
        )
    return Suspects(old, commits, parents)


def subject_of(repo: Path, commit: str) -> str:
    """The first line of its message, harmless to print."""
    done = UserGit(repo).run("show", "--no-patch", "--format=%s", "--end-of-options", commit)
    return sanitise_line(done.stdout.decode("utf-8", "replace").strip())


def _commit(git: UserGit, role: str, revision: str) -> str:
    try:
        return git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").line
    except GitError as error:
        name = sanitise_line(revision)
        raise UserError(
            f'{role} "{name}" is no commit of this repository: name a commit, a branch or a tag.'
        ) from error
