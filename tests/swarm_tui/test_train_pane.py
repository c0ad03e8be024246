"""The gates pane tells of the train what `swarm train` tells, and whom the gates that run are for."""

from __future__ import annotations

from pathlib import Path

import pytest
from drawn import drawn
from nights import SETTINGS, TREE
from told_night import Told, looking, told_night, until

from swarm_tui.app import RoomApp
from swarm_tui.trains import print_train
from swarm_tui.widgets.train import TrainPane
from tests.conftest import MakeRepo

POLICY: str = SETTINGS["policy"]
ORDERS = [{"id": name, "title": name} for name in ("one", "two", "three")]


@pytest.fixture
def told(tmp_path: Path, git_repo: MakeRepo) -> Told:
    night = told_night(tmp_path, git_repo({"src/a.py": "print(1)\n"}), ORDERS)
    night.write("report_signed", report_kind="gates", result="green", report="sha256:m", tree=TREE, base=TREE,
                base_commit=night.base, policy=POLICY, change="", reasons=[], order="")  # fmt: skip
    for order in ("one", "two", "three"):
        night.write("work_order_ready", order=order)
        night.write("run_started", f"{order}.1", order, attempt=1, role="implementer", agent="demo", base=night.base)
        night.write("change_proposed", f"{order}.1", order, change=f"c-{order}", base=night.base, head=night.head,
                    tree=night.tree(night.head), paths=["a"], summary="", agent="demo")  # fmt: skip
        night.write("change_verifying", order=order, change=f"c-{order}")
        night.write("change_queued", order=order, change=f"c-{order}", guards=[])
    return night


def begins(told: Told, trial: str, *test: str, assumed: tuple[str, ...] = (), tree: str = "t" * 40) -> None:
    told.write("trial_started", order=test[-1][2:], trial=trial, test=list(test), assumed=list(assumed), base="b",
               tree=tree)  # fmt: skip
    told.write("gate_started", order=test[-1][2:], gate="unit", tree=tree, change=test[-1])


def ends(told: Told, change: str, result: str, tree: str = "t" * 40) -> None:
    told.write("gate_finished", order=change[2:], gate="unit", tree=tree, change=change, result=result, reason="",
               executed=0, passed=0, failed=0, skipped=0, duration_s=1.0, cached=False)  # fmt: skip


def rows(app: RoomApp) -> list[str]:
    """The rows of the pane, as text."""
    pane = app.screen.query_one(TrainPane)
    return [" ".join(cell.text for cell in pane._cells(key)).strip() for key in pane.rows.keys]


async def test_every_member_of_a_group_shows_the_gates_of_the_group(told: Told) -> None:
    begins(told, "g", "c-one", "c-two")
    async with looking(told, (160, 40)) as (app, pilot):
        await until(pilot, lambda: len(rows(app)) == 3)
        first, second, third = rows(app)
        assert first.startswith("1 one")
        assert "unit  · with two" in first
        assert "unit  · with one" in second
        assert third == "3 three waits for a free slot"


async def test_what_is_assumed_is_told(told: Told) -> None:
    begins(told, "a", "c-one")
    begins(told, "b", "c-two", assumed=("c-one",), tree="u" * 40)
    async with looking(told, (160, 40)) as (app, pilot):
        await until(pilot, lambda: len(rows(app)) == 3)
        first, second, _ = rows(app)
        assert second.startswith("2 two after one: ")
        assert "after" not in first


async def test_what_is_assumed_is_not_cut_off_where_the_screen_is_narrow(told: Told) -> None:
    begins(told, "a", "c-one")
    begins(told, "b", "c-two", assumed=("c-one",), tree="u" * 40)
    async with looking(told, (80, 24)) as (app, pilot):
        await until(pilot, lambda: len(rows(app)) == 3)
        await until(pilot, lambda: "after one: " in drawn(app))


@pytest.mark.slow
async def test_what_was_superseded_is_not_called_failed_and_waits_again(told: Told) -> None:
    begins(told, "a", "c-one")
    ends(told, "c-one", "superseded")
    told.write("trial_ended", order="one", trial="a", why="superseded", reason="")
    async with looking(told, (160, 40)) as (app, pilot):
        await until(pilot, lambda: len(rows(app)) == 3)
        assert rows(app)[0] == "1 one waits for a free slot"
        assert not any("✘" in row for row in rows(app))
    begins(told, "b", "c-one")
    ends(told, "c-one", "red")  # the control: a red gate is
    async with looking(told, (160, 40)) as (app, pilot):
        await until(pilot, lambda: len(rows(app)) == 3)
        assert "✘ unit" in rows(app)[0]


async def test_the_pane_and_the_command_say_the_same(told: Told, capsys: pytest.CaptureFixture[str]) -> None:
    begins(told, "g", "c-one", "c-two")
    base: dict[str, str] = {"base": told.tree(told.base), "base_commit": told.base, "policy": POLICY}
    told.write("report_signed", order="two", report_kind="land", result="red", report="sha256:r", tree="t" * 40,
               change="c-two", reasons=["r"], trial="g", **base)  # fmt: skip
    print_train(told.repo.path, told.folders.root, as_json=False)
    said = capsys.readouterr().out
    async with looking(told, (160, 40)) as (app, pilot):
        await until(pilot, lambda: len(rows(app)) >= 3)
        shown = [row.partition(" waits for ")[2] for row in rows(app)[:3]]
    assert shown == ["the split of a red group", "the split of a red group", "a free slot"]
    assert [line.partition("waits for ")[2] for line in said.splitlines() if "waits for" in line] == shown
