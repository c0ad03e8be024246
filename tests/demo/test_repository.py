"""The demo's repository is sound before the night begins."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from canary.golden import compare
from engine.errors import UserError
from engine.models.roadmap import Roadmap
from engine.scope import fault, in_scope
from swarm_tui.demo.build import build_demo


def test_it_is_one_clean_commit_on_main(demo) -> None:
    assert demo.git("status", "--porcelain") == ""
    assert demo.git("symbolic-ref", "--short", "HEAD") == "main"
    assert demo.git("rev-list", "--count", "HEAD") == "1"
    assert demo.git("log", "-1", "--format=%an %ae %aI") == "Ada Tiny ada@tinykit.example 2025-01-06T09:00:00+00:00"


def test_the_same_seed_makes_the_same_demo_and_another_only_other_sleeps(tmp_path: Path) -> None:
    one, again = build_demo(tmp_path / "one"), build_demo(tmp_path / "again")
    other = build_demo(tmp_path / "other", seed=7)
    mains = [repo / ".git" / "refs" / "heads" / "main" for repo in (one, again, other)]
    heads = [main.read_text(encoding="utf-8") for main in mains]
    assert len(set(heads)) == 1

    def scripts(repo: Path) -> dict[str, list[str]]:
        found = sorted((repo.parent / "scripts").glob("*.toml"))
        return {path.name: path.read_text(encoding="utf-8").splitlines() for path in found}

    assert scripts(again) == scripts(one)
    different = [
        (a, b)
        for name, lines in scripts(other).items()
        for a, b in zip(lines, scripts(one)[name], strict=True)
        if a != b
    ]
    assert different
    assert all(line.startswith("sleep = ") for pair in different for line in pair)


def test_it_is_never_made_over_something(demo) -> None:
    with pytest.raises(UserError, match="already there"):
        build_demo(demo.repo.parent)


def test_nothing_compiled_comes_along(demo) -> None:
    assert not [path for path in demo.repo.rglob("*") if "__pycache__" in path.parts]


@pytest.mark.parametrize("gate", ["unit", "stress"])
def test_its_gates_are_green(demo, gate: str) -> None:
    ran, failed, said = demo.suite(gate)
    assert failed == [], said
    assert ran >= 6


@pytest.mark.parametrize("name", ["resize-drag", "multi-view", "navigation"])
def test_its_flows_say_what_the_goldens_say(demo, name: str) -> None:
    flow = demo.flow(name)
    trace = demo.trace(flow)
    assert trace == demo.golden(flow)
    assert compare(demo.golden(flow), trace, flow.judge.mask, flow.judge.order) is None
    assert "frame" in [event["kind"] for event in trace]


@pytest.mark.parametrize("name", ["resize-drag", "multi-view", "navigation"])
def test_a_flow_ends_with_the_event_it_waits_for_last(demo, name: str) -> None:
    """Otherwise what comes after it would be in the trace on some machines and not on others."""
    flow = demo.flow(name)
    last = [step.wait.until for step in flow.steps if step.wait is not None][-1]
    event = demo.golden(flow)[-1]
    assert (event["kind"], last.where.items() <= event.items()) == (last.event, True)


def test_its_roadmap_is_sound(demo) -> None:
    roadmap = Roadmap.model_validate(tomllib.loads((demo.repo / "roadmap.toml").read_text(encoding="utf-8")))
    orders = {order.id: order for order in roadmap.work_order}
    assert len(orders) == 17
    for order in orders.values():
        assert order.item in {item.id for item in roadmap.item}
        assert set(order.depends_on) <= set(orders)
        assert [fault(glob) for glob in (*order.allow, *order.touches)] == [None] * len([*order.allow, *order.touches])
        assert (demo.scripts / f"{order.id}.toml").is_file()


def test_no_order_may_touch_what_judges_it(demo) -> None:
    roadmap = Roadmap.model_validate(tomllib.loads((demo.repo / "roadmap.toml").read_text(encoding="utf-8")))
    for order in roadmap.work_order:
        for path in ("swarm.toml", "canary/golden/resize-drag.jsonl", "tools/drop_legacy.py"):
            assert not in_scope(path, order.allow, order.deny), (order.id, path)


def test_one_frame_can_be_looked_at(demo) -> None:
    words = [sys.executable, "-m", "tinykit", "tiny:home"]
    done = subprocess.run(words, cwd=demo.repo, capture_output=True, encoding="utf-8", check=True)
    assert "TINY HOME" in done.stdout
