"""Rules that look at a command: which classes of danger its words show. Never a model, never only a claim. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

MAX_JUDGED = 20_000
"""Characters of a command that the rules look at: a longer one cannot be placed."""


class Rule(NamedTuple):
    """A command with any of `words`, with any of `beside` and any of `flags` where there are some, is of this class."""

    danger: str
    words: frozenset[str]
    flags: tuple[str, ...] = ()
    beside: frozenset[str] = frozenset()


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_SHELLS = _words("sh bash dash zsh ksh fish csh tcsh ash busybox cmd powershell pwsh wsl")
_INTERPRETERS = re.compile(r"(?:python|pypy|node|nodejs|deno|bun|ruby|perl|php|lua|rscript|osascript|tclsh)[\d.]*w?")
_CODE_FLAGS = ("-c", "-e", "-r", "-p", "--eval", "--print", "--command", "-command", "/c", "/k", "-enc")

RULES = (
    Rule("force_push", _words("push"), ("--force", "-f", "--mirror", "--delete", "-d", "--prune", "+", ":")),
    Rule("rebase_main", _words("rebase"), beside=_words("main master trunk origin/main origin/master")),
    Rule("rewrite_history", _words("rebase filter-branch filter-repo bfg reflog")),
    Rule("rewrite_history", _words("reset"), ("--hard", "--merge", "--keep")),
    Rule("rewrite_history", _words("commit"), ("--amend",)),
    Rule("ref_operation", _words("update-ref symbolic-ref pack-refs for-each-ref")),
    Rule("ref_operation", _words("branch tag"), ("-d", "-f", "-m", "--delete", "--force", "--move"), _words("git")),
    Rule("ref_operation", _words("worktree"), beside=_words("remove prune move")),
    Rule("large_deletion", _words("gc prune repack"), beside=_words("git")),
    Rule("leave_sandbox", _words("sudo doas su runas pkexec nsenter unshare chroot setpriv bwrap mount umount")),
    Rule("leave_sandbox", _words("docker podman nerdctl kubectl lxc machinectl systemd-run systemctl launchctl")),
    Rule("leave_sandbox", _words("crontab schtasks insmod modprobe sysctl gdb strace ptrace")),
    Rule("leave_sandbox", _words("swarm"), beside=_words("approve deny stop retry cancel resume")),
    Rule("hidden_code", _words("base64 base32 b64decode fromhex frombase64string xxd uudecode unhexlify rot13")),
    Rule("hidden_code", _words("eval exec iex invoke-expression -enc -encodedcommand marshal")),
    Rule("large_deletion", _words("rm rd rmdir del erase remove-item rmtree unlink shred wipe mkfs dd truncate")),
    Rule("large_deletion", _words("clean"), ("-f", "-d", "-x", "--force")),
    Rule("large_deletion", _words("find fd"), ("-delete", "--delete")),
    Rule("large_deletion", _words("rsync"), ("--del", "--remove-source")),
    Rule("dependency", _words("pip pip3 pipx uv poetry pdm conda npm pnpm yarn bun cargo go gem bundle composer apt "
                              "apt-get dnf yum apk brew choco winget nuget"),
         beside=_words("install add get update upgrade i require sync ci")),
    Rule("network", _words("curl wget ssh scp sftp ftp rsync nc ncat netcat telnet socat invoke-webrequest iwr")),
    Rule("network", _words("clone fetch pull push ls-remote submodule"), beside=_words("git")),
    Rule("network", _words("gh glab twine")),
)  # fmt: skip
_BETWEEN = re.compile(r"[\s;|&()<>{}\[\]'\"`=,\\]+")
_ORDER = (
    "force_push", "rebase_main", "rewrite_history", "ref_operation", "leave_sandbox", "large_deletion", "hidden_code",
    "shell", "dependency", "network", "inline_code",
)  # fmt: skip


def seen_in(argv: Sequence[str]) -> list[str] | None:
    """The classes that the rules find in a command, the worst first; None if it is too long to be looked through."""
    if sum(map(len, argv)) + len(argv) > MAX_JUDGED:
        return None
    # A backslash ends a word (a path of Windows) and joins two (a line that goes on): both readings are looked at.
    joined = [re.sub(r"\\\r?\n|[\\^'\"]", "", argument) for argument in argv]
    words = [word for part in [*argv, *joined] for word in _BETWEEN.split(part.lower()) if word]
    names = {_name(word) for word in words}
    found = {rule.danger for rule in RULES if _holds(rule, words, names)}
    return sorted(found | _code(argv), key=_ORDER.index)


def _holds(rule: Rule, words: Sequence[str], names: set[str]) -> bool:
    flagged = not rule.flags or any(_has(word, rule.flags) for word in words)
    return bool(names & rule.words) and flagged and (not rule.beside or bool(names & rule.beside))


def _code(argv: Sequence[str]) -> set[str]:
    """Programs that are given code instead of a file, wherever in the command they stand (`env -S sh -c …`)."""
    found: set[str] = set()
    for at, word in enumerate(argv):
        name = _name(word.lower())
        flags = [other.lower() for other in argv[at + 1 :]]
        given = any(_gives_code(flag) for flag in flags)
        if name in _SHELLS and (given or not flags):
            found.add("shell")
        elif _INTERPRETERS.fullmatch(name) and given:
            found.add("inline_code")
    inner = " ".join(argv[1:]).lower()
    if re.search(r"\$\(|`|\|\s*(?:ba|da|z|k)?sh\b|\b(?:ba|da|z|k)?sh\s+-\w*c", inner):
        found.add("shell")
    return found


def _gives_code(flag: str) -> bool:
    return flag == "eval" or flag.startswith(_CODE_FLAGS) or (re.fullmatch(r"-[a-z]*[ce][a-z]*", flag) is not None)


def _name(word: str) -> str:
    name = re.split(r"[/\\]", word)[-1]
    for ending in (".exe", ".cmd", ".bat", ".com", ".ps1"):
        name = name.removesuffix(ending)
    return name


def _has(word: str, flags: tuple[str, ...]) -> bool:
    """Whether a word begins with a flag, or holds a short one among others, as `-uf` does."""
    short = word[1:] if word.startswith("-") and not word.startswith("--") else ""
    return word.startswith(flags) or any(len(flag) == 2 and flag[0] == "-" and flag[1] in short for flag in flags)
