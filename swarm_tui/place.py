"""Which repository and which state folder a command is about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.folders import StateFolder, state_folder_for
from engine.git.user_repository import Repository, inspect, root_of


@dataclass(frozen=True)
class Place:
    repository: Repository
    folders: StateFolder


def find_place(repo: Path | None, state: Path | None) -> Place:
    """Raises UserError: not a git repository, no commits, a state folder that cannot serve."""
    repository = inspect((repo or Path.cwd()).resolve())
    return Place(repository, state_folder_for(repository.root, state))


def find_folders(repo: Path | None, state: Path | None) -> StateFolder:
    """The state folder alone, for commands that only look: they need to know less of the repository, and are faster."""
    return state_folder_for(root_of((repo or Path.cwd()).resolve()), state)
