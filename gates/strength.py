"""Commands that cannot fail, or hardly: a gate that only looks for a file or prints proves nothing, and is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath, PureWindowsPath
from typing import Literal

from engine.models.problem import Problem
from engine.models.roadmap import WorkOrder
from engine.models.settings import Gate
from engine.scope import matches
from gates.placeholders import Placeholder, javascript_placeholder, python_placeholder
from gates.proof.test_files import TestFiles

Level = Literal["error", "warning"]
_CAN_FAIL = "run something that fails when the code is wrong"


@dataclass(frozen=True)
class Weakness:
    """`what` goes on after "it …", `do` is what to do. error: it proves nothing at all; warning: it proves little."""

    level: Level
    what: str
    do: str = _CAN_FAIL

    def __str__(self) -> str:
        return f"it {self.what}: {self.do}."


def weakness(argv: Sequence[str], results: str = "none", kind: str = "custom") -> Weakness | None:
    """Why a command proves nothing or little; None when nothing speaks against it. Never raises.

    results, kind: those of the gate; an acceptance or repro command is a gate of results "none". Programs that start
    another one (`env`, `timeout`, `uv run`, `sh -c` …) are judged by what they start.
    """
    words = _unwrapped(list(argv))
    if not words or not words[0].strip():
        return Weakness("error", "has no command")
    if hidden := _hidden(words):
        return hidden
    program, rest = program_name(words[0]), words[1:]
    if program in SHELLS:
        return _script(_after_flag(rest, _SHELL_CODE), results, kind)
    of_the_tree = "/" in words[0] and not PurePosixPath(words[0]).is_absolute()
    if (always := _ALWAYS.get(program)) is not None and not of_the_tree:
        return Weakness("error", always)
    if rest and all(word in _ASKS for word in rest):
        return Weakness("error", f"only asks {program} for its version or its help")
    if _PYTHON.match(program):
        return _python(rest, results, kind)
    if program in _JAVASCRIPT:
        return _javascript(rest)
    return _tool(program, rest, kind)


def gate_weakness(gate: Gate) -> Problem | None:
    """What is weak about a gate, for `swarm check` and the runner, which refuses gates with a problem of level error.

    A gate that builds, that measures, or that runs a flow is taken at its word."""
    if not gate.run:
        return None
    found = weakness(gate.run, gate.results, gate.kind)
    return _problem(f"gate {gate.name}", found) if found else None


def inputs_weaknesses(gate: Gate, paths: Sequence[str]) -> list[Problem]:
    """What is weak about the `inputs` of a gate in a repository with these files: its result stands while none of them
    changes, so tests and sources that they leave out are not seen to change."""
    if not gate.inputs or not gate.run or gate.results == "none":
        return []
    files, endings = TestFiles(), _LANGUAGES.get(gate.results, _ANY_LANGUAGE)
    named = [word for word in gate.run[1:] if not word.startswith("-")]
    read = [path for path in paths if path.endswith(endings)]
    own = [path for path in read if any(path == word or path.startswith(f"{word.rstrip('/')}/") for word in named)]
    tests = [path for path in own or read if files.part(path) in ("test", "support")]
    sources = [path for path in read if files.part(path) in ("", "inline")]
    found: list[str] = []
    if left := [path for path in tests if not matches(path, gate.inputs) and path not in named]:
        found.append(f"leave out {_some(left)}, so its result stands when tests change")
    if sources and not any(matches(path, gate.inputs) for path in sources):
        found.append(f"leave out all sources, such as {sources[0]}, so its result stands when what it tests changes")
    do = "add what it reads to inputs, or leave inputs out"
    return [_problem(f"gate {gate.name}", Weakness("warning", f"has inputs that {what}", do)) for what in found]


def _some(paths: Sequence[str]) -> str:
    more = len(paths) - 1
    return paths[0] if not more else f"{paths[0]} and {more} more {'file' if more == 1 else 'files'} of tests"


_LANGUAGES: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("pytest", "unittest"), (".py",)),
    **dict.fromkeys(("cargo-test", "nextest", "cargo-messages"), (".rs",)),
    "go-test": (".go",),
}
_ANY_LANGUAGE = (".py", ".rs", ".go", ".js", ".mjs", ".cjs", ".ts", ".tsx", ".jsx", ".rb", ".java", ".kt", ".cs", ".c",
                 ".cc", ".cpp", ".swift", ".php", ".ex", ".exs", ".dart")  # fmt: skip


def order_weaknesses(order: WorkOrder) -> list[Problem]:
    """What is weak about the commands that an order names as its proof."""
    named = [(f"acceptance {one.name}", one.run) for one in order.acceptance]
    named += [("repro", order.repro)] if order.repro else []
    return [
        _problem(f"work order {order.id}, {name}", found)
        for name, argv in named
        if (found := weakness(argv)) is not None
    ]


def program_name(word: str) -> str:
    """`/usr/bin/Python3.exe` → `python3`."""
    return PureWindowsPath(PurePosixPath(word).name).name.lower().removesuffix(".exe").removesuffix(".cmd")


def _problem(where: str, found: Weakness) -> Problem:
    return Problem(where=where, what=f"it {found.what}", do=found.do, level=found.level)


# ---- what starts something else ------------------------------------------------------------------------------------

SHELLS = frozenset({"sh", "bash", "dash", "zsh", "fish", "ksh", "cmd", "powershell", "pwsh"})
_SHELL_CODE = frozenset({"-c", "/c", "/C", "-command", "-Command", "-lc", "-ec", "-xc"})
_ALWAYS: Mapping[str, str] = {
    **dict.fromkeys(("true", ":", "exit"), "ends with 0 whatever happens"),
    **dict.fromkeys(("echo", "printf", "yes", "write-host", "write-output"), "only prints"),
    **dict.fromkeys(("cat", "type", "head", "tail", "less", "more"), "only prints a file"),
    **dict.fromkeys(
        ("test", "[", "ls", "dir", "stat", "which", "where", "find"), "only looks whether something is there"
    ),
    **dict.fromkeys(("sleep", "pwd", "date", "whoami", "uname", "touch", "mkdir", "cd"), "checks nothing"),
    **dict.fromkeys(("rem", "hostname", "id", "env", "wc", "sync"), "checks nothing"),
}
_ASKS = frozenset({"--version", "-V", "--help", "-h", "version", "help", "-version", "-?"})
_PYTHON = re.compile(r"^(python|pypy|py)[0-9.]*w?$")
_JAVASCRIPT = frozenset({"node", "nodejs", "deno", "bun"})
_STARTERS: Mapping[tuple[str, ...], frozenset[str]] = {
    ("env",): frozenset({"-u", "-C", "--unset", "--chdir"}),
    ("nice",): frozenset({"-n"}),
    ("time",): frozenset(),
    ("nohup",): frozenset(),
    ("timeout",): frozenset({"-s", "-k", "--signal", "--kill-after"}),
    ("xvfb-run",): frozenset({"-s", "-n", "-e"}),
    ("stdbuf",): frozenset({"-i", "-o", "-e"}),
    ("npx",): frozenset({"-p", "--package"}),
    ("pnpm", "exec"): frozenset(),
    ("npm", "exec"): frozenset(),
    ("yarn", "exec"): frozenset(),
    ("uv", "run"): frozenset({"--with", "--python", "-p", "--group", "--extra", "--project", "--directory"}),
    ("uvx",): frozenset({"--from", "--with"}),
    ("pipx", "run"): frozenset({"--spec"}),
    ("poetry", "run"): frozenset(),
    ("hatch", "run"): frozenset(),
    ("pdm", "run"): frozenset(),
    ("coverage", "run"): frozenset({"--source", "--rcfile"}),
}


def _unwrapped(argv: list[str]) -> list[str]:
    """The command that is started in the end, when it is started by something that only starts."""
    for _ in range(8):
        starter = next(
            (
                (names, values)
                for names, values in _STARTERS.items()
                if len(argv) > len(names) and (program_name(argv[0]), *argv[1 : len(names)]) == names
            ),
            None,
        )
        if starter is None:
            return argv
        names, values = starter
        at = len(names)
        while at < len(argv) and (argv[at].startswith("-") or (names == ("env",) and "=" in argv[at])):
            at += 2 if argv[at] in values else 1
        at += 1 if names == ("timeout",) else 0
        if names == ("coverage", "run"):
            return ["python", *argv[len(names) :]]
        argv = argv[at:]
    return argv


_NEVER_RED = re.compile(r"(\|\||;)\s*(true|:|exit\s+0|/bin/true|echo\b[^;|&]*)\s*;?\s*$")
_SEPARATORS = re.compile(r"\|\||&&|;|\n|\|")


def _hidden(words: Sequence[str]) -> Weakness | None:
    text = " ".join(words)
    if re.search(r"\|\|\s*(true|:|exit\s+0|/bin/true)(\s|$|[\"')])", text) or _NEVER_RED.search(text):
        return Weakness("error", "hides a failure, since what comes last always ends with 0", "leave that part away")
    return None


def _after_flag(rest: Sequence[str], flags: frozenset[str]) -> str | None:
    at = next((at for at, word in enumerate(rest) if word in flags), None)
    return None if at is None else " ".join(rest[at + 1 :])


def _script(code: str | None, results: str, kind: str) -> Weakness | None:
    """A line for a shell proves nothing when no part of it does."""
    if code is None:
        return None
    parts = [part.strip() for part in _SEPARATORS.split(code) if part.strip()]
    found = [weakness(part.split(), results, kind) for part in parts]
    if not parts:
        return Weakness("error", "has no command")
    if all(one is not None and one.level == "error" for one in found):
        return found[0]
    if re.search(r"[^|]\|[^|]", code) and "pipefail" not in code:
        return Weakness(
            "warning", "has the exit code of the last program of a pipe", "run the first one without a pipe"
        )
    return None


# ---- interpreters --------------------------------------------------------------------------------------------------

_PYTHON_VALUES = frozenset({"-W", "-X"})


def _python(rest: Sequence[str], results: str, kind: str) -> Weakness | None:
    at = 0
    while at < len(rest) and rest[at].startswith("-") and rest[at] not in ("-c", "-m"):
        if rest[at] in ("-V", "--version", "-h", "--help"):
            return Weakness("error", "only asks python for its version or its help")
        at += 2 if rest[at] in _PYTHON_VALUES else 1
    if rest[at : at + 1] == ["-c"]:
        return _in_place(python_placeholder(rest[at + 1] if at + 1 < len(rest) else ""))
    if rest[at : at + 1] == ["-m"] and at + 1 < len(rest):
        return weakness([rest[at + 1].replace("_", "-"), *rest[at + 2 :]], results, kind)
    return Weakness("error", "starts python without anything to run") if at >= len(rest) else None


_IN_PLACE: Mapping[Placeholder, Weakness] = {
    "looks": Weakness("error", "only looks whether a file is there", "check what the file does"),
    "prints": Weakness("error", "only prints"),
    "imports": Weakness("warning", "only imports something", "check what it does, too"),
    "nothing": Weakness("error", "ends with 0 whatever happens"),
    "broken": Weakness("error", "is Python that cannot be parsed", "mend the code after -c, or commit it as a script"),
}


def _in_place(of: Placeholder | None) -> Weakness | None:
    return None if of is None else _IN_PLACE[of]


def _javascript(rest: Sequence[str]) -> Weakness | None:
    at = next((at for at, word in enumerate(rest) if word in ("-e", "--eval", "-p", "--print", "eval", "-pe")), None)
    if at is None:
        return None if rest else Weakness("error", "starts an interpreter without anything to run")
    return _in_place(javascript_placeholder(rest[at + 1] if at + 1 < len(rest) else ""))


# ---- tools that are told to be lenient -----------------------------------------------------------------------------

_GIT_LOOKS = frozenset(
    {"status", "log", "show", "rev-parse", "branch", "ls-files", "describe", "add", "fetch", "config"}
)


def _tool(program: str, rest: Sequence[str], kind: str) -> Weakness | None:
    has = set(rest).__contains__
    for flag in ("--exit-zero", "--exit-code=0", "--no-fail", "--passWithNoTests", "--pass-with-no-tests"):
        if has(flag):
            if "ass" in flag:
                return Weakness("warning", f"is green without any test ({flag})", f"leave {flag} away")
            return Weakness("error", f"ends with 0 whatever it finds ({flag})", f"leave {flag} away")
    if program in ("pytest", "py.test") and any(
        has(flag) for flag in ("--collect-only", "--co", "--fixtures", "--markers")
    ):
        return Weakness("error", "collects tests and runs none", "leave --collect-only away")
    if program == "git" and rest and rest[0] in _GIT_LOOKS and not has("--exit-code"):
        return Weakness("error", f"only runs git {rest[0]}, which does not look at what the code does")
    if program == "cargo":
        return _cargo(list(rest), kind)
    if program in ("black", "isort") and not (has("--check") or has("--check-only") or has("-c") or has("--diff")):
        return _rewrites(program, "--check")
    if program == "ruff":
        if rest[:1] == ["format"] and not (has("--check") or has("--diff")):
            return _rewrites("ruff format", "--check")
        if has("--fix") and not has("--exit-non-zero-on-fix"):
            return _rewrites("ruff check --fix", "no --fix")
    if program == "prettier" and not (has("--check") or has("-c") or has("--list-different") or has("-l")):
        return _rewrites("prettier", "--check") if has("--write") or has("-w") else _prints("prettier", "--check")
    if program in ("gofmt", "goimports", "gofumpt"):
        return (
            _rewrites(program, "-l in a script that fails when it lists a file")
            if has("-w")
            else _prints(program, "a script that fails when it lists a file")
        )
    if program in ("go", "npm", "yarn", "pnpm", "uv", "pip", "pip3"):
        return _builder(program, list(rest), kind)
    if program in ("clang-format", "rustfmt") and not any(word in rest for word in ("--check", "--dry-run", "-n")):
        return _rewrites(program, "--check" if program == "rustfmt" else "--dry-run --Werror")
    if program == "eslint" and has("--fix"):
        return _rewrites("eslint --fix", "no --fix")
    return None


def _cargo(rest: list[str], kind: str) -> Weakness | None:
    rest = [word for word in rest if not word.startswith("+")]
    ours, own = (rest[: rest.index("--")], rest[rest.index("--") + 1 :]) if "--" in rest else (rest, [])
    asked = ours[0] if ours else ""
    if not ours or asked in ("version", "help", "metadata", "tree", "locate-project", "search", "clean"):
        return Weakness("error", f"only runs cargo {asked}".rstrip() + ", which builds and tests nothing")
    if any(word in ("--version", "-V", "--help", "-h") for word in ours):
        return Weakness("error", "only asks cargo for its version or its help")
    if asked in ("test", "t", "nextest", "bench") and (
        "--no-run" in ours or "--list" in own or ours[:2] == ["nextest", "list"]
    ):
        if kind == "build":
            return None
        return Weakness("error", "builds or lists tests and runs none", "leave --no-run or --list away")
    if asked in ("nextest",) and "--no-tests=pass" in ours:
        return Weakness("warning", "is green without any test (--no-tests=pass)", "leave --no-tests=pass away")
    if asked == "clippy" and not _denies(own):
        return Weakness("warning", "is green with any number of warnings", 'add "--", "-D", "warnings"')
    if asked == "fmt" and "--check" not in rest:
        return _rewrites("cargo fmt", "--check")
    return None


def _denies(own: Sequence[str]) -> bool:
    text = " ".join(own)
    return any(
        sign in text for sign in ("-D warnings", "-Dwarnings", "--deny warnings", "--deny=warnings", "-F warnings")
    )


def _builder(program: str, rest: list[str], kind: str) -> Weakness | None:
    asked = rest[0] if rest else ""
    if program == "go":
        if asked in ("version", "env", "list", "help", "doc", "clean", ""):
            return Weakness("error", f"only runs go {asked}".rstrip() + ", which builds and tests nothing")
        if asked == "test" and any(re.match(r"-(test\.)?list", word) or word == "-c" for word in rest):
            return Weakness("error", "builds or lists tests and runs none", "leave -list or -c away")
        if asked == "test" and any(re.match(r"-(test\.)?run=\^?\$?$", word) for word in rest):
            return Weakness("error", "runs no test", "leave -run away")
        return _rewrites("go fmt", "a check that fails") if asked == "fmt" else None
    if asked in ("install", "ci", "sync", "lock", "list", "ls", "add", "freeze", "show"):
        return None if kind == "build" else Weakness("warning", f"only runs {program} {asked}, which tests nothing")
    return None


def _rewrites(what: str, better: str) -> Weakness:
    do = f"use {better}" if not better.startswith("no ") else f"leave {better[3:]} away"
    return Weakness("error", f"rewrites files instead of judging them ({what})", do)


def _prints(what: str, better: str) -> Weakness:
    return Weakness("error", f"ends with 0 whatever it finds ({what} only prints)", f"use {better}")
