"""Which program a name means, where it really lies, and what it needs to be able to read.

Names are looked up on the engine's PATH and never in the current folder. Version managers put small launchers there
(pyenv's shims, rustup's proxies) that choose by the folder they are run in; a gate must not let the tree under test
choose, and a sandbox cannot run them, so what is resolved is the program behind them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import cast

from engine.errors import UserError
from engine.process.environment import absolute_entries

TIMEOUT_S = 20.0
PYTHON = ("python", "python3")
RUST = ("cargo", "rustc", "rustdoc", "rustfmt", "cargo-fmt", "cargo-clippy", "clippy-driver")
SAFE_TO_ASK = frozenset(
    [
        *(
            "bash",
            "bun",
            "clang",
            "cmake",
            "deno",
            "dotnet",
            "g++",
            "gcc",
            "git",
            "java",
            "make",
            "meson",
            "mypy",
            "ninja",
        ),
        *(
            "node",
            "nox",
            "npm",
            "npx",
            "perl",
            "php",
            "pnpm",
            "prek",
            "pytest",
            "ruby",
            "ruff",
            "tox",
            "tsc",
            "uv",
            "yarn",
        ),
    ]
)
"""Programs of which `--version` is known to print a version and do nothing else; `go` is asked by `go version`."""
_ABOUT_PYTHON = (
    "import json, sys; print(json.dumps([sys.executable, sys.prefix, sys.base_prefix, sys.base_exec_prefix, "
    "'.'.join(map(str, sys.version_info[:3])), sys.implementation.name]))"
)


class ProgramMissing(UserError):
    """A program that is not there. The message is one sentence."""


@dataclass(frozen=True)
class Program:
    """`path` is absolute, or relative when it lies in the tree.

    `roots` are folders that a sandbox must make readable for it. `version` is the program's own word, "" if not asked.
    """

    name: str
    path: Path
    roots: tuple[Path, ...] = ()
    version: str = ""

    @property
    def command(self) -> str:
        """The first word of its argv. A path in the tree stays as it was written: `./run` is not `run`."""
        return str(self.path) if self.path.is_absolute() else self.name


class Programs:
    """Resolves names on one PATH and remembers what it found. Asking a program blocks for some 20 ms the first time."""

    def __init__(self, path: str) -> None:
        self._path = absolute_entries(path)
        self._known: dict[str, Program] = {}

    def resolve(self, name: str) -> Program:
        """The program that `name` means. A relative name with a slash is a path in the tree and is left as it is.

        Raises ProgramMissing when it is not there, or when the name leads out of the tree.
        """
        if name not in self._known:
            self._known[name] = self._resolve(name)
        return self._known[name]

    def placed(self, name: str) -> Program:
        """A program by its absolute path, without running it or what its first line names by a path: somebody hostile
        may have written either. Raises ProgramMissing."""
        path = Path(name)
        if not path.is_file():
            raise ProgramMissing(f"the program {name} does not exist: install it or correct the command")
        words = _first_line(path)
        if not words:
            return Program(name, path, _roots(path))
        interpreter = _roots(Path(words[0])) if _is_absolute(words[0]) else self.resolve(words[0]).roots
        return Program(name, path, _unique((*_roots(path), *interpreter)))

    def _resolve(self, name: str) -> Program:
        if not name:
            raise ProgramMissing("the command is empty: name a program")
        if _is_absolute(name):
            path = Path(name)
            if not path.is_file():
                raise ProgramMissing(f"the program {name} does not exist: install it or correct the command")
            return Program(name, path, self._all_roots(path), self._version(path))
        if "/" in name or (sys.platform == "win32" and "\\" in name):
            if ".." in PureWindowsPath(name).parts:
                raise ProgramMissing(f"the program {name} lies outside the tree: name a program or a path in the tree")
            return Program(name, Path(name))
        if name in PYTHON:
            return self._python(name)
        path = next(self._find(name), None)
        if path is None:
            raise ProgramMissing(f"the program {name!r} is not on PATH: install it or correct the command")
        if name in RUST:
            return self._rust(name, path)
        real = self._behind_pyenv(name, path)
        return Program(name, real, self._all_roots(real), self._version(real))

    def _find(self, name: str) -> Iterator[Path]:
        """Every program of that name on PATH, first one first."""
        endings = [""]
        if sys.platform == "win32":
            endings = [*os.environ.get("PATHEXT", ".COM;.EXE;.BAT;.CMD").lower().split(";")]
            if Path(name).suffix.lower() in endings:
                endings = [""]
        for folder in self._path.split(os.pathsep):
            for ending in endings if folder else ():
                path = Path(folder, name + ending)
                if path.is_file() and os.access(path, os.X_OK):
                    yield path

    def _python(self, name: str) -> Program:
        """Asks each `python` on PATH where it really is; the engine's own when none of them answers."""
        for candidate in (*self._find(name), Path(sys.executable)):
            said = self._ask(candidate, "-I", "-c", _ABOUT_PYTHON)
            try:
                executable, *prefixes, version, implementation = cast("list[str]", json.loads(said))
            except ValueError:
                continue  # a launcher with nothing behind it, such as the one that Windows puts on PATH
            path = Path(executable)
            homes = (*map(Path, prefixes), path.resolve().parent.parent)
            label = "Python" if implementation == "cpython" else implementation
            return Program(name, path, _unique(homes), f"{label} {version}")
        raise ProgramMissing(f"no {name!r} on PATH answers: install Python or correct the command")

    def _rust(self, name: str, path: Path) -> Program:
        """Sees through rustup: the toolchain's own program, chosen without looking at any tree's toolchain file."""
        rustc = next(self._find("rustc"), None)
        sysroot = self._ask(rustc, "--print", "sysroot").strip() if rustc is not None else ""
        real = Path(sysroot, "bin", path.name) if sysroot else path
        if not real.is_file():
            real = path
        roots = _unique((Path(sysroot), *_roots(real))) if sysroot else _roots(real)
        return Program(name, real, roots, self._ask(real, "--version").strip())

    def _behind_pyenv(self, name: str, path: Path) -> Path:
        """What a pyenv shim would run; any other path as it is."""
        if path.parent.name != "shims" or not (path.parent.parent / "versions").is_dir():
            return path
        pyenv = next(self._find("pyenv"), path.parent.parent / "bin" / "pyenv")
        said = self._ask(pyenv, "which", name).strip()
        if not said or not Path(said).is_file():
            raise ProgramMissing(f"the program {name!r} is a pyenv shim with nothing behind it: install it")
        return Path(said)

    def _all_roots(self, path: Path) -> tuple[Path, ...]:
        """The roots of a program and, for a script, of the interpreter that its first line names."""
        words = _first_line(path)
        if not words or words[0] == str(path):
            return _roots(path)
        try:
            return _unique((*_roots(path), *self.resolve(words[0]).roots))
        except ProgramMissing:
            return _roots(path)

    def _version(self, path: Path) -> str:
        if path.stem == "go":
            return self._ask(path, "version").strip()
        if path.stem not in SAFE_TO_ASK:
            return ""
        lines = self._ask(path, "--version").strip().splitlines()
        return lines[0][:200] if lines else ""

    def _ask(self, program: Path, *arguments: str) -> str:
        """Its standard output, "" on any failure. Asked from the root folder, so that no tree's files have a say."""
        try:
            return subprocess.run(
                (str(program), *arguments),
                cwd=Path(program.anchor),
                env={**os.environ, "PATH": self._path},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=TIMEOUT_S,
                check=True,
            ).stdout.decode("utf-8", "replace")
        except (OSError, subprocess.SubprocessError):
            return ""


