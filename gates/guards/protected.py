"""Guard "protected": files that decide what is proved, or that instruct tools and agents, do not change by the way."""

from __future__ import annotations

from engine.models.report import GuardResult
from gates.guards.globs import compiled
from gates.guards.guard import Judged, fold, shown
from gates.guards.protected_tables import changes_tables
from gates.guards.recorded import differences, fingerprint

RECORDED_TRUTH: tuple[str, ...] = (
    *("**/__snapshots__/**", "**/snapshots/**", "**/*.snap", "**/*.snap.new", "**/golden/**", "**/goldens/**"),
    *("**/*.golden", "**/*.approved.*"),
)
GOLDENS: tuple[str, ...] = ("canary/golden/**",)
"""What the canary is held against: no work order's allow is enough, a person accepts exactly the new content."""
BUILT_IN: tuple[str, ...] = (
    # definitions of gates, canary and the swarm itself
    *("swarm.toml", "roadmap.toml", "canary/**", "**/Makefile", "**/GNUmakefile", "**/justfile", "**/.justfile"),
    *(
        "**/*.mk",
        "**/noxfile.py",
        "**/Taskfile.yml",
        "**/Taskfile.yaml",
        "**/.pre-commit-config.yaml",
        "**/lefthook.yml",
    ),
    *("**/.husky/**", ".githooks/**"),
    # continuous integration
    *(".ci/**", ".github/**", ".gitlab-ci.yml", ".gitlab/**", ".gitea/**", ".forgejo/**", ".circleci/**"),
    *(".woodpecker/**", ".woodpecker.yml", "azure-pipelines.yml", "Jenkinsfile", ".travis.yml", ".buildkite/**"),
    *("bitbucket-pipelines.yml", ".drone.yml", ".cirrus.yml", "appveyor.yml", ".appveyor.yml"),
    # what test runners and interpreters read by themselves
    *("**/conftest.py", "**/pytest.ini", "**/.pytest.ini", "**/pytest.toml", "**/.pytest.toml", "**/tox.ini"),
    *("**/tox.toml", "**/sitecustomize.py", "**/usercustomize.py", "**/*.pth", "**/*.egg-link", "**/.coveragerc"),
    *("**/pyvenv.cfg", "**/.python-version"),
    *("**/jest.config.*", "**/vitest.config.*", "**/vitest.workspace.*", "**/karma.conf.*", "**/.mocharc*"),
    *("**/playwright.config.*", "**/cypress.config.*", "**/ava.config.*", "**/.nycrc*", "**/.c8rc*"),
    # packages that stand in for the runner when they lie in the working folder
    *("pytest.py", "pytest/**", "_pytest/**", "unittest.py", "unittest/**", "coverage.py"),
    # bytecode: Python runs it instead of a source (a test, a conftest.py) that nobody seems to have changed
    *("**/__pycache__/**", "**/*.pyc", "**/*.pyo"),
    # what builds run or are redirected by
    *("**/build.rs", "**/.cargo/**", "**/.config/nextest.toml", "**/nextest.toml", "**/setup.py"),
    *("**/rust-toolchain", "**/rust-toolchain.toml", "**/.npmrc", "**/.yarnrc", "**/.yarnrc.yml", "**/.yarn/**"),
    *("**/.pnpmfile.cjs", "**/bunfig.toml", "**/pip.conf", "**/pip.ini", "**/uv.toml", "**/poetry.toml"),
    *("**/.condarc", "**/go.work", "**/go.env", "**/.nvmrc", "**/.node-version", "**/.tool-versions", "**/mise.toml"),
    *("**/.mise.toml", "**/.bazelrc", "**/gradle-wrapper.*", "**/init.gradle"),
    # what linters hold the code to
    *("**/clippy.toml", "**/.clippy.toml", "**/rustfmt.toml", "**/.rustfmt.toml", "**/deny.toml", "**/audit.toml"),
    *("**/ruff.toml", "**/.ruff.toml", "**/mypy.ini", "**/.mypy.ini", "**/pyrightconfig.json", "**/.flake8"),
    *("**/.pylintrc", "**/pylintrc", "**/.bandit", "**/.importlinter", "**/.eslintrc*", "**/eslint.config.*"),
    *("**/.eslintignore", "**/biome.json", "**/biome.jsonc", "**/.golangci.*", "**/.gitleaks.toml"),
    *RECORDED_TRUTH,
    # instructions and permissions of coding agents and editors
    *("**/AGENTS.md", "**/AGENT.md", "**/CLAUDE.md", "**/CLAUDE.local.md", "**/GEMINI.md", "**/QWEN.md"),
    *("**/.claude/**", "**/.codex/**", "**/.gemini/**", "**/.cursor/**", "**/.windsurf/**", "**/.clinerules"),
    *("**/.clinerules/**", "**/.roo/**", "**/.roorules", "**/.kiro/**", "**/.junie/**", "**/.continue/**"),
    *("**/.amazonq/**", "**/.copilot/**", "**/copilot-instructions.md", "**/.agents/**", "**/.goosehints"),
    *("**/.cursorrules", "**/.cursorignore", "**/.windsurfrules", "**/.mcp.json", "**/mcp.json"),
    *("**/opencode.json", "**/opencode.jsonc", "**/.opencode/**", "**/.aider*", "**/.vscode/**", "**/.idea/**"),
    *("**/.zed/**", "**/.devcontainer/**", "**/.devcontainer.json", "**/.envrc"),
    # git's own
    *("**/.gitattributes", "**/.gitmodules", "**/.gitconfig", "**/.lfsconfig", "**/.git-blame-ignore-revs"),
)


class ProtectedGuard:
    """Compared without regard to case and Unicode form, because some file systems do not regard them either.

    A work order may touch a protected file that its `allow` names in full, without wildcards: then a person wrote that
    exact permission. Of files that also say ordinary things (pyproject.toml, setup.cfg, package.json, Cargo.toml) only
    the parts that decide what is proved are protected: see `protected_tables`. Of recorded truth, the word names the
    content too, so that what a person allows is this and no other; goldens of the canary need that always.
    """

    name = "protected"

    def judge(self, change: Judged) -> GuardResult:
        request = change.request
        globs = compiled(tuple(fold(glob) for glob in (*BUILT_IN, *request.guards.protected)))
        scripts = {fold(script.removeprefix("./")) for script in request.scripts}
        touched = [
            row.path
            for row in change.rows
            if globs.fullmatch(key := fold(row.path)) or key in scripts or changes_tables(change, row)
        ]
        goldens = compiled(GOLDENS)
        refused = [path for path in touched if not change.names(path) or goldens.fullmatch(fold(path))]
        if refused:
            reason = f"{shown(refused)} is protected; a work order may change it only if its allow names it in full."
            recorded = compiled(RECORDED_TRUTH)
            truths = [path for path in refused if recorded.fullmatch(fold(path))]
            ask = "golden" if len(truths) == len(refused) else "protected_file"
            if truths:
                reason += f" A person may accept it as it is now ({fingerprint(change, truths)})."
            facts = differences(change, truths)
            return GuardResult(rule=self.name, ok=False, reason=reason, paths=refused, ask=ask, facts=facts)
        allowed = f"{shown(touched)} is protected, and the work order names it in full." if touched else ""
        return GuardResult(rule=self.name, ok=True, reason=allowed, paths=touched)
