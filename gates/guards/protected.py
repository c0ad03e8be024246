"""Guard "protected": files that decide what is proved, or that instruct tools and agents, do not change by the way."""

from __future__ import annotations

import configparser
import tomllib
import unicodedata
from typing import Any

from engine.models.report import GuardResult
from engine.scope import matches
from gates.guards.guard import Judged, shown

BUILT_IN: tuple[str, ...] = (
    # definitions of gates, canary and the swarm itself
    *("swarm.toml", "roadmap.toml", "canary/**", "**/Makefile", "**/GNUmakefile", "**/justfile", "**/.justfile"),
    *("noxfile.py", ".pre-commit-config.yaml"),
    # continuous integration
    *(".ci/**", ".github/**", ".gitlab-ci.yml", ".gitlab/**", ".gitea/**", ".forgejo/**", ".circleci/**"),
    *(".woodpecker/**", ".woodpecker.yml", "azure-pipelines.yml", "Jenkinsfile", ".travis.yml", ".buildkite/**"),
    # what test runners and interpreters read by themselves
    *("**/conftest.py", "**/pytest.ini", "**/.pytest.ini", "**/pytest.toml", "**/.pytest.toml", "**/tox.ini"),
    *("**/sitecustomize.py", "**/usercustomize.py", "**/*.pth", "**/.coveragerc"),
    # bytecode: Python runs it instead of a source (a test, a conftest.py) that nobody seems to have changed
    *("**/__pycache__/**", "**/*.pyc"),
    # what builds run or are redirected by
    *("**/build.rs", "**/.cargo/**", "**/.config/nextest.toml", "**/nextest.toml"),
    *("**/rust-toolchain", "**/rust-toolchain.toml", "**/.npmrc", "**/pip.conf", "**/uv.toml"),
    # recorded truth
    *("**/__snapshots__/**", "**/snapshots/**", "**/*.snap", "**/golden/**", "**/goldens/**", "**/*.golden"),
    # instructions and permissions of coding agents and editors
    *(
        "**/AGENTS.md",
        "**/CLAUDE.md",
        "**/GEMINI.md",
        "**/.claude/**",
        "**/.codex/**",
        "**/.gemini/**",
        "**/.cursor/**",
    ),
    *("**/.cursorrules", "**/.windsurfrules", "**/.mcp.json", "**/opencode.json", "**/.opencode/**", "**/.aider*"),
    *("**/.vscode/**", "**/.idea/**", "**/.envrc"),
    # git's own
    *("**/.gitattributes", "**/.gitmodules", "**/.gitconfig", "**/.lfsconfig"),
)
_GLOB_SIGNS = frozenset("*?")


class ProtectedGuard:
    """Compared without regard to case and Unicode form, because some file systems do not regard them either.

    A work order may touch a protected file that its `allow` names in full, without wildcards: then a person wrote that
    exact permission. In pyproject.toml and setup.cfg only pytest's own tables are protected.
    """

    name = "protected"

    def judge(self, change: Judged) -> GuardResult:
        globs = [_key(glob) for glob in (*BUILT_IN, *change.request.guards.protected)]
        named = {glob for glob in change.request.allow if not _GLOB_SIGNS & set(glob)}
        touched = [
            row.path for row in change.rows if matches(_key(row.path), globs) or _configures_pytest(change, row.path)
        ]
        refused = [path for path in touched if path not in named]
        if refused:
            reason = f"{shown(refused)} is protected; a work order may change it only if its allow names it in full."
            return GuardResult(rule=self.name, ok=False, reason=reason, paths=refused)
        allowed = f"{shown(touched)} is protected, and the work order names it in full." if touched else ""
        return GuardResult(rule=self.name, ok=True, reason=allowed, paths=touched)


def _key(path: str) -> str:
    return unicodedata.normalize("NFC", path).casefold()


def _configures_pytest(change: Judged, path: str) -> bool:
    name = _key(path).rpartition("/")[2]
    if name == "pyproject.toml":
        read = _pyproject_tables
    elif name == "setup.cfg":
        read = _setup_tables
    else:
        return False
    old, new = (change.read(tree, path) for tree in (change.request.base_tree, change.request.tree))
    try:
        return read(old) != read(new)
    except (ValueError, configparser.Error):
        return True  # nobody knows what a broken file says


def _pyproject_tables(content: bytes | None) -> object:
    if content is None:
        return {}
    tool: Any = tomllib.loads(content.decode("utf-8")).get("tool", {})
    return {key: tool[key] for key in ("pytest", "tox", "coverage") if isinstance(tool, dict) and key in tool}


def _setup_tables(content: bytes | None) -> object:
    if content is None:
        return {}
    parser = configparser.RawConfigParser(strict=True)
    parser.read_string(content.decode("utf-8"))
    wanted = [name for name in parser.sections() if name in ("tool:pytest", "pytest") or "coverage" in name]
    return {name: dict(parser.items(name)) for name in wanted}
