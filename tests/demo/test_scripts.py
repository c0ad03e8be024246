"""Every broken attempt breaks what it claims to break and only that, and every last attempt is right."""

from __future__ import annotations

import json
import subprocess
import tomllib

import pytest

from engine.models.handoffs import DesignContract, WorkOrders, parse_handoff
from engine.models.roadmap import Roadmap, WorkOrder
from engine.models.task import GrantedOperation, Operation
from engine.planner.proposals import loosens
from engine.scope import in_scope
from roles.agents.script_format import parse_script
from roles.agents.streams.plain import Plain

HONEST = ["rect-inset", "text-align", "close-view", "docs-events"]
FLOWS = ["resize-drag", "multi-view", "navigation"]


def order_of(demo, name: str):
    roadmap = Roadmap.model_validate(tomllib.loads((demo.repo / "roadmap.toml").read_text(encoding="utf-8")))
    return next(order for order in [*roadmap.work_order, *proposed(demo)] if order.id == name)


def proposed(demo) -> list[WorkOrder]:
    """The orders of the coordinator's plan."""
    *_, last = parse_script((demo.scripts / "plan-find.toml").read_text(encoding="utf-8"), "plan-find").attempt[0].steps
    handoff = parse_handoff(json.dumps(last.handoff).encode("utf-8"), "coordinator")
    assert isinstance(handoff, WorkOrders)
    return handoff.orders


def changed(demo) -> list[str]:
    demo.git("add", "-A")
    return demo.git("diff", "--cached", "--name-only", "--no-renames", "HEAD").splitlines()


def outside(demo, name: str) -> list[str]:
    order = order_of(demo, name)
    return [path for path in changed(demo) if not in_scope(path, order.allow, order.deny)]


def played(demo, name: str, attempt: int) -> None:
    done = demo.play(name, attempt)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (demo.side / "handoff.json").is_file()


def red(demo) -> list[str]:
    return [test for gate in ("unit", "stress") for test in demo.suite(gate)[1]]


def wrong_flows(demo) -> list[str]:
    return [name for name in FLOWS if demo.trace(demo.flow(name)) != demo.golden(demo.flow(name))]


def land(demo, name: str, attempt: int) -> None:
    """Play, and commit as it would land: within scope."""
    played(demo, name, attempt)
    assert outside(demo, name) == []
    demo.commit(name)


def test_every_script_has_the_format(demo) -> None:
    scripts = sorted(demo.scripts.glob("*.toml"))
    assert len(scripts) == 21
    for path in scripts:
        parse_script(path.read_text(encoding="utf-8"), path.name)


@pytest.mark.parametrize("name", HONEST)
def test_honest_orders_are_right_at_once(demo, name: str) -> None:
    played(demo, name, 1)
    assert outside(demo, name) == []
    assert red(demo) == []


def test_the_scrollbar_leaves_its_scope_once(demo) -> None:
    played(demo, "scrollbar", 1)
    assert outside(demo, "scrollbar") == ["tinykit/surface.py"]
    demo.git("reset", "-q", "--hard")
    played(demo, "scrollbar", 2)
    assert outside(demo, "scrollbar") == []
    assert red(demo) == []


def test_the_history_breaks_one_unit_test_once(demo) -> None:
    played(demo, "history-limit", 1)
    assert outside(demo, "history-limit") == []
    assert red(demo) == ["tests.unit.test_history.HistoryTest.test_the_newest_page_is_the_current_one"]
    demo.git("reset", "-q", "--hard")
    demo.git("clean", "-fdq")
    played(demo, "history-limit", 2)
    assert red(demo) == []


def test_the_stress_tests_are_not_found_once(demo) -> None:
    before = demo.suite("stress")[0]
    played(demo, "stress-seeds", 1)
    assert outside(demo, "stress-seeds") == []
    assert (demo.suite("stress")[0], demo.suite("unit")[1]) == (0, [])
    demo.git("reset", "-q", "--hard")
    demo.git("clean", "-fdq")
    played(demo, "stress-seeds", 2)
    assert outside(demo, "stress-seeds") == []
    ran, failed, said = demo.suite("stress")
    assert (ran, failed) == (before, []), said
    assert "random.Random(" not in (demo.repo / "tests" / "stress" / "test_host_storm.py").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("first", ["stamp-rename", "status-overlay"])
