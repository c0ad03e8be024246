"""What a gate's result depends on in the tree: all of it, or, where the settings declare `inputs`, a part of it."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from engine.git.hub import Entry
from engine.models.settings import Gate
from engine.scope import matches
from gates.guards.protected import BUILT_IN
from gates.strict_json import digest

READ_BY_TOOLS: tuple[str, ...] = (
    *BUILT_IN,
    # lock files and what names dependencies
    *("**/Cargo.lock", "**/Cargo.toml", "**/uv.lock", "**/poetry.lock", "**/pdm.lock", "**/pylock*.toml"),
    *("**/Pipfile", "**/Pipfile.lock", "**/requirements*.txt", "**/constraints*.txt"),
    *("**/package.json", "**/package-lock.json", "**/npm-shrinkwrap.json", "**/yarn.lock", "**/pnpm-lock.yaml"),
    *("**/bun.lock", "**/bun.lockb", "**/deno.json", "**/deno.lock", "**/go.mod", "**/go.sum", "**/go.work"),
    *("**/go.work.sum", "**/Gemfile", "**/Gemfile.lock", "**/composer.json", "**/composer.lock", "**/flake.lock"),
    # toolchains
    *("**/.python-version", "**/.tool-versions", "**/mise.toml", "**/.nvmrc", "**/.node-version", "**/flake.nix"),
    # build scripts and what configures tools
    *("**/pyproject.toml", "**/setup.py", "**/setup.cfg", "**/noxfile.py", "**/meson.build", "**/CMakeLists.txt"),
    *("**/*.cmake", "**/*.mk", "**/build.gradle*", "**/settings.gradle*", "**/pom.xml", "**/BUILD", "**/BUILD.bazel"),
    *("**/WORKSPACE", "**/MODULE.bazel", "**/tsconfig*.json", "**/jest.config.*", "**/vitest.config.*"),
    *("**/vite.config.*", "**/babel.config.*", "**/.babelrc*", "**/.eslintrc*", "**/eslint.config.*"),
    *("**/ruff.toml", "**/.ruff.toml", "**/mypy.ini", "**/.mypy.ini", "**/.flake8", "**/pyrightconfig.json"),
    *("**/clippy.toml", "**/.clippy.toml", "**/rustfmt.toml", "**/.rustfmt.toml", "**/deny.toml", "**/.golangci.*"),
    *("**/.editorconfig", "**/.gitignore", "**/.ignore", "**/.env*"),
)
"""What tools read without being told to. A change of any of them runs every gate, whatever its `inputs` say."""
_READ = tuple(unicodedata.normalize("NFC", glob).casefold() for glob in READ_BY_TOOLS)


def input_digest(gate: Gate, entries: Sequence[Entry]) -> str:
    """The digest of the part of a tree that the gate declares, with what its argv names and what tools read anyway."""
    named = {word.removeprefix("./") for word in gate.run}
    chosen = [
        [entry.path, entry.mode, entry.sha]
        for entry in entries
        if entry.path in named
        or matches(entry.path, gate.inputs)
        or matches(unicodedata.normalize("NFC", entry.path).casefold(), _READ)
    ]
    return digest([[path.encode("utf-8", "surrogateescape").hex(), mode, sha] for path, mode, sha in chosen])
