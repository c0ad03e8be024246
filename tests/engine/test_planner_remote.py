"""When the planner speaks with the remote, what comes first there, and how long it waits."""

from __future__ import annotations

from typing import Any

from engine.actions import CANCELLABLE, Adopt, PublishRemote
from engine.fold import apply
from engine.models.event import Event
from engine.models.settings import Settings
from engine.planner import Plan, plan
from engine.snapshot import dump_state, load_state
from engine.state import State

BY_PUSH = Settings.model_validate({"project": {"publish": "remote"}})
BY_REQUEST = Settings.model_validate({"project": {"publish": "remote"}, "merge": {"land_via": "pull_request"}})


class Story:
    def __init__(self, settings: Settings = BY_PUSH) -> None:
        self.state, self.settings, self.now = State(), settings, 1_000.0
        self("repository_opened", commit="c0", tree="t0", repository="r", branch="main")
        self.starts()

    def __call__(self, kind: str, **fields: Any) -> None:
        event = Event(self.state.seq + 1, self.now, kind, "", "", fields)
        assert apply(self.state, event) is None

    def starts(self) -> None:
        self("engine_started", epoch=self.state.epoch + 1, version="0", pid=1)
        self("settings_read", policy="p", settings="s", bootstrap=False)

    def moves(self, commit: str) -> None:
        fields: dict[str, Any] = {"old": self.state.main, "commits": [commit], "effect_id": commit}
        self("commits_adopted", commit=commit, tree=f"tree of {commit}", **fields)

    def plan(self) -> Plan:
        return plan(self.state, self.settings, self.now)

    def rounds(self) -> list[str]:
        return [action.key for action in self.plan().actions if isinstance(action, PublishRemote)]


def test_each_start_looks_once_and_then_only_when_something_lacks() -> None:
    story = Story()
    assert len(story.rounds()) == 1
    story("published", commit="c0", to="remote")
    assert story.rounds() == []
    story.moves("c1")
    assert len(story.rounds()) == 1
    story("published", commit="c1", to="remote")
    assert story.rounds() == []
    story.starts()
    assert len(story.rounds()) == 1


def test_nothing_is_asked_of_a_remote_that_is_not_published_to() -> None:
    story = Story(Settings())
    story.moves("c1")
    assert story.rounds() == []


def test_what_lands_during_a_push_does_not_stop_it() -> None:
    story = Story()
    (key,) = story.rounds()
    story.moves("c1")
    assert story.rounds() == [key]
    assert PublishRemote in CANCELLABLE
    story("published", commit="c0", to="remote")
    (after,) = story.rounds()
    assert after != key, "a key runs once"


def test_a_remote_in_trouble_is_asked_ever_more_rarely_and_holds_nobody_up() -> None:
    story = Story()
    waits: list[float] = []
    for _ in range(9):
        assert len(story.rounds()) == 1
        story("publish_pending", commit="c0", reason="it is down", to="remote")
        made = story.plan()
        assert story.rounds() == []
        assert made.wake_at == story.state.remote.retry_at
        waits.append(story.state.remote.retry_at - story.now)
        story.moves(f"c{story.state.seq}")
        assert story.rounds() == [], "a landing does not hurry a remote that is down"
        story.now = story.state.remote.retry_at
    assert waits == [15, 30, 60, 120, 240, 480, 900, 900, 900]
    assert story.state.publish_pending == "", "the person's own repository is another matter"


def test_a_pause_that_was_asked_for_is_made() -> None:
    story = Story()
    story("publish_pending", commit="c0", reason="slow down", to="remote", wait_s=3600.0)
    assert story.state.remote.retry_at == story.now + 3600


def test_a_start_asks_at_once_whatever_was() -> None:
    story = Story()
    story("publish_pending", commit="c0", reason="it is down", to="remote", wait_s=3600.0)
    assert story.rounds() == []
    story.starts()
    assert len(story.rounds()) == 1


def test_a_persons_commits_there_are_taken_in_before_anything_is_pushed() -> None:
    story = Story()
    story("remote_main_seen", commit="p1", adopt="p1")
    made = story.plan()
    (adopt,) = [action for action in made.actions if isinstance(action, Adopt)]
    assert (adopt.commit, adopt.source) == ("p1", "remote")
    assert story.rounds() == []
    fields: dict[str, Any] = {"old": "c0", "commits": ["p1"], "effect_id": "e", "source": "remote"}
    story("commits_adopted", commit="p1", tree="tp", **fields)
    assert story.state.published == "c0", "the person's own repository does not have them yet"
    assert story.state.unproven == ["p1"]
    assert len(story.rounds()) == 1


def test_while_they_wait_on_the_train_nothing_is_pushed_and_a_refusal_is_said() -> None:
    story = Story()
    story("remote_main_seen", commit="p1", adopt="p1")
    change = {"change": "person/p1", "base": "c0", "head": "p1", "tree": "tp", "paths": [], "summary": "", "agent": ""}
    story("change_proposed", **change, person=True, commits=["p1"])
    assert story.rounds() == []
    assert not any(isinstance(action, Adopt) for action in story.plan().actions)
    story("change_rejected", change="person/p1", reasons=["it conflicts in a.txt"])
    assert story.state.remote.pending == "it conflicts in a.txt"
    assert story.state.publish_pending == ""
    assert len(story.rounds()) == 1


def test_pull_requests_are_looked_at_now_and_then_while_they_are_open() -> None:
    story = Story(BY_REQUEST)
    opened = {"branch": "agent/a/1", "commit": "c0", "number": 7, "url": "https://x", "title": "A"}
    story("pull_request_opened", **opened)
    (key,) = story.rounds()
    story("remote_checked", commit="c0", main="r0")
    assert story.rounds() == []
    assert story.plan().wake_at == story.now + 120
    story.now += 120
    assert len(story.rounds()) == 1
    assert story.rounds() != [key]
    story("remote_checked", commit="c0", main="r0")
    story("pull_request_updated", branch="agent/a/1", number=7, status="merged", ci="")
    assert len(story.rounds()) == 1, "its main has moved, and is fetched at once"
    story("published", commit="c0", to="remote")
    assert story.rounds() == []
    assert story.plan().wake_at is None
    assert load_state(dump_state(story.state)) == story.state


def test_by_pull_request_only_what_is_good_is_proposed() -> None:
    flows = [{"name": "smoke", "start": {"run": ["x"]}}]
    settings = BY_REQUEST.model_copy(update={"canary": Settings.model_validate({"canary": {"flow": flows}}).canary})
    story = Story(settings)
    story("remote_checked", commit="", main="r0")
    story.moves("c1")
    assert story.rounds() == []
    story("canary_started", commit="c1", about="c1", purpose="first")
    story("canary_judged", commit="c1", verdict="PASS", reason="", flaky=False, flow="")
    assert story.state.last_good == "c1"
    assert len(story.rounds()) == 1


def test_an_effect_that_fails_again_and_again_is_said_once_and_tried_later() -> None:
    story = Story()
    key = ""
    for _ in range(3):
        (key,) = story.rounds()
        story("effect_failed", effect="publish-remote", error="a bug", traceback="")
        story.now += 60
    (record,) = [action for action in story.plan().actions if action.effect.startswith("record:publish_pending")]
    story("publish_pending", commit="c0", reason="it failed again and again: a bug", to="remote")
    assert story.rounds() == []
    story.now = story.state.remote.retry_at
    assert story.rounds() not in ([], [key])
    assert record.key