def test_two_are_green_alone_and_red_together_and_either_can_mend_it(demo, first: str) -> None:
    second = {"stamp-rename": "status-overlay", "status-overlay": "stamp-rename"}[first]
    base = demo.git("rev-parse", "HEAD")
    heads: dict[str, str] = {}
    for name in (first, second):
        demo.git("checkout", "-q", "--detach", base)
        played(demo, name, 1)
        assert outside(demo, name) == []
        assert red(demo) == [], f"{name} alone"
        heads[name] = demo.commit(name)
    assert demo.merges(heads[first], heads[second]), "a conflict in the text would be another story"
    assert {test.rsplit(".", 2)[0] for test in red(demo)} == {"tests.unit.test_overlay"}
    demo.git("checkout", "-q", "--detach", heads[first])
    played(demo, second, 2)
    assert outside(demo, second) == []
    assert red(demo) == []


def afresh(demo) -> None:
    demo.git("reset", "-q", "--hard")
    demo.git("clean", "-fdq")


def put_back(demo, path: str) -> None:
    demo.git("checkout", "-q", "HEAD", "--", path)


def test_the_fix_is_tested_by_nothing_once(demo) -> None:
    played(demo, "link-spaces", 1)
    assert red(demo) == []
    put_back(demo, "tinykit/document.py")
    assert red(demo) == [], "its test is green without the fix"
    afresh(demo)
    played(demo, "link-spaces", 2)
    assert (outside(demo, "link-spaces"), red(demo)) == ([], [])
    put_back(demo, "tinykit/document.py")
    assert len(red(demo)) == 2, "its tests are red without the fix"


def test_the_part_cells_loosen_an_old_test_once(demo) -> None:
    played(demo, "part-cells", 1)
    assert (outside(demo, "part-cells"), red(demo)) == ([], [])
    put_back(demo, "tests/unit/test_geometry.py")
    assert red(demo) == ["tests.unit.test_geometry.CellsTest.test_only_whole_cells_count"]
    afresh(demo)
    played(demo, "part-cells", 2)
    assert (outside(demo, "part-cells"), red(demo)) == ([], [])
    assert "tests/unit/test_geometry.py" not in changed(demo)


def test_the_plain_letters_come_with_a_package_once(demo) -> None:
    played(demo, "plain-letters", 1)
    assert outside(demo, "plain-letters") == []
    assert "requirements.txt" in changed(demo)
    afresh(demo)
    played(demo, "plain-letters", 2)
    assert (outside(demo, "plain-letters"), red(demo)) == ([], [])
    assert "requirements.txt" not in changed(demo)


def test_the_clipping_wants_out_and_empties_the_gates_once(demo) -> None:
    done = demo.play("clip-text", 1)
    assert done.returncode == 0, done.stderr
    assert "reading the signing key" in done.stdout
    assert "opening the journal to write" in done.stdout
    assert changed(demo) == ["swarm.toml", "tinykit/clip.py"]
    assert [gate.run for gate in demo.settings().gate] == [["true"]]
    afresh(demo)
    played(demo, "clip-text", 2)
    assert red(demo) == []
    assert changed(demo) == ["tests/unit/test_clip.py", "tinykit/clip.py"]


def test_the_lists_hang_once_with_their_edits_made(demo) -> None:
    with pytest.raises(subprocess.TimeoutExpired) as stopped:
        demo.play("list-blocks", 1, timeout_s=1)
    assert b"hangs" in (stopped.value.stdout or b"")
    assert changed(demo) == ["tinykit/document.py"]
    assert not (demo.side / "handoff.json").exists()
    demo.git("reset", "-q", "--hard")
    played(demo, "list-blocks", 2)
    assert outside(demo, "list-blocks") == []
    assert red(demo) == []


def test_the_legacy_folder_goes_only_after_a_yes(demo) -> None:
    asked = demo.play("drop-legacy", 1)
    assert asked.returncode == 75
    operation = Operation.model_validate_json((demo.side / "ask.json").read_text(encoding="utf-8"))
    assert (operation.argv, operation.danger) == (["python", "tools/drop_legacy.py"], "large_deletion")
    assert changed(demo) == ["README.md"]

    def answered(answer: str) -> subprocess.CompletedProcess[str]:
        return demo.play(
            "drop-legacy", 1, granted=[GrantedOperation(approval="ap-1", answer=answer, operation=operation)]
        )

    assert answered("denied").returncode == 3
    assert (demo.repo / "legacy").is_dir()
    assert answered("approved").returncode == 0
    assert not (demo.repo / "legacy").exists()
    assert outside(demo, "drop-legacy") == []
    assert red(demo) == []


