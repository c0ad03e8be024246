"""A look at the user's own repository: what it is, and what a person must mend before the swarm can work on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.errors import UserError
from engine.git.door import Completed, UserGit
from engine.git.names import check_branch, decode_path
from engine.text.sanitise import sanitise_line

_ABOUT = (
    "--is-bare-repository",
    "--is-shallow-repository",
    "--show-object-format",
    "--path-format=absolute",
    "--git-dir",
    "--git-common-dir",
    "--show-toplevel",
)
"""Asked at once, since each call of git costs milliseconds. Only the last one fails where there are no files."""
_ABOUT_ROWS = len(_ABOUT) - 1  # --path-format says nothing itself


@dataclass(frozen=True)
class Repository:
    """root: the top of the work tree. git_dir: of this worktree. common_dir: where branches and objects are.

    branch: the checked-out one, None when HEAD is detached. head: full id. object_format: sha1 or sha256.
    """

    root: Path
    git_dir: Path
    common_dir: Path
    branch: str | None
    head: str
    object_format: str


@dataclass(frozen=True)
class _About:
    shallow: bool
    object_format: str
    git_dir: Path
    common_dir: Path
    root: Path


def root_of(path: Path) -> Path:
    """The top of the work tree that `path` lies in, with one question to git: for commands that only look.

    Raises UserError: no folder, no repository, not trusted by git, bare.
    """
    return _about(path).root


def inspect(path: Path, main_branch: str | None = None) -> Repository:
    """The repository that `path` lies in. `main_branch`: must be there, when given.

    Raises UserError: no folder, no repository, not trusted by git, bare, without commits, without the branch, shallow
    or partial (a history with holes cannot be proved).
    """
    about = _about(path)
    git, shown = UserGit(path), sanitise_line(str(path))
    head = git.run("rev-parse", "--verify", "--quiet", "HEAD^{commit}", ok=(0, 1, 128))
    wanted = check_branch(main_branch) if main_branch is not None else None
    if head.returncode != 0 and (wanted is None or user_tip(path, wanted) is None):
        raise UserError(f"{shown} has no commit yet: make the first one, then start the swarm.")
    if wanted is not None and user_tip(path, wanted) is None:
        raise UserError(f'{shown} has no branch "{wanted}": name the right one as project.main in swarm.toml.')
    if about.shallow:
        raise UserError(f"{shown} is a shallow clone: run `git fetch --unshallow` first.")
    if git.run("config", "--get", "extensions.partialClone", ok=(0, 1)).returncode == 0:
        raise UserError(f"{shown} is a partial clone, whose history has holes: clone it without --filter.")
    branch = git.run("symbolic-ref", "--quiet", "--short", "HEAD", ok=(0, 1))
    return Repository(
        root=about.root,
        git_dir=about.git_dir,
        common_dir=about.common_dir,
        branch=branch.line if branch.returncode == 0 else None,
        head=head.line if head.returncode == 0 else "",
        object_format=about.object_format,
    )


def user_tip(user_repo: Path, branch: str) -> str | None:
    """The commit of the user's branch, or None when there is no such branch."""
    ref = f"refs/heads/{check_branch(branch)}^{{commit}}"
    done = UserGit(user_repo).run("rev-parse", "--verify", "--quiet", "--end-of-options", ref, ok=(0, 1))
    return done.line if done.returncode == 0 else None


def _about(path: Path) -> _About:
    shown = sanitise_line(str(path))
    if not path.is_dir():
        raise UserError(f"{shown} is not a folder: name a git repository with --repo.")
    done = UserGit(path).run("rev-parse", *_ABOUT, ok=(0, 128))
    rows = [decode_path(row.removesuffix(b"\r")) for row in done.stdout.removesuffix(b"\n").split(b"\n")]
    if not done.stdout:
        raise UserError(_why_not(shown, done))
    if rows[0] == "true":
        raise UserError(f"{shown} is a bare repository: name a clone of it that has files.")
    if done.returncode != 0:
        raise UserError(f"{shown} lies inside a repository's .git: name the folder with the files.")
    if len(rows) != _ABOUT_ROWS:
        raise UserError(f"{shown} has a line break in its path: move it to a folder without one.")
    return _About(rows[1] == "true", rows[2], Path(rows[3]), Path(rows[4]), Path(rows[5]))


def _why_not(path: str, done: Completed) -> str:
    if "dubious ownership" in done.stderr:
        trust = f'git config --global --add safe.directory "{path}"'
        return f"{path} belongs to another account: run `{trust}` if you trust it."
    if "not a git repository" in done.stderr:
        return f"{path} is not in a git repository: name one with --repo, or run `git init` and commit."
    first = next((line for line in done.stderr.splitlines() if line.strip()), "git gave no reason")
    return f"git cannot read {path} ({sanitise_line(first.strip())[:200]}): mend that first."
