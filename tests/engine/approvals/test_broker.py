"""Who is allowed what while an agent runs: by rules, on the real path, by the option's kind."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.approvals.broker import Policy, Request, decide, option_for

CONTAINED = {"fs_write": True}


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    workspace = tmp_path / "ws"
    (workspace / "src").mkdir(parents=True)
    (workspace / "src" / "a.py").write_text("x", encoding="utf-8")
    (workspace / ".git").mkdir()
    (tmp_path / "other").mkdir()
    return Policy(workspace, CONTAINED, hosts=("api.example.com:443",))


@pytest.mark.parametrize("kind", ["edit", "delete", "move", "read", "search"])
def test_a_file_of_the_workspace_is_allowed_and_one_outside_is_not(policy: Policy, kind: str) -> None:
    assert decide(Request(kind, ("src/a.py",)), policy).verdict == "allow"
    assert decide(Request(kind, (str(policy.workspace / "src" / "a.py"),)), policy).verdict == "allow"
    for outside in ("../other/x", str(policy.workspace.parent / "other"), "/etc/passwd", "src/../../other", "", "a\0b"):
        assert decide(Request(kind, ("src/a.py", outside)), policy).verdict == "deny", outside


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_the_target_counts_and_not_the_name_that_leads_to_it(policy: Policy) -> None:
    Path(policy.workspace / "etc").symlink_to("/etc")
    Path(policy.workspace / "inside").symlink_to("src")
    Path(policy.workspace / "loop").symlink_to("loop")
    assert decide(Request("edit", ("etc/passwd",)), policy).verdict == "deny"
    assert decide(Request("edit", ("etc/new-file",)), policy).verdict == "deny"
    assert decide(Request("execute", argv=("ls",), cwd="etc"), policy).verdict == "deny"
    assert decide(Request("edit", ("inside/new.py",)), policy).verdict == "allow"
    assert decide(Request("execute", argv=("ls",), cwd="inside"), policy).verdict == "allow"


def test_a_target_that_cannot_be_told_is_denied(policy: Policy) -> None:
    blind = Policy(policy.workspace, CONTAINED, resolve=lambda _: None)
    assert decide(Request("edit", ("src/a.py",)), blind).verdict == "deny"
    assert decide(Request("edit"), policy).verdict == "deny"
    assert decide(Request("move", ("src/a.py", "")), policy).verdict == "deny"
    assert decide(Request("execute"), policy).verdict == "deny"
    assert decide(Request("fetch"), policy).verdict == "deny"
    assert decide(Request("switch_mode", ("src/a.py",)), policy).verdict == "deny"


def test_what_git_keeps_for_itself_is_not_edited_but_may_be_read(policy: Policy) -> None:
    assert decide(Request("edit", (".git/config",)), policy).verdict == "deny"
    assert decide(Request("edit", ("src/.GIT/hooks/x",)), policy).verdict == "deny"
    assert decide(Request("read", (".git/config",)), policy).verdict == "allow"


def test_a_whole_folder_is_not_deleted_without_a_question(policy: Policy) -> None:
    said = decide(Request("delete", ("src",)), policy)
    assert (said.verdict, said.danger, said.highest) == ("ask", "large_deletion", True)


def test_ordinary_commands_need_a_sandbox_or_the_settings_word(policy: Policy) -> None:
    command = Request("execute", argv=("cargo", "test"))
    assert decide(command, policy).verdict == "allow"
    verdicts = {
        without: decide(command, Policy(policy.workspace, {}, without)).verdict
        for without in ("run", "ask", "refuse", "?")
    }
    assert verdicts == {"run": "allow", "ask": "ask", "refuse": "deny", "?": "deny"}


@pytest.mark.parametrize(
    ("argv", "danger"),
    [
        (("rm", "-rf", "build"), "large_deletion"),
        (("git", "push", "--force"), "force_push"),
        (("sh", "-c", "ls"), "shell"),
        (("pip", "install", "x"), "dependency"),
        (("curl", "https://x.example"), "network"),
        (("sudo", "ls"), "leave_sandbox"),
        (("ls", "x" * 30_000), ""),
    ],
)
def test_dangerous_commands_are_asked_even_in_a_sandbox(policy: Policy, argv: tuple[str, ...], danger: str) -> None:
    said = decide(Request("execute", argv=argv), policy)
    assert (said.verdict, said.danger) == ("ask", danger)


def test_hosts_match_to_the_letter(policy: Policy) -> None:
    assert decide(Request("fetch", host="api.example.com:443"), policy).verdict == "allow"
    for host in ("api.example.com", "API.example.com:443", "api.example.com:443 ", "аpi.example.com:443"):
        assert decide(Request("fetch", host=host), policy).verdict == "ask"
    assert decide(Request("fetch", host="аpi.example.com:443"), policy).highest


def test_an_answer_goes_by_the_options_kind_and_never_opens_more_than_this_once() -> None:
    options = [("allow_once", "allow_always"), ("x", "reject_always"), ("no", "reject_once"), ("yes", "allow_once")]
    assert option_for("allow", options) == "yes"
    assert option_for("deny", options) == option_for("ask", options) == "no"
    assert option_for("allow", [("allow_once", "allow_always")]) is None
    assert option_for("deny", [("always", "allow_always")]) is None


@given(
    st.text(max_size=20), st.lists(st.text(max_size=30), max_size=3), st.lists(st.text(max_size=30), max_size=4),
    st.text(max_size=20), st.text(max_size=20),
)  # fmt: skip
def test_no_request_raises_and_none_outside_is_allowed(
    kind: str, paths: list[str], argv: list[str], host: str, cwd: str
) -> None:
    policy = Policy(Path("/nowhere/ws"), CONTAINED)
    for one in (kind, "edit", "execute", "fetch"):
        said = decide(Request(one, tuple(paths), tuple(argv), host, cwd), policy)
        if one == "edit" and said.verdict == "allow":
            root = os.path.realpath("/nowhere/ws")
            assert all(os.path.realpath(Path(root) / path).startswith(root) for path in paths)
