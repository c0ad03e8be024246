"""A night is recorded and played again from its scripts alone: the same files land, and the same orders end alike."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from night import Night

from engine.errors import UserError
from engine.journal import JournalReader
from engine.loading import load_roadmap, load_settings
from engine.models.event import Event
from roles.agents.script_format import Script, parse_script
from swarm_tui.recording import Recorded, record

PICTURE = b"\x89PNG\r\n\x1a\n\x00\xff\xfe"
DELETES = """\
schema = "script/1"

[[attempt]]
steps = [
    { delete = "tiny/old.py" },
    { edit = { path = "tiny/face.png", base64 = "%s" } },
    { edit = { path = "tools/run.sh", content = "#!/bin/sh\\n", executable = true } },
    { edit = { path = "tiny/text.py", content = 'QUOTES = "\\u0027\\u0027\\u0027 \\\\\\\\ \\\\n"' } },
    { spend = { tokens = 1200, cost = 0.25 } },
    { handoff = { summary = "old.py is gone", risk = "low", asks = ["dependency"] } },
]
"""
ASKS = """\
schema = "script/1"

[[attempt]]
steps = [
    { edit = { path = "tiny/asked.py", content = "ASKED = 1\\n" } },
    { ask = { argv = ["rm", "-r", "legacy"], why = "unused", danger = "large_deletion" } },
]
"""
FAILS = """\
schema = "script/1"

[[attempt]]
steps = [{ edit = { path = "tiny/half.py", content = "HALF = 1\\n" } }, { fail = 7 }]

[[attempt]]
steps = [{ abort = "the specification contradicts the test" }]
"""


def told(folder: Path) -> Night:
    """A night with a change that is mended at its second attempt, one of all kinds of files, a question, a failure, and
    an order that is given back."""
    night = Night(folder)
    night.person_commits({"tiny/old.py": "OLD = 1\n", "legacy/a.py": "A = 1\n"}, "Old files")
    night.order("words", {"tiny/words.py": "WORDS = {'Hello'}\n"}, {"tiny/words.py": "WORDS = {'hello', 'there'}\n"})
    for ident, script in (("mixed", DELETES % base64.b64encode(PICTURE).decode()), ("asks", ASKS), ("fails", FAILS)):
        night.order(ident)
        (night.scripts / f"{ident}.toml").write_text(script, encoding="utf-8")
    return night


def events(state: Path) -> list[Event]:
    with JournalReader(state / "journal.db") as reader:
        return list(reader.events())


def ends(state: Path) -> dict[str, list[tuple[str, object]]]:
    """Work order -> how each of its runs ended."""
    found: dict[str, list[tuple[str, object]]] = {}
    for event in events(state):
        if event.kind == "run_finished":
            found.setdefault(event.work_order, []).append((event.fields["result"], event.fields["exit_code"]))
    return found


def spent(state: Path) -> list[tuple[int, float]]:
    return [(e.fields["tokens"], e.fields["cost"]) for e in events(state) if e.kind == "budget_spent"]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Night, Recorded]:
    night = told(tmp_path_factory.mktemp("night"))
    night.until_idle()
    return night, record(night.repo, night.state, "", night.folder / "again", speed=5)


def script(made: Recorded, order: str) -> Script:
    path = made.folder / "scripts" / f"{order}.toml"
    return parse_script(path.read_text(encoding="utf-8"), path.name)


@pytest.mark.slow
def test_a_record_that_is_played_lands_the_same_files_and_ends_alike(recorded: tuple[Night, Recorded]) -> None:
    night, made = recorded
    again = Night.__new__(Night)  # the harness on folders that are there already
    again.folder = made.folder
    again.repo, again.scripts, again.state = (made.folder / name for name in ("repo", "scripts", "state"))
    again.until_idle()
    ours = {"swarm.toml", "roadmap.toml"}
    first, second = night_files(night), night_files(again)
    assert {name: second[name] for name in second if name not in ours} == {
        name: first[name] for name in first if name not in ours
    }
    assert first["tiny/face.png"] == ("100644", PICTURE)
    assert first["tools/run.sh"][0] == "100755"
    assert "tiny/old.py" not in first
    assert ends(again.state) == ends(night.state)
    assert sorted(spent(again.state)) == sorted(spent(night.state))
    assert again.phases() == night.phases()


def night_files(night: Night) -> dict[str, tuple[str, bytes]]:
    """Path -> mode and content of all that is on main."""
    from engine.git.hub import Hub

    hub = Hub(night.state)
    return {entry.path: (entry.mode, hub.blob(entry.sha)) for entry in hub.entries(hub.main().tree)}


@pytest.mark.slow
def test_a_record_says_what_was_done_attempt_by_attempt(recorded: tuple[Night, Recorded]) -> None:
    _, made = recorded
    words = script(made, "words")
    assert [
        [next(iter(step.model_fields_set)) for step in each.steps if step.sleep is None] for each in words.attempt
    ] == [
        ["edit", "handin"],
        ["edit", "handin"],
    ]
    (mixed,) = script(made, "mixed").attempt
    assert {next(iter(step.model_fields_set)) for step in mixed.steps} >= {"delete", "edit", "spend", "handoff"}
    assert next(step.handoff for step in mixed.steps if step.handoff)["asks"] == ["dependency"]
    (asks,) = script(made, "asks").attempt
    assert asks.steps[-1].ask is not None
    assert asks.steps[-1].ask.argv == ["rm", "-r", "legacy"]
    failed, gave_back = script(made, "fails").attempt
    assert failed.steps[-1].fail == 7
    assert gave_back.steps[-1].abort == "the specification contradicts the test"


@pytest.mark.slow
def test_a_record_stands_by_itself(recorded: tuple[Night, Recorded]) -> None:
    night, made = recorded
    repo = made.folder / "repo"
    settings = load_settings(repo / "swarm.toml")
    assert {settings.agents[name].scripts for name in settings.roles.values()} == {"../scripts"}
    assert {order.id for order in load_roadmap(repo / "roadmap.toml", settings).work_order} == set(night.orders)
    assert "play it: " in made.lines()[-1]
    with pytest.raises(UserError, match="is already there: name another folder"):
        record(night.repo, night.state, "", made.folder)
    with pytest.raises(UserError, match="there is no night 7"):
        record(night.repo, night.state, "7", made.folder / "x")


GOES_ON = """\
schema = "script/1"

