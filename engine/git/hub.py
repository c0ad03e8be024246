"""The hub: the engine's own bare repository. Only the engine writes its refs; main is the one commit point."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import GitError, MergeConflict, SwarmError, UserError
from engine.git.door import Git, UserGit
from engine.git.names import (
    check_branch,
    check_id,
    check_revision,
    decode_path,
    is_id,
    is_plain_path,
    safe_name,
    split_z,
)
from engine.git.stores import (
    BASE,
    HUB,
    MAIN,
    create_stores,
    fetch,
    remove_litter,
    sync_objects,
    sync_ref,
)
from engine.process.tree import MARKER, kill_marked

IDENTITY_NAME, IDENTITY_MAIL = "swarm", "swarm@localhost"

_LONG_S = 600.0
_LOG_FORMAT = "%H%x00%T%x00%P%x00%an <%ae>%x00%s%x00%ct%x00%(trailers:only=true,unfold=true)"

# What old histories are full of, and what says nothing about damage.
_TOLERATED = (
    "badDate",
    "badDateOverflow",
    "badEmail",
    "badName",
    "badTimezone",
    "duplicateEntries",
    "emptyName",
    "fullPathname",
    "gitmodulesName",
    "gitmodulesParse",
    "gitmodulesPath",
    "gitmodulesUrl",
    "missingEmail",
    "missingNameBeforeEmail",
    "missingSpaceBeforeDate",
    "missingSpaceBeforeEmail",
    "multipleAuthors",
    "treeNotSorted",
    "zeroPaddedDate",
    "zeroPaddedFilemode",
)


@dataclass(frozen=True)
class Tip:
    """Main at one moment: full ids of its commit and of that commit's tree."""

    commit: str
    tree: str


@dataclass(frozen=True)
class CommitInfo:
    """One commit. `author` is `name <mail>`; `at` is the commit time, UTC seconds; trailers in order, by name."""

    commit: str
    tree: str
    parents: tuple[str, ...]
    author: str
    subject: str
    trailers: dict[str, list[str]]
    at: float


@dataclass(frozen=True)
class Change:
    """One row of `diff-tree -r`: status A, D, M or T; modes as git writes them (`100644`; `000000`: not there).

    path: bytes that are not UTF-8 are surrogates (`sanitise_line` shows them; `encode_path` gives them back).
    """

    status: str
    old_mode: str
    new_mode: str
    old_sha: str
    new_sha: str
    path: str


@dataclass(frozen=True)
class Entry:
    """One entry of a tree: `kind` is blob or commit (a gitlink), `path` is from the tree's root."""

    mode: str
    kind: str
    sha: str
    path: str


