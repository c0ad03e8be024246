"""What is read out of the output of agents that nobody here wrote: recordings, and whatever else a line may hold."""

from __future__ import annotations

import json
import string
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args
from zoneinfo import available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.models.handoffs import MAX_TOKENS
from engine.models.settings import AgentSettings, StreamName
from engine.models.usage import Usage
from roles.agents.streams import STREAMS, Row, Stream, guessed, stream_for
from roles.agents.streams.limits import AHEAD_MAX_S, is_limit, resets_at
from roles.agents.streams.stream import TEXT_MAX, TOOL_MAX

SAMPLES = Path(__file__).with_name("samples")
NOW = datetime(2026, 11, 23, 8, 2, tzinfo=UTC).timestamp()
UNKNOWN: dict[str, Any] = {}


def lines_of(name: str) -> list[str]:
    text = (SAMPLES / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not line.startswith("# ")]


def format_of(name: str) -> str:
    return next(each for each in sorted(STREAMS, key=len, reverse=True) if name.startswith(each))


def played(name: str, now: float = NOW) -> tuple[Stream, list[Row]]:
    stream = stream_for(format_of(name), [], lambda: now)
    return stream, [row for line in lines_of(name) for row in stream.feed(line)]


def said(usage: Usage) -> dict[str, Any]:
    known = usage.model_dump(exclude_none=True)
    return {name: value for name, value in known.items() if value}


@pytest.mark.parametrize(
    ("name", "reason", "usage"),
    [
        (
            "claude-ok.jsonl",
            "success",
            {"tokens_in": 400, "tokens_out": 80, "cost": 0.004, "source": "claude result", "scope": "run"},
        ),
        ("claude-429.jsonl", "limit", UNKNOWN),
        ("claude-retries.jsonl", "limit", UNKNOWN),
        ("claude-plan-limit.jsonl", "limit", UNKNOWN),
        (
            "codex-ok.jsonl",
            "success",
            {"tokens_in": 300, "tokens_out": 60, "source": "codex turn.completed", "scope": "run"},
        ),
        ("codex-429.jsonl", "limit", UNKNOWN),
        ("codex-plan-limit.jsonl", "limit", UNKNOWN),
        ("codex-401.jsonl", "error", UNKNOWN),
        (
            "gemini-ok.jsonl",
            "success",
            {"tokens_in": 400, "tokens_out": 80, "total": 480, "source": "gemini stats", "scope": "run"},
        ),
        ("gemini-quota.jsonl", "limit", UNKNOWN),
        ("gemini-waits.jsonl", "limit", UNKNOWN),
        (
            "opencode-ok.jsonl",
            "success",
            {"tokens_in": 400, "tokens_out": 80, "total": 480, "source": "opencode step_finish", "scope": "step"},
        ),
        ("opencode-401.jsonl", "error", UNKNOWN),
        ("opencode-waits.jsonl", "limit", UNKNOWN),
        ("copilot-ok.jsonl", "success", UNKNOWN),
        ("copilot-quota.jsonl", "limit", UNKNOWN),
        (
            "copilot-usage.jsonl",
            "success",
            {
                "tokens_in": 2200,
                "tokens_out": 80,
                "tokens_cached": 1500,
                "source": "copilot assistant.usage",
                "scope": "step",
            },
        ),
        (
            "pi-ok.jsonl",
            "success",
            {"tokens_in": 400, "tokens_out": 80, "cost": 0.00056, "source": "pi messages", "scope": "step"},
        ),
        ("pi-quota.jsonl", "limit", UNKNOWN),
        (
            "aider-ok.txt",
            "success",
            {"tokens_in": 653, "tokens_out": 18, "source": "aider tokens", "scope": "turn"},
        ),
        ("aider-quota.txt", "limit", UNKNOWN),
        ("aider-429.txt", "limit", UNKNOWN),
        (
            "aider-cost.txt",
            "success",
            {
                "tokens_in": 6300,
                "tokens_out": 400,
                "tokens_cached": 12000,
                "cost": 0.03,
                "source": "aider tokens",
                "scope": "turn",
            },
        ),
        ("mini-swe-agent-ok.txt", "success", UNKNOWN),
        ("mini-swe-agent-price.txt", "success", {"cost": 0.04, "source": "mini-swe-agent steps", "scope": "step"}),
        ("mini-swe-agent-429.txt", "limit", UNKNOWN),
        ("mini-swe-agent-gave-up.txt", "limit", UNKNOWN),
    ],
)
def test_a_recording_says_how_it_ended_and_what_it_used(name: str, reason: str, usage: dict[str, Any]) -> None:
    stream, _ = played(name)
    found = said(stream.usage())
    assert stream.ended().reason == reason, stream.ended()
    assert found.pop("cost", None) == pytest.approx(usage.get("cost"))
    assert found == {each: value for each, value in usage.items() if each != "cost"}


