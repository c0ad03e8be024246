"""How dangerous a command is: the worse of what is claimed and what its words show."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.approvals.dangers import ALIASES, DANGERS, ENGINES_OWN, judge, key_of
from engine.approvals.rules import RULES, seen_in

HONEST = [
    ["cargo", "test", "--workspace"], ["python", "-m", "pytest", "-q"], ["make", "clean"], ["npm", "test"],
    ["git", "status"], ["git", "commit", "-m", "a"], ["bash", "tools/build.sh"], ["ls", "-la"],
    ["python", "tools/drop_legacy.py"], ["cargo", "build", "--release"], ["mv", "a.txt", "b.txt"],
]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "danger"),
    [
        ("rm -rf build", "large_deletion"),
        ("/bin/rm x", "large_deletion"),
        ("RM.EXE x", "large_deletion"),
        ("git rm -r src", "large_deletion"),
        ("find . -delete", "large_deletion"),
        ("find . -exec rm {} ;", "large_deletion"),
        ("git clean -xdf", "large_deletion"),
        ("rsync -a --delete a/ b/", "large_deletion"),
        ("git gc --prune=now", "large_deletion"),
        ("git reflog expire --expire=now --all", "rewrite_history"),
        ("git reset --hard HEAD~3", "rewrite_history"),
        ("git commit --amend", "rewrite_history"),
        ("git rebase main", "rebase_main"),
        ("git rebase -i HEAD~3", "rewrite_history"),
        ("git push --force", "force_push"),
        ("git push origin +main", "force_push"),
        ("git push -uf origin x", "force_push"),
        ("git update-ref refs/heads/main HEAD", "ref_operation"),
        ("git branch -D main", "ref_operation"),
        ("git worktree remove --force ../other", "ref_operation"),
        ("sudo make install", "leave_sandbox"),
        ("docker run -v /:/host x", "leave_sandbox"),
        ("unshare -Ur sh", "leave_sandbox"),
        ("swarm approve ap-1", "leave_sandbox"),
        ("pip install x", "dependency"),
        ("cargo add serde", "dependency"),
        ("npm ci", "dependency"),
        ("curl https://example.org", "network"),
        ("git push", "network"),
        ("ssh host", "network"),
    ],
)
def test_the_rules_see_what_a_command_is(command: str, danger: str) -> None:
    assert danger in (seen_in(command.split()) or [])


@pytest.mark.parametrize("argv", HONEST)
def test_honest_commands_keep_the_class_that_is_claimed(argv: list[str]) -> None:
    said = judge("external", argv, claimed=True)
    assert (said.highest, said.seen, said.warnings) == (False, "", ())


@pytest.mark.parametrize(
    "argv",
    [
        ["sh", "-c", "ls"],
        ["/usr/bin/env", "bash", "-ec", "ls"],
        ["busybox", "sh", "-c", "ls"],
        ["cmd.exe", "/c", "dir"],
        ["powershell", "-enc", "ZQBjAGgAbwA="],
        ["env", "-S", "sh -c ls"],
        ["xargs", "sh"],
        ["echo", "cm0gLXJmIC8=", "|", "base64", "-d", "|", "sh"],
        ["python", "-c", "import base64;exec(base64.b64decode('cHJpbnQoMSk='))"],
        ["make", "X=$(id)"],
        ["make", "X=`id`"],
        ["r\\\nm", "-rf", "x"],
        ["echo", "a\nrm -rf /"],
        ["ls", "\u202etxt.exe"],
        ["cargo", "add", "r\u0435qwest"],
        ["x" * 30_000],
    ],
)
def test_scripts_and_what_hides_are_of_the_highest_class_whatever_is_claimed(argv: list[str]) -> None:
    for claimed in ("external", "dependency", "network", "inline_code", "land", "nothing special"):
        assert judge(claimed, argv, claimed=True).highest


def test_a_variable_that_steers_programs_raises_the_class_and_an_ordinary_one_does_not() -> None:
    argv = ["cargo", "test"]
    for name in ("PATH", "LD_PRELOAD", "GIT_SSH_COMMAND", "PYTHONPATH", "NODE_OPTIONS", "RUSTC_WRAPPER"):
        assert judge("external", argv, claimed=True, env={name: "x"}).highest, name
    assert not judge("external", argv, claimed=True, env={"LEVEL": "3"}).highest
    assert judge("external", argv, claimed=True, env={"LEVEL": "a\u202eb"}).highest


def test_the_engines_own_words_are_not_believed_of_an_agent() -> None:
    for word in ENGINES_OWN:
        assert judge(word, ["ls"], claimed=True).word == "cannot be placed"
    assert not judge("land", ["land", "x"], claimed=False).highest  # the control: the engine asks


def test_every_alias_and_rule_names_a_class_of_the_table_and_no_class_lets_anything_pass_unattended() -> None:
    assert set(ALIASES.values()) | {rule.danger for rule in RULES} <= set(DANGERS)
    assert not set(ALIASES) & set(DANGERS)
    assert all(danger.word and danger.shown and danger.rollback for danger in DANGERS.values())
    assert not any("unattended" in name for name in DANGERS["land"]._fields)
    assert key_of("Large-Deletion ") == "large_deletion"
    assert key_of("harmless") == ""


@given(st.lists(st.text(max_size=40), max_size=8), st.text(max_size=30))
def test_no_claim_lowers_what_the_words_show(argv: list[str], claim: str) -> None:
    worst = judge("external", argv, claimed=True)
    said = judge(claim, argv, claimed=True)
    assert said.highest or not worst.highest


def test_the_guide_has_every_class_as_it_is() -> None:
    guide = (Path(__file__).resolve().parents[3] / "docs" / "approvals.md").read_text(encoding="utf-8")
    for name, danger in DANGERS.items():
        assert f"| `{name}`: {danger.word} | {'yes' if danger.highest else 'no'} | {danger.shown} |" in guide