def test_the_contract_is_one_and_forbids_painting(demo) -> None:
    played(demo, "contract-find", 1)
    assert (changed(demo), outside(demo, "contract-find")) == (["docs/find.md"], [])
    contract = parse_handoff((demo.side / "handoff.json").read_bytes(), "architect")
    assert isinstance(contract, DesignContract)
    assert [(each.from_, each.may_not) for each in contract.forbidden_imports] == [("finding", "painting")]
    assert all((demo.repo / path).is_file() for path in contract.module_map.values() if "find" not in path)


def test_the_plan_meets_a_limit_in_its_first_run_alone(demo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWARM_RUN", "night-1/plan-find.1")
    limited = demo.play("plan-find", 1)
    stream = Plain()
    for line in limited.stdout.splitlines():
        stream.feed(line)
    assert (limited.returncode, stream.ended().reason) == (1, "limit")
    assert not (demo.side / "handoff.json").exists()
    monkeypatch.setenv("SWARM_RUN", "night-1/plan-find.2")
    played(demo, "plan-find", 1)
    assert changed(demo) == []


def test_the_plan_has_one_order_that_waits_for_a_person(demo) -> None:
    assert [(order.id, bool(loosens(order))) for order in proposed(demo)] == [
        ("find-words", False),
        ("find-keys", True),
    ]


def test_the_finding_paints_once_and_is_right_then(demo) -> None:
    played(demo, "find-words", 1)
    assert (outside(demo, "find-words"), red(demo)) == ([], [])
    assert "import Surface" in (demo.repo / "tinykit" / "find.py").read_text(encoding="utf-8")
    afresh(demo)
    land(demo, "find-words", 2)
    assert "surface" not in (demo.repo / "tinykit" / "find.py").read_text(encoding="utf-8").casefold()
    played(demo, "find-keys", 1)
    assert (changed(demo), red(demo)) == (["tests/unit/test_hits.py", "tinykit/hits.py"], [])


@pytest.mark.slow
def test_the_night_in_order(demo) -> None:
    """Each order's last attempt on top of the others, then the cache that only the canary can catch."""
    for name in ["rect-inset", "close-view", *HONEST[3:], "text-align"]:
        land(demo, name, 1)
    for name in [
        "list-blocks",
        "scrollbar",
        "history-limit",
        "stress-seeds",
        "link-spaces",
        "part-cells",
        "plain-letters",
        "clip-text",
    ]:
        land(demo, name, 2)
    land(demo, "stamp-rename", 1)
    land(demo, "status-overlay", 2)
    assert red(demo) == []
    assert wrong_flows(demo) == []
    good = demo.git("rev-parse", "HEAD")

    land(demo, "frame-cache", 1)
    assert red(demo) == [], "every gate is green"
    assert wrong_flows(demo) == ["resize-drag"], "and one flow is not"
    broken = demo.git("rev-parse", "HEAD")

    demo.git("reset", "-q", "--hard", good)
    played(demo, "bug-frame-cache-1", 1)
    assert changed(demo) == ["tests/unit/test_resized_frame.py"]
    assert red(demo) == []
    fixed = demo.commit("bug-frame-cache-1")
    assert demo.merges(broken, fixed)
    assert red(demo) == ["tests.unit.test_resized_frame.ResizedFrameTest.test_one_compositor_follows_every_resize"]

    demo.git("checkout", "-q", "--detach", fixed)
    land(demo, "frame-cache", 2)
    assert red(demo) == []
    assert wrong_flows(demo) == []


@pytest.mark.slow
def test_the_last_attempts_merge_in_any_order_of_those_that_may_run_at_once(demo) -> None:
    base = demo.git("rev-parse", "HEAD")
    heads: list[str] = []
    last = {
        "rect-inset": 1, "close-view": 1, "list-blocks": 2, "scrollbar": 2, "history-limit": 2, "stress-seeds": 2,
        "status-overlay": 1,
    }  # fmt: skip
    for name, attempt in last.items():
        demo.git("checkout", "-q", "--detach", base)
        played(demo, name, attempt)
        heads.append(demo.commit(name))
    for line in (heads, heads[::-1]):
        tip = line[0]
        for head in line[1:]:
            assert demo.merges(tip, head)
            tip = demo.git("rev-parse", "HEAD")
        assert red(demo) == []