class Hub:
    """The stores below `state`. Raises UserError when they are not there; `create_or_open` makes them.

    Every method is synchronous and may be called from any thread. Unless a method says otherwise it raises GitError.
    """

    def __init__(self, state: Path, marker: str = "") -> None:
        self.state = state
        self.path, self.base_path = state / HUB, state / BASE
        self._advancing = threading.Lock()
        marked = {MARKER: marker} if marker else {}
        self.git, self.base = Git(self.path, env_extra=marked), Git(self.base_path, env_extra=marked)
        if not (self.path / "HEAD").is_file() or not (self.base_path / "HEAD").is_file():
            raise UserError(f"{state} holds no hub yet: start the engine once with `swarm`.")

    @classmethod
    def create_or_open(
        cls, state: Path, user_repo: Path, main_branch: str, *, sole: bool = True, marker: str = ""
    ) -> Hub:
        """The hub of `state`, made from the user's branch when there is none.

        sole: the caller holds the instance lock, so whatever lock files lie in the stores are a dead process's and are
        removed. Another process (the command line beside a running engine) passes False.
        marker: SWARM_RUN of the git processes of the one who is sole. Those of a dead one are killed first: a ref must
        not move once the new one has looked at it.
        """
        state.mkdir(parents=True, exist_ok=True)
        if sole:
            if marker:
                kill_marked(marker)
            remove_litter(state)
        if not (state / HUB).exists() or not (state / BASE).exists():
            create_stores(state, user_repo, main_branch)
        return cls(state, marker if sole else "")

    # ---- refs and revisions --------------------------------------------------------------------------------------

    def main(self) -> Tip:
        """Main's commit and tree, read together."""
        commit, tree = self.git.run("log", "-1", "--no-show-signature", "--format=%H %T", MAIN, "--").line.split()
        return Tip(commit, tree)

    def root_commit(self) -> str:
        """The id of the repository: the oldest commit on main's first-parent line."""
        listed = self.git.run("rev-list", "--first-parent", "--max-parents=0", MAIN, "--", timeout_s=_LONG_S)
        return listed.line.split()[-1]

    def resolve(self, rev: str) -> str:
        """The full id of the commit that a person's `rev` means. Raises UserError."""
        return self._resolve(check_revision(rev), "commit")

    def tree_of(self, rev: str) -> str:
        """The full id of the tree of a commit, a tree or a revision. Raises UserError."""
        return self._resolve(check_revision(rev), "tree")

    def has(self, sha: str) -> bool:
        """Whether an object is in the hub."""
        return self.git.run("cat-file", "-e", check_id(sha), ok=(0, 1, 128)).returncode == 0

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether commit `old` is `new` or in its history. False when `old` is not in the hub at all."""
        done = self.git.run(
            "merge-base", "--is-ancestor", check_id(old), check_id(new), ok=(0, 1, 128), timeout_s=_LONG_S
        )
        if done.returncode == 128 and (self.has(old) or not self.has(new)):
            raise GitError(["merge-base", "--is-ancestor"], 128, done.stderr)
        return done.returncode == 0

    def merge_base(self, a: str, b: str) -> str:
        """The best common ancestor of two commits. Raises SwarmError when they have none."""
        done = self.git.run("merge-base", check_id(a), check_id(b), ok=(0, 1), timeout_s=_LONG_S)
        if done.returncode != 0:
            raise SwarmError(f"commits {a[:12]} and {b[:12]} have no common ancestor")
        return done.line.split()[0]

    def commits_between(
        self, old: str | None, new: str, *, first_parent: bool = False, limit: int | None = None
    ) -> list[CommitInfo]:
        """The commits of `new` that `old` does not have (None: all), oldest first; of many, the newest `limit`."""
        # A topological order has to walk all of the history first; the newest few can be had without.
        options = [f"--max-count={limit}"] if limit else ["--topo-order"]
        options += ["--first-parent"] if first_parent else []
        exclude = [f"^{check_id(old)}"] if old else []
        plain = ("--no-show-signature", "--no-notes", "--no-mailmap", "--no-decorate", "--no-color")
        done = self.git.run(
            "log", "-z", "--reverse", *plain, *options, f"--format=tformat:{_LOG_FORMAT}",
            check_id(new), *exclude, "--", timeout_s=_LONG_S,
        )  # fmt: skip
        fields = done.stdout.decode("utf-8", "replace").split("\0")
        return [_commit_info(fields[at : at + 7]) for at in range(0, len(fields) - 6, 7)]

    def harden(self, new: str, old: str) -> None:
        """Make durable what `new` brings beyond `old`. Raises GitError when an object of it is missing."""
        try:
            sync_objects(self.git, check_id(new), check_id(old))
        except GitError:  # `old` is not in the hub, or an object of `new` is missing, which this says again
            sync_objects(self.git, new, None)

    def move_main(self, new: str, old: str, *, hardened: bool = False) -> bool:
        """Compare-and-swap of main from `old` to `new`, durable when this returns True. False: main is another commit.

        True as well when main is `new` already. Raises GitError when the ref cannot be written or an object is missing.
        hardened: `harden` was called with these.
        """
        if not hardened:
            self.harden(new, old)
        done = self.git.run("update-ref", "--no-deref", MAIN, check_id(new), check_id(old), ok=(0, 1, 128))
        if done.returncode != 0:
            tip = self.main().commit
            if tip == old:
                raise GitError(["update-ref", MAIN], done.returncode, done.stderr)
            if tip != new:
                return False
        sync_ref(self.git, MAIN)
        return True

    def keep(self, name: str, sha: str) -> str:
        """Keep a commit, or a tree (wrapped in a commit), under `refs/swarm/keep/`; the id of the kept commit."""
        kind = self.git.run("cat-file", "-t", check_id(sha)).line
        if kind == "tree":
            sha = self.commit(sha, [], "A kept tree\n", 0.0)
        elif kind != "commit":
            raise SwarmError(f"only commits and trees are kept, {sha[:12]} is a {kind}")
        ref = _keep_ref(name)
        sync_objects(self.git, sha, MAIN)
        self.git.run("update-ref", "--no-deref", ref, sha)
        sync_ref(self.git, ref)
        return sha

    def kept(self, name: str) -> str | None:
        """The commit that was kept under this name, or None."""
        done = self.git.run("rev-parse", "--verify", "--quiet", _keep_ref(name), ok=(0, 1))
        return done.line if done.returncode == 0 else None

    # ---- reading -------------------------------------------------------------------------------------------------

    def entries(self, rev: str, under: str = "") -> list[Entry]:
        """All files, links and gitlinks of a tree, sorted as git sorts. `under`: only those below this folder."""
        tree = rev if is_id(rev) else self.tree_of(rev)
        folder = under.strip("/")
        if folder and not is_plain_path(folder):
            return []
        where = ["--", f"{folder}/"] if folder else []
        listed = self.git.run("ls-tree", "-r", "-z", "--full-tree", tree, *where, timeout_s=_LONG_S)
        return [_entry(row) for row in listed.stdout.split(b"\0") if row]

    def ids_at(self, commit: str, paths: Sequence[str]) -> dict[str, str]:
        """The object ids of the files and folders at these paths of a commit; what is not there is left out."""
        listed = self.git.run("ls-tree", "-z", "--full-tree", check_id(commit), "--", *paths)
        return {entry.path: entry.sha for entry in (_entry(row) for row in listed.stdout.split(b"\0") if row)}

    def list_files(self, rev: str, under: str = "") -> list[str]:
        """The paths of all files and links below `under`; gitlinks are left out."""
        return [entry.path for entry in self.entries(rev, under) if entry.kind == "blob"]

    def read_file(self, rev: str, path: str) -> bytes | None:
        """The content of a regular file, or None when there is none at this path (a folder, a link, nothing)."""
        tree = self.tree_of(rev)
        if not is_plain_path(path):
            return None
        listed = self.git.run("ls-tree", "-z", "--full-tree", tree, "--", path).stdout
        rows = [_entry(row) for row in listed.split(b"\0") if row]
        found = next((row for row in rows if row.path == path and row.mode in ("100644", "100755")), None)
        return self.blob(found.sha) if found else None

    def changed(self, tree_a: str, tree_b: str) -> list[Change]:
        """What differs between two trees (or commits), by `diff-tree -r -z --no-renames`, never through a work tree."""
        done = self.git.run(
            "diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--no-ext-diff", "--no-textconv",
            "--ignore-submodules=none", check_id(tree_a), check_id(tree_b), "--", timeout_s=_LONG_S,
        )  # fmt: skip
        return _changes(done.stdout)

    def changed_lines(self, tree_a: str, tree_b: str) -> int:
        """How many lines are added or deleted between two trees (or commits); every file counts as text."""
        done = self.git.run(
            "diff-tree", "-r", "-z", "--numstat", "--text", "--no-renames", "--no-ext-diff", "--no-textconv",
            check_id(tree_a), check_id(tree_b), "--", timeout_s=_LONG_S,
        )  # fmt: skip
        rows = (row.split(b"\t", 2) for row in done.stdout.split(b"\0") if row)
        return sum(int(count) for row in rows for count in row[:2] if count.isdigit())

    def blob(self, sha: str) -> bytes:
        """A blob's content."""
        return self.git.run("cat-file", "blob", check_id(sha), timeout_s=_LONG_S).stdout

    def blob_sizes(self, shas: Iterable[str]) -> dict[str, int]:
        """Sizes in bytes of many blobs with one call."""
        wanted = [check_id(sha) for sha in shas]
        if not wanted:
            return {}
        asked = "".join(f"{sha}\n" for sha in wanted).encode("ascii")
        done = self.git.run("cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)", stdin=asked)
        sizes: dict[str, int] = {}
        for row in done.line.splitlines():
            sha, *said = row.split()
            if len(said) != 2 or said[0] != "blob":
                raise GitError(["cat-file", "--batch-check"], 0, f"{sha} is not a blob of the hub")
            sizes[sha] = int(said[1])
        return sizes

    def diff_text(self, a: str, b: str, cap_bytes: int = 200_000) -> str:
        """A patch from tree or commit `a` to `b` for people and prompts, as it is: sanitise it before it is shown.
        Cut at `cap_bytes`, with a last line that says so."""
        content, whole = self.git.head(
            "diff-tree", "-r", "-p", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color",
            check_id(a), check_id(b), "--", cap_bytes=cap_bytes,
        )  # fmt: skip
        text = content.decode("utf-8", "replace")
        return text if whole else f"{text}\n[cut at {cap_bytes} bytes]\n"

    # ---- making commits ------------------------------------------------------------------------------------------

    def merge_tree(self, ours: str, theirs: str, base: str | None = None) -> str:
        """The tree of a three-way merge of two commits (with `base` also of trees), made without any checkout.

        Raises MergeConflict with the paths. base: merge as if this commit or tree were the common ancestor.
        """
        if base is not None:
            # `--merge-base` is younger than our minimum. Parentless and child commits say the same to every git.
            ancestor = self.commit(self._resolve(check_id(base), "tree"), [], "base\n", 0.0)
            ours, theirs = (
                self.commit(self._resolve(check_id(side), "tree"), [ancestor], f"{name}\n", 0.0)
                for name, side in (("ours", ours), ("theirs", theirs))
            )
        done = self.git.run(
            "merge-tree", "--write-tree", "--no-messages", "--name-only", "-z", check_id(ours), check_id(theirs),
            ok=(0, 1), timeout_s=_LONG_S,
        )  # fmt: skip
        tree, *paths = split_z(done.stdout)
        if done.returncode == 1:
            raise MergeConflict(tuple(dict.fromkeys(paths)))
        return tree

    def commit(self, tree: str, parents: Sequence[str], message: str, at: float) -> str:
        """Make a commit and return its id. Identity and dates are fixed by us, so the same arguments give the same id.

        at: UTC seconds; fractions are cut. No ref points at it yet.
        """
        stamp = f"@{max(0, int(at))} +0000"
        env = {
            "GIT_AUTHOR_NAME": IDENTITY_NAME,
            "GIT_AUTHOR_EMAIL": IDENTITY_MAIL,
            "GIT_AUTHOR_DATE": stamp,
            "GIT_COMMITTER_NAME": IDENTITY_NAME,
            "GIT_COMMITTER_EMAIL": IDENTITY_MAIL,
            "GIT_COMMITTER_DATE": stamp,
        }
        text = message.replace("\0", "\ufffd").encode("utf-8", "replace")
        options = [word for parent in parents for word in ("-p", check_id(parent))]
        done = self.git.run("commit-tree", *options, "-F", "-", check_id(tree), stdin=text, env=env)
        return check_id(done.line)

    # ---- other repositories --------------------------------------------------------------------------------------

    def fetch_user(self, user_repo: Path, branch: str) -> str:
        """Bring the user's branch into `refs/swarm/user/`; its commit. Raises UserError when it is not there, or when
        git refuses what it brings."""
        ref = f"refs/swarm/user/{check_branch(branch)}"
        fetch(self.git, user_repo, f"+refs/heads/{branch}:{ref}", checked=True)
        return self._resolve(ref, "commit")

    def fetch_objects(self, user_repo: Path, rev: str) -> str:
        """Bring the commit that `rev` means in the user's repository, writing no ref. Raises UserError."""
        asked = f"{check_revision(rev)}^{{commit}}"
        done = UserGit(user_repo).run("rev-parse", "--verify", "--quiet", "--end-of-options", asked, ok=(0, 1, 128))
        if done.returncode != 0:
            raise UserError(f'"{rev}" is no commit of {user_repo}: name a branch, a tag or a commit id.')
        commit = check_id(done.line)
        if not self.has(commit):
            fetch(self.git, user_repo, commit, checked=True)
        return commit

    def advance_base(self) -> None:
        """Bring base up to hub's main, so that new workspaces can borrow what landed."""
        with self._advancing:  # two fetches into one ref would stumble over each other
            fetch(self.base, self.path, f"{MAIN}:{MAIN}")

    def fsck(self) -> None:
        """Check every object of both stores. Raises GitError with git's words when something is damaged or missing."""
        tolerated = {f"fsck.{name}": "ignore" for name in _TOLERATED}
        for git in (self.base, self.git):
            git.run(
                "fsck",
                "--full",
                "--no-dangling",
                "--no-reflogs",
                "--no-progress",
                settings=tolerated,
                timeout_s=7_200.0,
            )

    def _resolve(self, rev: str, kind: str) -> str:
        done = self.git.run("rev-parse", "--verify", "--quiet", "--end-of-options", f"{rev}^{{{kind}}}", ok=(0, 1, 128))
        if done.returncode != 0 or not is_id(done.line):
            raise UserError(f'"{rev}" is no {kind} that the swarm knows: name a branch, a tag or a commit id.')
        return done.line


def _keep_ref(name: str) -> str:
    return f"refs/swarm/keep/{safe_name(name)}"


def _entry(row: bytes) -> Entry:
    meta, _, path = row.partition(b"\t")
    mode, kind, sha = meta.decode("ascii").split()
    return Entry(mode, kind, sha, decode_path(path))


def _changes(raw: bytes) -> list[Change]:
    rows: list[Change] = []
    parts = iter(raw.split(b"\0"))
    for meta in parts:
        if meta:
            old_mode, new_mode, old_sha, new_sha, status = meta.decode("ascii").lstrip(":").split()
            rows.append(Change(status[0], old_mode, new_mode, old_sha, new_sha, decode_path(next(parts))))
    return rows


def _commit_info(fields: list[str]) -> CommitInfo:
    commit, tree, parents, author, subject, at, block = fields
    trailers: dict[str, list[str]] = {}
    for line in block.splitlines():
        name, colon, value = line.partition(":")
        if colon:
            trailers.setdefault(name.strip(), []).append(value.strip())
    return CommitInfo(commit, tree, tuple(parents.split()), author, subject, trailers, float(at))
