"""The one door to git: which program, with which environment, which settings, and for how long.

Two kinds of call. `Git` works on repositories of the engine: nothing of the user's configuration, nothing that lies in
a workspace, and no inherited variable has a say. `UserGit` works on the user's own repository as the user would, with
his configuration (line endings, filters), but without hooks and without questions.
"""

from __future__ import annotations

import functools
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.errors import GitError, SwarmError, UserError
from engine.git.never import never

MINIMUM = (2, 38)
"""`merge-tree --write-tree` came with it."""

TIMED_OUT = -1000
NOT_STARTED = -1001
"""The `returncode` of a GitError when git was killed because its time was up, or could not be started."""

_VERSION = re.compile(r"git version (\d+)\.(\d+)")

# What git needs from the outside to start at all. Everything else stays out: HOME, GIT_*, XDG_*, editors, pagers.
_INHERITED = ("PATH", "SYSTEMROOT", "WINDIR", "COMSPEC", "PATHEXT", "TEMP", "TMP", "TMPDIR", "LD_LIBRARY_PATH")

# Variables that would point git at another repository, or make it write where the caller did not ask.
_NOT_FOR_USER_GIT = re.compile(
    r"GIT_(?:DIR|WORK_TREE|INDEX_FILE|INDEX_VERSION|OBJECT_DIRECTORY|ALTERNATE_OBJECT_DIRECTORIES|COMMON_DIR|NAMESPACE"
    r"|PREFIX|CONFIG|SHALLOW_FILE|GRAFT_FILE|TRACE.*|EXTERNAL_DIFF|REPLACE_REF_BASE|QUARANTINE_PATH|REFLOG_ACTION"
    r"|LITERAL_PATHSPECS|GLOB_PATHSPECS|NOGLOB_PATHSPECS|ICASE_PATHSPECS)"
)

_WINDOWS = sys.platform == "win32"

# With the engine's own GIT_DIR these have little left to override; they stand for the day when somebody finds a way.
_SETTINGS: dict[str, str] = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.attributesFile": os.devnull,
    "core.excludesFile": os.devnull,
    "core.autocrlf": "false",
    "core.eol": "lf",
    "core.safecrlf": "false",
    "core.symlinks": "false" if _WINDOWS else "true",
    "core.protectHFS": "true",
    "core.protectNTFS": "true",
    "core.quotePath": "false",
    "core.logAllRefUpdates": "false",
    "core.untrackedCache": "false",
    "core.splitIndex": "false",
    "core.commitGraph": "false",
    "core.multiPackIndex": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "safe.bareRepository": "explicit",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "credential.helper": "",
    "advice.detachedHead": "false",
    "init.defaultBranch": "main",
    "i18n.commitEncoding": "UTF-8",
    "i18n.logOutputEncoding": "UTF-8",
}
if _WINDOWS:
    _SETTINGS["core.longpaths"] = "true"


@dataclass(frozen=True)
class Completed:
    """How a call of git ended. `stderr` is for people; it is not to be parsed where an exit code says the same."""

    returncode: int
    stdout: bytes
    stderr: str

    @property
    def line(self) -> str:
        """The output as text without its last line feed."""
        return self.stdout.decode("utf-8", "surrogateescape").removesuffix("\n").removesuffix("\r")


@functools.cache
def find_git() -> str:
    """The absolute path of git, looked for once. Raises UserError when there is none, or one that is too old."""
    names = ("git.exe",) if _WINDOWS else ("git",)
    for folder in os.get_exec_path():
        # Never the current folder, neither as "." nor by Windows' rule: a repository may bring its own `git`.
        for name in names if Path(folder).is_absolute() else ():
            program = Path(folder, name)
            if program.is_file() and os.access(program, os.X_OK):
                _refuse_old(program)
                return str(program)
    raise UserError("git was not found on the PATH: install git 2.38 or newer.")