def test_every_sample_is_looked_at() -> None:
    marks = test_a_recording_says_how_it_ended_and_what_it_used.pytestmark  # type: ignore[attr-defined]
    assert {case[0] for case in marks[0].args[1]} == {path.name for path in SAMPLES.iterdir()}


@pytest.mark.parametrize("name", ["claude-ok", "gemini-ok", "opencode-ok", "copilot-ok", "pi-ok"])
def test_messages_tools_and_files_are_shown(name: str) -> None:
    _, rows = played(f"{name}.jsonl")
    assert [(row.kind, row.text) for row in rows] == [
        ("message", "I look first."),
        ("tool", "/workspace/a.txt"),
        ("message", "Now I edit."),
        ("tool", "/workspace/a.txt"),
        ("file", "/workspace/a.txt"),
        ("message", "I run it."),
        ("tool", "echo what was run; exit 3"),
        ("message", "Done."),
    ]
    read, edit, run = (row for row in rows if row.kind == "tool")
    assert len({read.call, edit.call, run.call}) == 3
    assert all(row.tool for row in (read, edit, run))


def test_codex_shows_its_commands_and_changes() -> None:
    _, rows = played("codex-ok.jsonl")
    assert [(row.kind, row.text) for row in rows if row.kind != "notice"] == [
        ("message", "I look first."),
        ("tool", "/bin/bash -lc 'cat a.txt'"),
        ("message", "Now I edit."),
        ("file", "/workspace/a.txt"),
        ("message", "Done."),
    ]


def test_the_same_call_is_told_from_another_one_whose_text_is_the_same() -> None:
    def call(**given: Any) -> str:
        part = {"type": "tool_use", "name": "Edit", "input": {"file_path": "a.txt", **given}}
        line = json.dumps({"type": "assistant", "message": {"content": [part]}})
        return stream_for("claude", []).feed(line)[0].call

    assert call(old_string="a", new_string="b") == call(new_string="b", old_string="a")
    assert call(old_string="a", new_string="b") != call(old_string="a", new_string="c")


def test_a_recording_that_is_cut_has_the_figures_of_what_was_seen_and_no_end() -> None:
    stream = stream_for("claude", [])
    for line in lines_of("claude-ok.jsonl")[:-1]:
        stream.feed(line)
    assert said(stream.usage()) == {"tokens_in": 400, "tokens_out": 80, "source": "claude messages", "scope": "step"}
    assert stream.ended().reason == ""


# ---- limits --------------------------------------------------------------------------------------------------------


def test_the_time_of_a_reset_is_taken_from_the_event_or_the_words() -> None:
    at = datetime(2026, 5, 12, 3, 0, tzinfo=UTC).timestamp()
    assert played("claude-plan-limit.jsonl", at)[0].ended().resets_at == 1778565600
    here = datetime.fromtimestamp(NOW).replace(hour=10, minute=32, second=0, microsecond=0)
    until = played("codex-plan-limit.jsonl")[0].ended().resets_at
    assert until in {here.timestamp(), here.timestamp() + 86_400}
    assert played("aider-429.txt")[0].ended().resets_at == NOW + 42
    assert played("codex-429.jsonl")[0].ended().resets_at is None


@pytest.mark.parametrize(
    ("words", "seconds"),
    [
        ("Claude AI usage limit reached|1795424520", 1795424520 - NOW),
        ("You've hit your limit · resets 6pm (Asia/Shanghai)", 7080),
        ("You've hit your limit · resets Nov 24 at 9am (Europe/Berlin)", 86_280),
        ("You've hit your limit · resets 8am (UTC)", 86_280),
        ("try again at Nov 24th, 2026 8:02 AM (UTC)", 86_400),
        ("Please try again in 20s. Visit the site", 20),
        ("Please try again in 6m0s.", 360),
        ("Try again in 2 days 3 hours 5 minutes.", 2 * 86_400 + 3 * 3600 + 300),
        ("Your quota will reset after 3h15m9s.", 3 * 3600 + 15 * 60 + 9),
        ('{"retryDelay": "36.5s"}', 36.5),
        ("429, retry-after: 3600", 3600),
        ("Sorry, please wait 3 minutes before trying again", 180),
        ("It resets at 2026-11-23T09:02:00Z", 3600),
        ("in 150ms", 0.15),
        ("resets 2pm (Nowhere/AtAll)", None),
        ("resets 99pm", None),
        ("in 99 days", None),
        ("resets at 2020-01-01T00:00:00Z", None),
        ("try again later", None),
        ("in 3 systems after 5 files", None),
        ("resets 4", None),
    ],
)
def test_words_of_providers_name_the_reset(words: str, seconds: float | None) -> None:
    if "(" in words and seconds and "UTC" not in available_timezones():
        pytest.skip("this machine has no time zones")
    found = resets_at(words, NOW)
    assert (found is None) if seconds is None else found == pytest.approx(NOW + seconds, abs=0.01), found


