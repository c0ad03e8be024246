"""A tree, an exchange folder, and a run under watch as the runner starts it, without any engine around it."""

from __future__ import annotations

import functools
import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from engine.process.programs import Program, ProgramMissing, Programs
from gates.results.adapter import Seen, Watch
from gates.results.table import adapter

FIXTURE = Path(__file__).resolve().parent.parent / "rust_fixture"
_HOME = Path(os.path.expanduser("~"))  # noqa: PTH111 (before any test changes HOME)


@functools.cache
def found(name: str) -> Program | None:
    """The program that a gate would run, looked up as the engine does; None where it is not installed.

    rustup's stand-in for cargo is there for everybody, and does nothing for a person without a toolchain.
    """
    try:
        program = Programs(os.environ.get("PATH", "") + os.pathsep + str(_HOME / ".cargo" / "bin")).resolve(name)
    except ProgramMissing:
        return None
    if name.startswith("cargo"):
        env = {"RUSTUP_HOME": str(_HOME / ".rustup"), **os.environ}
        if subprocess.run([program.path, "-V"], env=env, capture_output=True, check=False).returncode:
            return None
    return program


class Watched:
    """`run` runs a gate's argv under watch in `tree` and says what was seen; it may be called again and again."""

    def __init__(self, folder: Path, path: str = "") -> None:
        self.tree, self.folder = folder / "tree", folder
        self.path = os.pathsep.join(filter(None, [path, os.environ["PATH"]]))
        self.watch = Watch(folder / "exchange", "00", self.tree)
        self.exit_code, self.output, self.runs = -1, "", 0
        self.tree.mkdir()
        for name in ("home", "tmp"):
            (folder / name).mkdir()

    def write(self, files: Mapping[str, str]) -> Watched:
        for name, text in files.items():
            path = self.tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        return self

    def run(self, results: str, program: str | Path, *arguments: str, **env: str) -> Seen:
        self.runs += 1
        self.watch = Watch(self.folder / f"exchange-{self.runs}", secrets.token_hex(32), self.tree)
        self.watch.exchange.mkdir()
        (self.watch.exchange / "nonce").write_text(self.watch.nonce, encoding="ascii")
        reader = adapter(results)
        argv = (str(program), *arguments)
        assert reader.problem(argv) == ""
        home, tmp = str(self.folder / "home"), str(self.folder / "tmp")
        done = subprocess.run(
            reader.launch(argv, self.watch).argv, cwd=self.tree, stdin=subprocess.DEVNULL, check=False,
            env={"PATH": self.path, "HOME": home, "USERPROFILE": home, "TMPDIR": tmp, "TMP": tmp, "TEMP": tmp, **env},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.exit_code, self.output = done.returncode, done.stdout.decode("utf-8", "replace")
        return reader.read(done.returncode, self.watch)

    def files(self) -> set[str]:
        """What lies in the tree, less what builds leave."""
        return {
            path.relative_to(self.tree).as_posix()
            for path in self.tree.rglob("*")
            if "target" not in path.relative_to(self.tree).parts
        }


def rust(folder: Path, path: str = "") -> Watched:
    """The workspace of three crates, in a tree of its own."""
    watched = Watched(folder, path)
    shutil.copytree(FIXTURE, watched.tree, dirs_exist_ok=True)
    return watched


def crate(folder: Path, library: str, *, manifest: str = "", **more: str) -> Watched:
    """A crate `one` with this `src/lib.rs`. more: other files, with `__` for a slash."""
    head = '[package]\nname = "one"\nversion = "0.1.0"\nedition = "2021"\n'
    others = {name.replace("__", "/") + ".rs": text for name, text in more.items()}
    return Watched(folder).write({"Cargo.toml": head + manifest, "src/lib.rs": library, **others})
