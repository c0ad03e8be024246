"""The hub: made from the user's branch, read, and moved."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from engine.errors import GitError, MergeConflict, SwarmError, UserError
from engine.git.door import Git
from engine.git.hub import Hub
from engine.git.workspaces import Workspaces
from tests_git import Land, Repo
