"""People work on main in the middle of a night: nothing of theirs is lost, rewritten or passed over."""

from __future__ import annotations

import pytest
from command_line import SETTINGS, TESTS, order, roadmap, until
from conftest import MakeDesk

FLOW = """
[[canary.flow]]
name = "smoke"
start = { run = ["python3", "-u", "app.py"], ready = { log = "ready" }, within = "10s" }
steps = [{ assert = { no_log = "ERROR" } }]
"""
APP = "import sys\nprint('ready')\nsys.stdin.read()\n"


@pytest.mark.slow
def test_a_persons_commit_is_taken_as_it_is_and_listed_until_it_is_proved(make_desk: MakeDesk) -> None:
    desk = make_desk(settings=SETTINGS + FLOW, **{"app.py": APP})
    night = desk.start()
    night.event("canary_judged", commit=desk.head(), verdict="PASS")
    mine = desk.commit("Mine", note__txt="by hand\n")
    adopted = night.event("commits_adopted", commit=mine)
    assert adopted["commits"] == [mine]
    night.event("canary_judged", commit=mine, verdict="PASS")
    proved = night.event("people_proved")
    assert proved["commits"] == [mine]
    kinds = [row["kind"] for row in night.rows if row["seq"] > adopted["seq"]]
    assert kinds.index("report_signed") < kinds.index("people_proved")
    assert kinds.index("canary_judged") < kinds.index("people_proved")
    assert desk.swarm("stop").returncode == 0
    ended = night.end()
    assert (ended.code, ended.summary["unproven"], ended.summary["last_good"]) == (0, [], mine)
    assert (desk.head(), desk.git("status", "--porcelain")) == (mine, "")
    assert desk.swarm("verify", "HEAD").returncode == 1


@pytest.mark.slow
def test_commits_made_while_main_moved_on_are_merged_and_both_are_kept(make_desk: MakeDesk) -> None:
    desk = make_desk(order("one", "write a.txt hello"))
    desk.write("tests/test_whole.py", TESTS + "# half an edit\n")
    first = desk.until_idle()
    assert "uncommitted" in first.summary["publish_pending"]
    mine = desk.commit("Mine, beside what landed")
    ended = desk.until_idle()
    assert ended.code == 0, ended.summary
    tip = desk.head()
    assert tip == ended.summary["main"]
    assert desk.has("a.txt")
    assert "# half an edit" in desk.git("show", "main:tests/test_whole.py")
    assert mine in desk.git("rev-list", "main").splitlines()
    assert desk.git("status", "--porcelain") == ""
    assert desk.swarm("verify", "HEAD").returncode == 0
    assert ended.summary["unproven"] == []


@pytest.mark.slow
def test_a_commit_that_conflicts_with_what_landed_waits_and_says_what_to_do(make_desk: MakeDesk) -> None:
    desk = make_desk(order("one", "write a.txt from the swarm"), order("two", "write b.txt hello", draft=True))
    desk.write("tests/test_whole.py", TESTS + "# half an edit\n")
    assert desk.until_idle().code == 0
    mine = desk.commit("Mine", a__txt="by hand\n")
    ended = desk.until_idle()
    pending = ended.summary["publish_pending"]
    assert "a.txt" in pending
    assert "git merge refs/swarm/main" in pending
    assert desk.head() == mine
    desk.git("merge", "--quiet", "--strategy-option=ours", "--no-edit", "refs/swarm/main")
    after = desk.until_idle()
    assert (after.code, after.summary["publish_pending"]) == (0, "")
    assert desk.git("show", "main:a.txt") == "by hand"
    assert desk.head() == after.summary["main"]


@pytest.mark.slow
def test_a_dirty_checkout_is_left_alone_and_caught_up_when_it_is_clean(make_desk: MakeDesk) -> None:
    desk = make_desk(order("one", "write a.txt hello"))
    before = desk.head()
    desk.write("tests/test_whole.py", TESTS + "# half an edit\n")
    night = desk.start()
    night.event("publish_pending")
    assert desk.head() == before
    assert "uncommitted changes" in desk.status()["publish_pending"]
    assert "publish    pending" in desk.swarm("status").stdout
    assert not (desk.repo / "a.txt").exists()
    desk.git("checkout", "--quiet", "tests/test_whole.py")
    night.event("published")
    assert desk.swarm("stop").returncode == 0
    assert night.end().summary["publish_pending"] == ""
    assert (desk.repo / "a.txt").read_text(encoding="utf-8") == "hello\n"


