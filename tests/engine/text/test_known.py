from __future__ import annotations

from engine.models.settings import AgentSettings
from engine.text.known import known_secrets


def agent(**env: str) -> AgentSettings:
    return AgentSettings(kind="command", run=["x"], env=env)


def test_what_agents_are_given_is_known_by_their_name_for_it() -> None:
    agents = {"a": agent(API="$MINE", FLAG="1", GONE="$NOT_SET"), "b": agent(API="$MINE")}
    assert known_secrets(agents, {"MINE": "value-of-a"}) == {"API": "value-of-a"}


def test_two_agents_with_different_keys_of_one_name_are_both_known() -> None:
    agents = {"a": agent(API="$ONE"), "b": agent(API="$TWO")}
    found = known_secrets(agents, {"ONE": "value-of-a", "TWO": "value-of-b"})
    assert sorted(found.values()) == ["value-of-a", "value-of-b"]


def test_a_shells_own_secrets_are_known_though_no_agent_has_them() -> None:
    shell = {
        "GITHUB_TOKEN": "ghx-1234567890",
        "AWS_SECRET_ACCESS_KEY": "abcd/EFGH1234567",
        "DB_PASSWORD": "hunter2hunter2",
    }
    assert set(known_secrets({}, shell).values()) == set(shell.values())


def test_ordinary_variables_are_left_alone() -> None:
    shell = {
        "SSH_AUTH_SOCK": "/run/user/1000/agent.1234", "KEYBOARD": "de-latin1-nodeadkeys1", "TOKEN": "short1",
        "XDG_SESSION_ID": "c1234567890123", "GIT_AUTH": "/usr/bin/helper-12345", "MONKEY": "1234567890123",
        "KEY": "just-a-long-ordinary-word",
    }  # fmt: skip
    assert known_secrets({}, shell) == {}
