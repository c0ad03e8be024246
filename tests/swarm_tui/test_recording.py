"""The settings under which a recorded night is played."""

from __future__ import annotations

from pathlib import Path

from engine.loading import parse_settings
from swarm_tui import recording

SETTINGS = """\
[roles]
implementer = "claude"
scribe = "local"

[agents.claude]
kind = "acp"
run = ["claude-agent-acp"]
instead = "local"

[agents.local]
kind = "model"
model = "m"
base_url = "http://127.0.0.1:11434/v1"

[providers.anthropic]
concurrency = 2

[budgets.night]
tokens = 1_000_000
"""


def test_they_ask_scripts_alone_and_know_no_provider(tmp_path: Path) -> None:
    (tmp_path / "swarm.toml").write_text(SETTINGS, encoding="utf-8")
    text = recording._played_settings(tmp_path, parse_settings(SETTINGS), 5.0)  # pyright: ignore[reportPrivateUsage]
    assert text is not None
    played = parse_settings(text)
    assert played.roles == {"implementer": "recorded", "scribe": "recorded"}
    assert [agent.kind for agent in played.agents.values()] == ["script"]
    assert (played.providers, played.budgets.night.tokens) == ({}, 1_000_000)
    (tmp_path / "swarm.toml").write_text(text, encoding="utf-8")
    again = recording._played_settings(tmp_path, played, 5.0)  # pyright: ignore[reportPrivateUsage]
    assert again is None