@functools.cache
def git_version() -> tuple[int, int]:
    """Major and minor version of the git that `find_git` found."""
    return _version_of(Path(find_git()))


def _version_of(program: Path) -> tuple[int, int]:
    env = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    answer = _execute(("version",), [str(program), "version"], b"", 30.0, env, program.parent)
    found = _VERSION.match(answer.stdout.decode("utf-8", "replace"))
    if found is None:
        raise UserError(f"{program} does not say its version: install git 2.38 or newer.")
    return int(found[1]), int(found[2])


def _refuse_old(program: Path) -> None:
    version = _version_of(program)
    if version < MINIMUM:
        raise UserError(f"{program} is git {version[0]}.{version[1]}: install git 2.38 or newer.")


class Git:
    """git on one repository of the engine. Thread-safe: it holds no state but its settings.

    index: the index file, for calls that use one. work_tree: the files, for calls that touch them; they may be hostile,
    since nothing in their `.git` is read. durable: harden what is written (off for what can be made again).
    """

    def __init__(
        self,
        git_dir: Path,
        *,
        index: Path | None = None,
        work_tree: Path | None = None,
        env_extra: Mapping[str, str] | None = None,
        durable: bool = True,
    ) -> None:
        self.git_dir, self.index, self.work_tree = git_dir, index, work_tree
        self._env_extra, self._durable = dict(env_extra or {}), durable

    def run(
        self,
        *args: str,
        stdin: bytes = b"",
        timeout_s: float = 60.0,
        ok: tuple[int, ...] = (0,),
        local_fetch: bool = False,
        settings: Mapping[str, str | None] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run `git ARGS`. Raises GitError for an exit code that is not in `ok`, or when `timeout_s` is over (git is
        killed then, with its children).

        local_fetch: open the transport to folders on this machine for this call, whoever owns them; all others stay
        shut. settings: further `-c key=value` (None: not even ours). env: further variables, for this call.
        """
        argv = self._argv(args, local_fetch, settings or {})
        done = _execute(args, argv, stdin, timeout_s, self._environment(env or {}, local_fetch), self._cwd())
        if done.returncode not in ok:
            raise GitError(list(args), done.returncode, done.stderr)
        return done

    def head(self, *args: str, cap_bytes: int, stdin: bytes = b"", timeout_s: float = 60.0) -> tuple[bytes, bool]:
        """The first `cap_bytes` of what `git ARGS` prints, and whether that was all. git is killed at the cap."""
        process = _start(
            args, self._argv(args, False, {}), self._environment({}, False), self._cwd(), stderr=subprocess.DEVNULL
        )
        timer = threading.Timer(timeout_s, _kill, (process,))
        timer.start()
        asking = threading.Thread(target=_tell, args=(process, stdin))  # it may answer before it has heard all
        asking.start()
        try:
            assert process.stdout is not None
            content = process.stdout.read(cap_bytes + 1)
            whole = len(content) <= cap_bytes
            returncode = process.wait() if whole else 0
        finally:
            timer.cancel()
            _kill(process)
            asking.join()
        if returncode != 0:
            raise GitError(list(args), returncode, f"failed, or no end within {timeout_s:g} s")
        return content[:cap_bytes], whole

    def _argv(self, args: tuple[str, ...], local_fetch: bool, settings: Mapping[str, str | None]) -> list[str]:
        chosen = {**_SETTINGS, "core.fsync": "all" if self._durable else "none", **settings}
        if local_fetch:
            chosen["protocol.file.allow"] = "always"
        return [
            find_git(),
            "--literal-pathspecs",
            *(f for k, v in chosen.items() if v is not None for f in ("-c", f"{k}={v}")),
            *args,
        ]

    def _environment(self, extra: Mapping[str, str], local_fetch: bool) -> dict[str, str]:
        env = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        env |= {
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_EDITOR": "true",
            "GIT_PAGER": "cat",
            "GIT_DIR": str(self.git_dir),
        }
        if local_fetch:
            # The other side of a fetch is a child of git that gets no `-c`; only a file reaches it. It says no more
            # than that this folder may be read although another account owns it.
            env["GIT_CONFIG_GLOBAL"] = str(_reader_settings())
        if self.index is not None:
            env["GIT_INDEX_FILE"] = str(self.index)
        if self.work_tree is not None:
            env["GIT_WORK_TREE"] = str(self.work_tree)
        return env | self._env_extra | dict(extra)

    def _cwd(self) -> Path:
        return self.work_tree if self.work_tree is not None else self.git_dir.parent


class UserGit:
    """git in the user's own repository, as the user, with his environment and settings; no hooks, no prompts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(
        self,
        *args: str,
        stdin: bytes = b"",
        timeout_s: float = 60.0,
        ok: tuple[int, ...] = (0,),
        settings: Mapping[str, str] | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Completed:
        """Run `git ARGS` in the folder. Raises GitError as `Git.run` does. env: further variables, for this call."""
        chosen = {
            "core.hooksPath": os.devnull,
            "core.fsmonitor": "false",
            "core.quotePath": "false",
            "gc.auto": "0",
            "maintenance.auto": "false",
            **(settings or {}),
        }
        environment = {name: value for name, value in os.environ.items() if not _NOT_FOR_USER_GIT.fullmatch(name)}
        environment |= {
            "LC_ALL": "C",
            "LANGUAGE": "C",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_EDITOR": "true",
            "GIT_MERGE_AUTOEDIT": "no",
            "GIT_REFLOG_ACTION": "swarm publish",
            **(env or {}),
        }
        argv = [find_git(), *(f for k, v in chosen.items() for f in ("-c", f"{k}={v}")), *args]
        done = _execute(args, argv, stdin, timeout_s, environment, self.folder)
        if done.returncode not in ok:
            raise GitError(list(args), done.returncode, done.stderr)
        return done


def _reader_settings() -> Path:
    return Path(__file__).with_name("reader.gitconfig")


def _execute(
    args: tuple[str, ...], argv: list[str], stdin: bytes, timeout_s: float, env: Mapping[str, str], cwd: Path
) -> Completed:
    process = _start(args, argv, env, cwd, stderr=subprocess.PIPE)
    try:
        stdout, stderr = process.communicate(stdin, timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        _kill(process)
        raise GitError(list(args), TIMED_OUT, f"no end within {timeout_s:g} s") from error
    except BaseException:
        _kill(process)
        raise
    return Completed(process.returncode, stdout, stderr.decode("utf-8", "replace"))


def _start(
    args: tuple[str, ...], argv: list[str], env: Mapping[str, str], cwd: Path, stderr: int
) -> subprocess.Popen[bytes]:
    """Its own process group, so that its children end with it, and Ctrl-C at the terminal does not end it half-way.

    Raises SwarmError for what is never run."""
    if wrong := never(args):
        raise SwarmError(f"{wrong}: the swarm never does that; this is a mistake in it, so please report it.")
    flags = 0
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
    try:
        return subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=dict(env),
            cwd=cwd,
            creationflags=flags,
            start_new_session=True,  # ignored on Windows
        )
    except (OSError, ValueError) as error:
        raise GitError(list(args), NOT_STARTED, f"cannot start in {cwd}: {error}") from error


def _tell(process: subprocess.Popen[bytes], stdin: bytes) -> None:
    assert process.stdin is not None
    with suppress(OSError, ValueError):  # it has ended, or its end of the pipe was closed
        process.stdin.write(stdin)
        process.stdin.close()


def _kill(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        if sys.platform == "win32":
            taskkill = str(Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "taskkill.exe"))
            subprocess.run([taskkill, "/T", "/F", "/PID", str(process.pid)], capture_output=True, check=False)
            process.kill()
        else:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:  # it ended between the look and the kill
                pass
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None and not pipe.closed:
            try:
                pipe.close()
            except OSError:  # the other end is gone, with something still unwritten
                pass