[[attempt]]
steps = [
    { edit = { path = "tiny/first.py", content = "FIRST = 1\\n" } },
    { ask = { argv = ["rm", "-r", "legacy"], why = "unused", danger = "large_deletion", anyway = true } },
    { edit = { path = "tiny/second.py", content = "SECOND = 1\\n" } },
    { handin = { summary = "without a yes" } },
]
"""


def questions(night: Night) -> list[Event]:
    try:
        return night.events("approval_asked")
    except UserError:  # the journal is being made
        return []


@pytest.mark.slow
def test_what_came_after_an_answer_is_kept_behind_the_question(tmp_path: Path) -> None:
    night = Night(tmp_path / "night")
    night.person_commits({"legacy/a.py": "A = 1\n"}, "Old files")
    for order in ("yes", "no"):
        night.order(order)
        (night.scripts / f"{order}.toml").write_text(GOES_ON.replace("tiny/", f"tiny/{order}_"), encoding="utf-8")
    night.order("long", {"tiny/long.py": "LONG = 1\n"}, sleep_ms=8_000)  # the engine does not end meanwhile
    running = night.start()
    night.wait_for(lambda: len(questions(night)) == 2, "both questions")
    with JournalReader(night.folders.journal) as reader:
        for asked in questions(night):
            reader.send("approve" if asked.work_order == "yes" else "deny", {"id": asked.fields["approval"]})
    night.wait_for(lambda: running.poll() is not None, "the end of the night")
    answers = {event.work_order: event.fields["answer"] for event in night.events("approval_answered")}
    assert answers == {"yes": "approved", "no": "denied"}, night.said()

    made = record(night.repo, night.state, "", tmp_path / "again")
    for order in ("yes", "no"):
        (attempt,) = script(made, order).attempt
        steps = [step for step in attempt.steps if step.sleep is None and step.say is None]
        # What the operation itself did is no step: it is done again.
        assert [next(iter(step.model_fields_set)) for step in steps] == ["edit", "ask", "edit", "handin"]
        assert steps[2].edit is not None
        assert steps[2].edit.path == f"tiny/{order}_second.py"
        assert steps[1].ask is not None
        assert steps[1].ask.anyway is (order == "no")


def test_without_a_night_there_is_nothing_to_record(tmp_path: Path) -> None:
    night = Night(tmp_path)
    with pytest.raises(UserError, match="holds no hub yet: start the engine once"):
        record(night.repo, night.state, "", tmp_path / "out")
    with pytest.raises(UserError, match="is no number of a night"):
        record(night.repo, night.state, json.dumps("x"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