@given(st.text(alphabet=string.printable + "·’\u202f", max_size=200), st.floats(0, 4e9))
def test_a_reset_is_ahead_and_never_too_far(words: str, now: float) -> None:
    for text in (words, f"resets {words}", f"try again in {words}", f"try again at {words}"):
        found = resets_at(text, now)
        assert found is None or now < found <= now + AHEAD_MAX_S


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("429 You exceeded your current quota", True),
        ("exceeded retry limit, last status: 429 Too Many Requests", True),
        ("API Error: Request rejected (429) · Rate limit reached", True),
        ('{"type":"overloaded_error","message":"Overloaded"}', True),
        ("You’ve hit your usage limit.", True),
        ("You've hit your limit · resets 8pm", True),
        ("RESOURCE_EXHAUSTED", True),
        ("Your credit balance is too low to access the API", True),
        ("OSError: [Errno 122] Disk quota exceeded", False),
        ("401 Incorrect API key provided", False),
        ("line 429 of a file", False),
        ("a recursion limit was reached", False),
    ],
)
def test_a_limit_is_told_from_other_errors(words: str, expected: bool) -> None:
    assert is_limit(words) is expected


def test_a_limit_that_it_got_out_of_is_no_end() -> None:
    retries = lines_of("claude-retries.jsonl")
    stream = stream_for("claude", [])
    for line in retries[:4]:
        stream.feed(line)
    assert stream.ended().reason == "limit"
    for line in lines_of("claude-ok.jsonl"):
        stream.feed(line)
    assert stream.ended().reason == "success"


def test_what_a_tool_prints_is_no_error_of_the_provider() -> None:
    result = {"type": "tool_result", "content": "429 Too Many Requests: rate limit reached", "is_error": True}
    stream = stream_for("claude", [])
    stream.feed(json.dumps({"type": "user", "message": {"content": [result]}}))
    assert stream.ended().reason == ""
    plain = stream_for("plain", [])
    for line in ("HTTP 429 Too Many Requests", *(f"line {number}" for number in range(30))):
        plain.feed(line)
    assert plain.ended().reason == ""
    plain.feed("Error: 429 Too Many Requests, retry after 60 seconds")
    assert plain.ended().reason == "limit"


# ---- whatever a line may hold --------------------------------------------------------------------------------------

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
_LINES = [(format_of(path.name), line) for path in sorted(SAMPLES.iterdir()) for line in lines_of(path.name)]


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    if isinstance(value, dict):
        return [path, *(each for key, inner in value.items() for each in _paths(inner, (*path, key)))]  # type: ignore[misc]
    if isinstance(value, list):
        return [path, *(each for key, inner in enumerate(value) for each in _paths(inner, (*path, key)))]  # type: ignore[misc]
    return [path]


def _put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    holder: Any = value
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = new
    return value


def sound(stream: Stream, rows: list[Row]) -> None:
    """What holds whatever a stream was given."""
    for row in rows:
        assert len(row.text) <= TEXT_MAX + 40
        assert len(row.tool) <= TOOL_MAX + 40
        shown = row.text + row.tool
        assert not any(character in shown for character in "\n\r\x1b\x00\u202e")
        json.dumps(row.fields()).encode("ascii")
    usage = stream.usage()
    assert usage == Usage.model_validate(usage.model_dump())
    assert usage.tokens is None or 0 <= usage.tokens < MAX_TOKENS
    ended = stream.ended()
    assert len(ended.why) < 3_000
    assert "\x1b" not in ended.why
    assert "\n" not in ended.why


