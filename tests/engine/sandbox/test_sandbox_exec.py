"""The profile for macOS as text: what it allows, in which order, and that no name can break out of it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from engine.models.settings import SandboxSettings
from engine.ports import GUARANTEES, Overlay, SandboxPolicy
from engine.sandbox.choose import choose_sandbox
from engine.sandbox.sandbox_exec import SandboxExec, profile

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="paths are those of macOS")
FOLDER = Path("/a place")


def expressions(text: str) -> list[object]:
    """The profile read as nested lists of words: strings keep their quotes. Fails on anything that is not closed."""
    tokens = re.findall(r';[^\n]*|\(|\)|#?"(?:\\.|[^"\\])*"|[^\s()";]+', text)
    stack: list[list[object]] = [[]]
    for token in tokens:
        if token.startswith(";"):
            continue
        if token == "(":
            stack.append([])
        elif token == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(token)
    assert len(stack) == 1, "a bracket is open"
    assert "".join(tokens).replace(" ", "") == re.sub(r"\s", "", text), "something was not read"
    return stack[0]


def rules(policy: SandboxPolicy) -> list[list[object]]:
    return [rule for rule in expressions(profile(policy)) if isinstance(rule, list)]


def decided(policy: SandboxPolicy, operation: str, path: str) -> str:
    """allow or deny, as the last rule that speaks of this operation on this path says."""
    result = "deny"
    for rule in rules(policy):
        operations = [word for word in rule[1:] if isinstance(word, str)]
        if not any(
            operation == word or (word.endswith("*") and operation.startswith(word[:-1])) for word in operations
        ):
            continue
        filters = [each for each in rule[1:] if isinstance(each, list)]
        if not filters or any(_matches(each, path) for each in filters):
            result = str(rule[0])
    return result


def _matches(one: list[object], path: str) -> bool:
    named = str(one[1]).strip('"').replace('\\"', '"').replace("\\\\", "\\")
    if one[0] == "subpath":
        return PurePosixPath(path).is_relative_to(named)
    return one[0] == "literal" and path == named


def test_everything_is_denied_before_anything_is_allowed() -> None:
    assert rules(SandboxPolicy())[:2] == [["version", "1"], ["deny", "default"]]


def test_only_the_policys_folders_are_written_and_seen() -> None:
    policy = SandboxPolicy((FOLDER / "ws",), (FOLDER / "lent", FOLDER / "ws" / "inner"))
    assert decided(policy, "file-write-create", "/a place/ws/a") == "allow"
    assert decided(policy, "file-write-create", "/a place/ws/inner/a") == "deny"
    assert decided(policy, "file-read-data", "/a place/ws/inner/a") == "allow"
    assert decided(policy, "file-read-data", "/a place/lent/a") == "allow"
    assert decided(policy, "file-write-data", "/a place/lent/a") == "deny"
    for path in (
        "/Users/me/.ssh/id",
        "/a place/other",
        "/a place/wsx",
        "/private/tmp/x",
        "/private/etc/master.passwd",
    ):
        assert decided(policy, "file-read-data", path) == "deny"
        assert decided(policy, "file-write-create", path) == "deny"
        assert decided(policy, "process-exec", path) == "deny"
    assert decided(policy, "process-exec", "/usr/bin/git") == "allow"


def test_masked_files_are_closed_and_their_neighbours_are_not() -> None:
    policy = SandboxPolicy((FOLDER / "ws",), masked=(FOLDER / "ws" / ".env",))
    assert decided(policy, "file-read-data", "/a place/ws/.env") == "deny"
    assert decided(policy, "file-write-unlink", "/a place/ws/.env") == "deny"
    assert decided(policy, "file-read-data", "/a place/ws/.env.example") == "allow"


def test_the_network_is_the_proxys_port_or_nothing() -> None:
    assert "(allow network" not in profile(SandboxPolicy((FOLDER,)))
    assert "(allow network" not in profile(SandboxPolicy((FOLDER,), ports=(8080,))), "ports count only with hosts"
    text = profile(SandboxPolicy((FOLDER,), hosts=("a.example",), ports=(8080,)))
    assert re.findall(r"\(allow network.*", text) == ['(allow network-outbound (remote tcp "localhost:8080"))']


def test_an_empty_policy_makes_no_rule_without_a_filter() -> None:
    for rule in rules(SandboxPolicy()):
        operations = [str(word) for word in rule[1:] if isinstance(word, str)]
        if any(word.startswith(("file-write", "network", "mach", "process-exec")) for word in operations):
            assert any(isinstance(each, list) for each in rule[1:]) or rule[0] == "deny", rule


def test_names_cannot_break_out_of_their_strings() -> None:
    odd = Path('/place/") (allow default) (literal "\\')
    policy = SandboxPolicy((odd,))
    assert ["allow", "default"] not in rules(policy)
    assert decided(policy, "file-write-create", f"{odd}/a") == "allow"
    with pytest.raises(ValueError, match="control characters"):
        profile(SandboxPolicy((Path("/place/a\nb"),)))


def test_overlays_are_refused() -> None:
    with pytest.raises(ValueError, match="no overlays"):
        profile(SandboxPolicy(overlays=(Overlay(FOLDER, FOLDER, FOLDER, FOLDER),)))


@pytest.mark.skipif(sys.platform != "darwin", reason="sandbox-exec is for macOS")
def test_on_macos_it_runs_and_is_probed(tmp_path: Path) -> None:
    sandbox = choose_sandbox(SandboxSettings(), tmp_path / "state")
    assert isinstance(sandbox, SandboxExec)
    assert set(sandbox.guarantees) == set(GUARANTEES)
    argv = sandbox.wrap(("/bin/sh", "-c", "echo in > made"), tmp_path, {}, SandboxPolicy((tmp_path,)))
    subprocess.run(argv, cwd=tmp_path, check=True)
    assert (tmp_path / "made").exists()


def test_a_program_may_listen_on_its_own_ports_alone() -> None:
    (rule,) = [rule for rule in rules(SandboxPolicy(listen=(8123,))) if "network-bind" in rule]
    assert rule == ["allow", "network-bind", "network-inbound", ["local", "tcp", '"localhost:8123"']]
    assert not any("network-bind" in rule for rule in rules(SandboxPolicy()))
