"""What a run that its provider's limit ended has done is gone on with, as far as it still fits."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from engine.effects.going_on import Given, kept_files
from engine.fold import apply
from engine.git.hub import Hub
from engine.models.event import Event, NewEvent
from engine.models.roadmap import WorkOrder
from engine.state import Order, State


class Yard:
    """A hub, and commits of whole trees on it: path -> content."""

    def __init__(self, folder: Path) -> None:
        user = folder / "user"
        user.mkdir()
        (user / "a.txt").write_text("one\ntwo\nthree\n", encoding="utf-8")
        env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        env |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        named = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]
        for words in (["init", "-q", "-b", "main"], ["add", "-A"], [*named, "commit", "-q", "-m", "first"]):
            subprocess.run(["git", *words], cwd=user, env=env, check=True, stdin=subprocess.DEVNULL, timeout=30)
        self.hub = Hub.create_or_open(folder / "state", user, "main")
        self.first = self.hub.main().commit

    def commit(self, parent: str, **files: str) -> str:
        rows = [f"100644 blob {entry.sha}\t{entry.path}" for entry in self.hub.entries(self.hub.tree_of(parent))]
        for name, text in files.items():
            path = f"{name}.txt"
            sha = self.hub.git.run("hash-object", "-w", "--stdin", stdin=text.encode()).line
            rows = [row for row in rows if not row.endswith(f"\t{path}")] + [f"100644 blob {sha}\t{path}"]
        tree = self.hub.git.run("mktree", stdin="".join(f"{row}\n" for row in rows).encode()).line
        return self.hub.commit(tree, [parent], "x\n", 1_700_000_000)

    def files(self, tree: str) -> dict[str, str]:
        return {entry.path: self.hub.blob(entry.sha).decode() for entry in self.hub.entries(tree)}


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory) -> Yard:
    return Yard(tmp_path_factory.mktemp("yard"))


def order_with(unfinished: str) -> Order:
    return Order(WorkOrder(id="one", title="t"), unfinished=unfinished)


def test_what_was_done_is_there_on_top_of_the_main_of_now(yard: Yard) -> None:
    done = yard.commit(yard.first, part="half\n")
    main = yard.commit(yard.first, other="landed\n")
    given = kept_files(yard.hub, order_with(done), main)
    assert yard.files(given.tree) == {"a.txt": "one\ntwo\nthree\n", "other.txt": "landed\n", "part.txt": "half\n"}
    assert given.kept == done
    assert given.said == (
        "it goes on with these files: the run before it was ended by its provider's limit, and left them"
    )


def test_what_does_not_fit_main_any_more_is_left_and_that_is_told(yard: Yard) -> None:
    done = yard.commit(yard.first, a="one\nmine\nthree\n")
    main = yard.commit(yard.first, a="one\ntheirs\nthree\n")
    given = kept_files(yard.hub, order_with(done), main)
    assert (given.tree, given.kept) == ("", "")
    assert "it starts afresh" in given.said
    assert "main has changed a.txt since" in given.said
    assert done[:12] in given.said


def test_nothing_left_is_nothing_told(yard: Yard) -> None:
    assert kept_files(yard.hub, order_with(""), yard.first) == Given()
    assert kept_files(yard.hub, order_with(yard.commit(yard.first)), yard.first) == Given()
    landed_meanwhile = yard.commit(yard.first, part="half\n")
    assert kept_files(yard.hub, order_with(landed_meanwhile), landed_meanwhile) == Given()


# -- what the state makes of it --------------------------------------------------------------------------------------


class Told:
    """A state that is told of runs of one order."""

    def __init__(self) -> None:
        self.state, self.seq, self.runs = State(), 0, 0
        raw = WorkOrder(id="one", title="t").model_dump(mode="json", by_alias=True)
        self.tell("roadmap_read", "", count=1, orders=[raw], gone=[], items=[])
        self.tell("work_order_ready")

    def tell(self, kind: str, order: str = "one", /, **fields: Any) -> None:
        self.seq += 1
        known = NewEvent(kind, fields)
        assert apply(self.state, Event(self.seq, 1.0, kind, order, f"one.{self.runs}", dict(known.fields))) is None

    def start(self, goes_on: str = "") -> None:
        self.runs += 1
        self.tell("run_started", attempt=1, role="implementer", agent="a", base="c", goes_on=goes_on)

    def end(self, result: str, kept: str) -> Order:
        counted = result not in ("limit", "interrupted", "asked")
        more = {"reason": "", "exit_code": 1, "duration_s": 1.0}
        self.tell("run_finished", result=result, counted=counted, kept=kept, **more)
        if counted:
            self.tell("change_rejected", change="", reasons=["red"])
        else:
            self.tell("run_interrupted", why="w")
        return self.state.orders["one"]


def test_a_limit_leaves_its_files_for_the_next_run_and_costs_no_attempt() -> None:
    told = Told()
    told.start()
    order = told.end("limit", "k1")
    assert (order.unfinished, order.attempts, order.phase) == ("k1", 0, "ready")
    told.start("k1")
    assert told.end("limit", "k2").unfinished == "k2"


@pytest.mark.parametrize(("result", "left"), [("failed", ""), ("interrupted", "k1"), ("idle", "")])
def test_only_an_attempt_of_its_own_uses_them_up(result: str, left: str) -> None:
    told = Told()
    told.start()
    told.end("limit", "k1")
    told.start("k1")
    assert told.end(result, "k2").unfinished == left


def test_a_run_that_starts_afresh_does_not_go_back_to_them() -> None:
    told = Told()
    told.start()
    told.end("limit", "k1")
    told.start("")
    assert told.end("interrupted", "k2").unfinished == ""


def test_a_limit_whose_files_could_not_be_taken_leaves_none() -> None:
    told = Told()
    told.start()
    assert told.end("limit", "").unfinished == ""