@pytest.mark.slow
def test_a_detached_head_and_another_branch_stay_where_they_are(make_desk: MakeDesk) -> None:
    desk = make_desk(order("one", "write a.txt hello"))
    before = desk.head()
    desk.git("checkout", "--quiet", "--detach")
    assert desk.until_idle().code == 0
    assert (desk.head(), desk.has("a.txt")) == (before, True)
    assert desk.git("status", "--porcelain") == ""
    desk.git("checkout", "--quiet", "-b", "mine")
    desk.write("roadmap.toml", roadmap(order("one", "write a.txt hello"), order("two", "write b.txt hello")))
    assert desk.until_idle().code == 0
    assert (desk.head(), desk.has("b.txt"), desk.has("b.txt", "mine")) == (before, True, False)


@pytest.mark.slow
def test_a_persons_red_commit_freezes_landing_and_his_fix_thaws_it(make_desk: MakeDesk) -> None:
    desk = make_desk(order("one", "wait", "write a.txt hello"))
    night = desk.start()
    night.event("run_started", run="one.1")
    red = desk.commit("Red", broken__txt="no\n")
    night.event("landing_frozen", why="gates")
    status = desk.status()
    assert (status["health"], status["unproven"], status["main"]) == ("frozen", [red], red)
    night.go("one.1")
    night.event("change_queued")
    assert desk.status()["landed"] == 0
    (desk.repo / "broken.txt").unlink()
    mended = desk.commit("Mended")
    night.event("landing_thawed")
    night.event("change_landed", work_order="one")
    assert desk.swarm("stop").returncode == 0
    ended = night.end()
    assert (ended.code, ended.summary["unproven"], ended.summary["health"]) == (0, [], "green")
    assert desk.git("rev-list", "main").splitlines()[1:3] == [mended, red]


@pytest.mark.slow
def test_a_night_that_ends_on_a_red_main_says_so_with_its_exit_code(make_desk: MakeDesk) -> None:
    desk = make_desk(order("one", "write a.txt hello"))
    desk.commit("Red", broken__txt="no\n")
    ended = desk.until_idle()
    assert (ended.code, ended.summary["health"], ended.summary["landed"]) == (1, "frozen", 0)
    assert "broken.txt is there" in ended.summary["why"] or "test_nothing_is_broken" in ended.summary["why"]
    assert ended.of("gate_started", work_order="one") == []


@pytest.mark.slow
def test_a_roadmap_edited_in_the_night_is_taken_and_a_broken_one_refused(make_desk: MakeDesk) -> None:
    desk = make_desk(order("one", "write a.txt hello"))
    night = desk.start()
    night.event("work_order_healthy", work_order="one")
    one, two = order("one", "write a.txt hello"), order("two", "write b.txt hello")
    desk.write("roadmap.toml", roadmap(one, two, order("bad", depends_on=["nowhere"])))
    refused = night.event("roadmap_refused")
    assert "nowhere" in refused["reason"]
    until(lambda: any("nowhere" in text for text in desk.status()["problems"]), "the problem")
    assert [row["id"] for row in desk.status()["orders"]] == ["one"]
    desk.write("roadmap.toml", roadmap(one))
    until(lambda: desk.status()["problems"] == [], "the end of the problem")
    desk.write("roadmap.toml", roadmap(one, two))
    night.event("work_order_healthy", work_order="two")
    desk.write("roadmap.toml", roadmap(two))
    night.when(lambda row: row["kind"] == "roadmap_read" and row["gone"] == ["one"], "the order that is gone")
    assert desk.swarm("stop").returncode == 0
    assert night.end().code == 0


@pytest.mark.slow
def test_settings_edited_in_the_night_count_at_once_or_once_committed(make_desk: MakeDesk) -> None:
    desk = make_desk(order("one", "wait", "write a.txt hello"))
    night = desk.start()
    first = night.event("settings_read")
    night.event("run_started", run="one.1")
    desk.write("swarm.toml", SETTINGS.replace("implementers = 2", "implementers = two"))
    refused = night.event("settings_refused")
    assert "swarm.toml:4" in refused["reason"]
    assert desk.status()["problems"] == [refused["reason"]]
    desk.write("swarm.toml", SETTINGS)
    until(lambda: desk.status()["problems"] == [], "the end of the problem")
    stricter = SETTINGS + '[[gate]]\nname = "second"\nrun = ["python3", "-c", "import tests.test_whole"]\n'
    desk.write("swarm.toml", stricter.replace("attempts = 3", "attempts = 1"))
    night.go("one.1")
    landed = night.event("change_landed", work_order="one")
    assert [row for row in night.rows if row["kind"] == "gate_started" and row["gate"] == "second"] == []
    desk.git("commit", "--quiet", "--all", "--message", "A second gate")
    policy = night.when(
        lambda row: row["kind"] == "settings_read" and row["seq"] > landed["seq"] and row["policy"] != first["policy"],
        "the new policy",
    )["policy"]
    night.event("gate_started", gate="second")
    night.event("report_signed", policy=policy, result="green")
    assert desk.swarm("stop").returncode == 0
    assert night.end().code == 0