@settings(deadline=None, max_examples=300)
@given(st.data())
def test_no_line_that_was_changed_anywhere_raises(data: st.DataObject) -> None:
    name, line = data.draw(st.sampled_from([each for each in _LINES if each[1].startswith("{")]))
    event = json.loads(line)
    for _ in range(data.draw(st.integers(1, 3))):
        event = _put(event, data.draw(st.sampled_from(_paths(event))), data.draw(_JSON))
    stream = stream_for(name, [], lambda: NOW)
    sound(stream, stream.feed(json.dumps(event)))


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(_LINES), st.integers(0, 4_000), st.text(max_size=40), st.sampled_from(sorted(STREAMS)))
def test_no_half_line_raises_in_any_format(line: tuple[str, str], cut: int, more: str, name: str) -> None:
    stream = stream_for(name, [], lambda: NOW)
    rows = [row for each in (line[1][:cut], line[1][cut:], more, line[1] + more) for row in stream.feed(each)]
    sound(stream, rows)


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_lines_that_are_too_much_are_borne(name: str) -> None:
    stream = stream_for(name, [], lambda: NOW)
    rows: list[Row] = []
    most = MAX_TOKENS - 1
    for ident in ("a", "b", "b"):
        figures = {"input_tokens": most, "cache_read_input_tokens": most, "output_tokens": most}
        tokens = {"input": most, "output": most, "total": most, "cache": {"read": most}}
        used = {"input": most, "output": most, "cacheRead": most, "cost": {"total": 1e6}}
        data = {"inputTokens": most, "outputTokens": most, "cacheReadTokens": most}
        for event in (
            {"type": "assistant", "message": {"id": ident, "usage": figures}},
            {"type": "step_finish", "part": {"tokens": tokens, "cost": 1e6}},
            {"type": "message_end", "message": {"role": "assistant", "usage": used}},
            {"type": "assistant.usage", "data": data},
            {"type": "assistant.message", "data": {"outputTokens": most}},
        ):
            rows += stream.feed(json.dumps(event))
            sound(stream, rows)
        for line in (f"Tokens: {'9' * 12}k sent, {'9' * 12}k received. Cost: $9e9 message, $999999999 session.",):
            rows += stream.feed(line)
        sound(stream, rows)
    big = "x\x1b[31m" * 200_000
    parts = [{"type": "text", "text": big}, {"type": "tool_use", "name": big, "input": {"command": big}}]
    for line in (
        "{" * 100_000,
        '{"type":' + "[" * 100_000,
        '{"type": "result", "usage": {"input_tokens": ' + "9" * 6_000 + "}}",
        '{"type": "result", "is_error": true, "result": "429 ' + "a" * 1_000_000 + '"}',
        json.dumps({"type": "assistant", "message": {"content": parts * 3}}),
        json.dumps({"type": "item.completed", "item": {"type": "agent_message", "text": big}}),
        json.dumps({"type": "turn.completed", "usage": {"input_tokens": 1e300, "output_tokens": float("nan")}}),
        big,
        '"\\ud800" {"type": "text", "part": {"text": "\\ud800"}}',
    ):
        rows += stream.feed(line)
    sound(stream, rows)


@pytest.mark.parametrize("name", sorted(set(STREAMS) - {"plain"}))
def test_each_format_has_a_recording_of_a_success_and_of_a_limit(name: str) -> None:
    ends = [played(path.name)[0].ended().reason for path in SAMPLES.iterdir() if format_of(path.name) == name]
    assert "limit" in ends
    assert "success" in ends


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        (["claude", "-p"], "claude"),
        (["C:\\bin\\Claude.CMD", "-p"], "claude"),
        (["/usr/local/bin/codex", "exec", "--json"], "codex"),
        (["npx", "-y", "@openai/codex@0.169.0", "exec"], "codex"),
        (["node", "/opt/gemini.js"], "gemini"),
        (["opencode", "run"], "opencode"),
        (["uvx", "mini-swe-agent"], "mini-swe-agent"),
        (["mini", "-y"], "mini-swe-agent"),
        (["pi", "--mode", "json"], "pi"),
        (["my-agent", "claude"], "plain"),
        (["python", "agent.py"], "plain"),
        ([], "plain"),
    ],
)
def test_the_format_is_guessed_from_the_program(run: list[str], expected: str) -> None:
    assert guessed(run) == expected


def test_settings_name_every_format() -> None:
    assert set(get_args(StreamName)) == {"", *STREAMS}
    assert AgentSettings(kind="command", run=["x"], stream="pi").stream == "pi"
    with pytest.raises(ValueError, match="stream"):
        AgentSettings.model_validate({"kind": "command", "run": ["x"], "stream": "other"})