def _first_line(path: Path) -> list[str]:
    """The interpreter that a script names, and its arguments; nothing for what is no script. Raises OSError."""
    with path.open("rb") as file:
        first = file.readline(512)
    words = first[2:].decode("utf-8", "replace").split() if first.startswith(b"#!") else []
    if words and Path(words[0]).name == "env":
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    return words


def _is_absolute(name: str) -> bool:
    return PurePosixPath(name).is_absolute() or (sys.platform == "win32" and PureWindowsPath(name).is_absolute())


def _roots(path: Path) -> tuple[Path, ...]:
    """The folder of a program and of what it is a link to; the whole prefix where it looks like an installation.

    Never a prefix that holds a person's other things: the home folder and ~/.local have a `bin`, a `lib` and secrets.
    """
    folders: list[Path] = []
    for file in (path, path.resolve()):
        folder = file.parent
        prefix = folder.parent
        shared = {Path.home(), Path.home() / ".local", Path(prefix.anchor)}
        installed = any((prefix / part).is_dir() for part in ("lib", "libexec"))
        folders.append(prefix if folder.name == "bin" and prefix not in shared and installed else folder)
    return _unique(folders)


def _unique(folders: list[Path] | tuple[Path, ...]) -> tuple[Path, ...]:
    """Without doubles and without the root folder, in order."""
    return tuple(dict.fromkeys(folder for folder in folders if folder != Path(folder.anchor)))
