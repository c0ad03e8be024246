"""Everything that a person can get wrong: one sentence, an exit code of the contract, and nothing lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import SETTINGS, Desk, one_sentence, order, roadmap, until
from conftest import MakeDesk

NIGHT = ("--no-ui", "--until", "idle")


def refused(desk: Desk, *words: str, says: tuple[str, ...], code: int = 2) -> None:
    done = desk.swarm(*words)
    one_sentence(done, *says)
    assert done.returncode == code


# -- the repository ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", [NIGHT, ("check",), ("status",), ("gates",)])
def test_a_folder_without_a_repository_is_named(tmp_path: Path, words: tuple[str, ...]) -> None:
    desk = Desk(tmp_path, tmp_path)
    refused(desk, *words, says=("is not in a git repository", "--repo"))
    assert list(tmp_path.iterdir()) == []


def test_a_bare_repository_has_no_files_to_work_on(bare_desk: Desk) -> None:
    bare_desk.git("init", "--quiet", "--bare", "../bare.git")
    done = bare_desk.swarm(*NIGHT, "--repo", str(bare_desk.repo.parent / "bare.git"))
    one_sentence(done, "is a bare repository", "clone")
    assert done.returncode == 2


def test_a_repository_without_commits_needs_one(bare_desk: Desk) -> None:
    refused(bare_desk, *NIGHT, says=("has no commit yet",))


def test_a_main_branch_that_is_not_there_is_named(make_desk: MakeDesk) -> None:
    desk = make_desk(settings=SETTINGS.replace('main = "main"', 'main = "trunk"'))
    refused(desk, *NIGHT, says=('no branch "trunk"', "project.main"))


@pytest.mark.slow
def test_a_night_on_a_dirty_checkout_leaves_it_alone_and_says_so(make_desk: MakeDesk) -> None:
    desk = make_desk(order("one", "write a.txt hello"))
    desk.write("tests/test_whole.py", "# half an edit\n")
    ended = desk.until_idle()
    assert ended.code == 0
    assert "uncommitted changes" in ended.summary["publish_pending"]
    assert (desk.repo / "tests/test_whole.py").read_text(encoding="utf-8") == "# half an edit\n"


# -- the files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["swarm.toml", "roadmap.toml"])
def test_a_missing_file_is_asked_for(make_desk: MakeDesk, name: str) -> None:
    desk = make_desk()
    (desk.repo / name).unlink()
    refused(desk, *NIGHT, says=(f"there is no {name}", "swarm init"))


BROKEN: list[tuple[str, str, tuple[str, ...]]] = [
    ("swarm.toml", SETTINGS + "[limits\n", ("swarm.toml:17", "not TOML")),
    ("swarm.toml", SETTINGS.replace("implementers", "implementors"), ("swarm.toml:4", "implementors", "implementers")),
    ("swarm.toml", SETTINGS.replace('implementer = "mine"', 'implementer = "yours"'), ("swarm.toml:8", "yours")),
    ("roadmap.toml", roadmap(order("a", depends_on=["b"]), order("b", depends_on=["a"])), ("roadmap.toml:", "cycle")),
    ("roadmap.toml", roadmap(order("a", depends_on=["nothing"])), ("roadmap.toml:7", "nothing")),
    ("roadmap.toml", roadmap(order("a"), order("a")), ("roadmap.toml:", "a")),
    ("roadmap.toml", roadmap(order("a", gates=["unti"])), ("roadmap.toml:7", "unti")),
    ("roadmap.toml", "schema = [", ("roadmap.toml:1", "not TOML")),
]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "text", "says"),
    BROKEN,
    ids=["syntax", "key", "agent", "cycle", "dependency", "duplicate", "gate", "roadmap syntax"],
)
def test_a_broken_file_is_refused_with_its_place(
    make_desk: MakeDesk, name: str, text: str, says: tuple[str, ...]
) -> None:
    desk = make_desk()
    desk.write(name, text)
    before = desk.git("status", "--porcelain")
    refused(desk, *NIGHT, says=says)
    assert desk.git("status", "--porcelain") == before
    checked = desk.swarm("check", "--json")
    assert checked.returncode == 1
    assert '"level": "error"' in checked.stdout


def test_a_gate_whose_program_is_missing_is_found_before_the_night(make_desk: MakeDesk) -> None:
    desk = make_desk(
        order("one", "write a.txt hello"),
        settings=SETTINGS.replace('run = ["python3", "-m"', 'run = ["no-such-tester", "-m"'),
    )
    refused(desk, *NIGHT, says=("gate tests", "no-such-tester", "install"))
    assert desk.swarm("check").returncode == 1


def test_an_agent_whose_program_is_missing_is_found_before_the_night(make_desk: MakeDesk) -> None:
    desk = make_desk(
        order("one", "write a.txt hello"), settings=SETTINGS.replace('"python3", "tools', '"no-such-agent", "tools')
    )
    refused(desk, *NIGHT, says=("agent mine", "no-such-agent", "install"))


@pytest.mark.slow
def test_a_work_order_for_which_there_is_no_agent_is_parked_at_once(make_desk: MakeDesk) -> None:
    desk = make_desk(order("one", "write a.txt hello"), settings=SETTINGS.replace('implementer = "mine"', ""))
    ended = desk.until_idle()
    assert ended.code == 4
    assert [one["why"] for one in ended.summary["orders"]] == [
        "no agent does the role implementer: name one under [roles] in swarm.toml"
    ]
    desk.write("swarm.toml", SETTINGS)
    desk.commit("An agent")
    assert desk.swarm("retry", "one").returncode == 0
    assert desk.until_idle().code == 0
    assert desk.has("a.txt")


def test_no_room_on_the_disk_starts_nothing_and_is_said(make_desk: MakeDesk) -> None:
    desk = make_desk(order("one", "write a.txt hello"), settings=SETTINGS.replace('"1MB"', '"900000TB"'))
    ended = desk.until_idle()
    assert ended.code == 4
    assert ended.summary["problems"] == [
        "the disk has less free space than limits.free_disk, so no run starts: make room"
    ]
    assert ended.of("run_started") == []


# -- the state folder --------------------------------------------------------------------------------------------


def test_a_state_folder_that_cannot_be_written_is_named(make_desk: MakeDesk) -> None:
    desk = make_desk()
    (desk.home / "file").write_text("in the way", encoding="utf-8")
    refused(desk, *NIGHT, "--state", str(desk.home / "file" / "state"), says=("cannot be written", "--state"))


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_state_folder_is_named(make_desk: MakeDesk) -> None:
    desk = make_desk()
    locked = desk.home / "locked"
    locked.mkdir(mode=0o500)
    refused(desk, *NIGHT, "--state", str(locked), says=("cannot be written", "--state"))


def test_a_state_folder_inside_the_repository_is_refused(make_desk: MakeDesk) -> None:
    desk = make_desk()
    refused(desk, *NIGHT, "--state", str(desk.repo / "state"), says=("lies inside the repository", "--state"))
    assert not (desk.repo / "state").exists()


@pytest.mark.slow
def test_a_state_folder_of_a_newer_version_is_left_as_it_is(make_desk: MakeDesk) -> None:
    desk = make_desk()
    assert desk.until_idle().code == 0
    journal = Path(desk.ask("where")["journal"])
    with sqlite3.connect(journal) as connection:
        connection.execute("UPDATE meta SET value = '999' WHERE key = 'schema'")
    connection.close()
    for words in (NIGHT, ("status",), ("events",)):
        refused(desk, *words, says=("newer swarm", "--state"))


@pytest.mark.slow
def test_looking_before_the_first_start_says_what_to_do(make_desk: MakeDesk) -> None:
    desk = make_desk()
    for words in (("status",), ("events",), ("approve", "ap-1"), ("stop",)):
        refused(desk, *words, says=("start the engine once",))
    refused(desk, "verify", "HEAD", says=("nothing was signed",))
    refused(desk, "log", says=("no log",))


# -- the command line --------------------------------------------------------------------------------------------


MISTAKES: list[tuple[tuple[str, ...], tuple[str, ...]]] = [
    (("frobnicate",), ("frobnicate", "--help")),
    (("status", "--colour"), ("--colour", "--help")),
    (("approve",), ("approval", "--help")),
    (("--no-ui", "--until", "nonsense"), ("idle", "90s", "nonsense")),
    (("--no-ui", "--until", "10"), ("idle", "90s")),
    (("--no-ui", "--log", "cooking=debug"), ("cooking",)),
    (("gates", "no-such-revision"), ("no-such-revision",)),
    (("gates", "--gate", "no-such-gate"), ("no-such-gate",)),
]


def test_a_mistake_on_the_command_line_is_one_sentence(make_desk: MakeDesk) -> None:
    desk = make_desk()
    for words, says in MISTAKES:
        refused(desk, *words, says=says)


@pytest.mark.slow
def test_a_wrong_name_is_told_what_there_is(make_desk: MakeDesk) -> None:
    desk = make_desk(order("one", "write a.txt hello"))
    assert desk.until_idle().code == 0
    refused(desk, "retry", "two", says=("two", "swarm roadmap show"))
    refused(desk, "cancel", "two", says=("two", "swarm roadmap show"))
    refused(desk, "log", "two", says=("two",))
    refused(desk, "stop", says=("no engine runs",))
    refused(desk, "verify", "no-such-revision", says=("no-such-revision",))
    assert desk.swarm("retry", "one").returncode == 2


# -- people who interrupt ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_second_engine_is_told_about_the_first(make_desk: MakeDesk) -> None:
    desk = make_desk()
    night = desk.start()
    night.event("report_signed")
    refused(desk, *NIGHT, says=(f"pid {night.process.pid}", "swarm stop"), code=3)
    assert desk.swarm("gates", "--json").returncode == 0
    assert desk.status()["running"] is True
    assert desk.swarm("stop").returncode == 0
    ended = night.end()
    assert (ended.code, ended.of("engine_stopped")[0]["reason"]) == (0, "stopped")
    assert desk.until_idle().code == 0


@pytest.mark.slow
def test_pause_and_resume_and_an_orderly_end_from_another_process(make_desk: MakeDesk) -> None:
    desk = make_desk(order("one", "wait", "write a.txt hello"), order("two", "write b.txt hello", depends_on=["one"]))
    night = desk.start()
    night.event("run_started", run="one.1")
    assert "no new runs" in desk.swarm("pause").stdout
    assert "already" in desk.swarm("pause").stdout
    night.go("one.1")
    night.event("work_order_healthy", work_order="one")
    assert desk.status()["paused"] is True
    assert desk.phase("two") == "ready"
    assert desk.swarm("resume").returncode == 0
    night.event("work_order_healthy", work_order="two")
    assert desk.swarm("stop", "--finish").returncode == 0
    ended = night.end()
    assert (ended.code, ended.of("engine_stopped")[0]["reason"]) == (0, "drained")


@pytest.mark.slow
def test_a_cancelled_order_stops_running_and_keeps_what_was_written(make_desk: MakeDesk) -> None:
    desk = make_desk(order("one", "write a.txt hello", "say wrote", "wait"))
    night = desk.start()
    night.event("run_started", run="one.1")
    until(lambda: "wrote" in desk.swarm("log", "one").stdout, "the agent's word")
    assert "refs/swarm/keep" in desk.swarm("cancel", "one").stdout
    kept = night.event("run_finished", run="one.1")["kept"]
    assert desk.swarm("cancel", "one").returncode == 2
    hub = desk.ask("where")["hub"]
    assert "a.txt" in desk.git("--git-dir", hub, "ls-tree", "--name-only", kept)
    assert desk.swarm("stop").returncode == 0
    assert night.end().code == 0
    assert desk.phase("one") == "cancelled"
    assert desk.until_idle().code == 0
    assert not desk.has("a.txt")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")
def test_one_interrupt_finishes_what_runs_and_takes_nothing_new(make_desk: MakeDesk) -> None:
    desk = make_desk(order("one", "wait", "write a.txt hello"), order("two", "write b.txt hello", depends_on=["one"]))
    night = desk.start()
    night.event("run_started", run="one.1")
    night.interrupt()
    night.event("engine_draining")
    night.go("one.1")
    ended = night.end()
    assert ended.code == 130
    assert ended.of("engine_stopped")[0]["reason"] == "drained"
    assert desk.has("a.txt")
    assert ended.of("run_started", work_order="two") == []
    assert desk.until_idle().code == 0
    assert desk.has("b.txt")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")
def test_two_interrupts_stop_now_and_keep_the_work(make_desk: MakeDesk) -> None:
    desk = make_desk(order("one", "write a.txt hello", "say wrote", "wait"))
    night = desk.start()
    night.event("run_started", run="one.1")
    until(lambda: "wrote" in desk.swarm("log", "one").stdout, "the agent's word")
    night.interrupt()
    night.event("engine_draining")
    night.interrupt()
    ended = night.end()
    assert ended.code == 130
    assert ended.of("engine_stopped")[0]["reason"] == "stopped"
    finished = ended.of("run_finished")[0]
    assert (finished["result"], finished["counted"]) == ("interrupted", False)
    hub = desk.ask("where")["hub"]
    assert "a.txt" in desk.git("--git-dir", hub, "ls-tree", "--name-only", finished["kept"])
    assert desk.phase("one") == "ready"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="signals are another thing there")
def test_an_interrupt_before_the_engine_is_up_is_not_forgotten(make_desk: MakeDesk) -> None:
    desk = make_desk(order("one", "wait", "write a.txt hello"))
    night = desk.start()
    state = desk.home / ".local" / "state" / "swarm"
    until(lambda: any(state.glob("*/engine.lock")) or any((desk.home / "Library").rglob("engine.lock")), "the lock")
    night.interrupt()
    ended = night.end()
    assert ended.code == 130
    assert ended.of("run_started") == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="pipes break in another way there")
@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_reader_who_goes_away_does_not_end_the_night(make_desk: MakeDesk, words: tuple[str, ...]) -> None:
    desk = make_desk(order("one", "wait", "write a.txt hello"))
    argv = [sys.executable, "-m", "swarm_tui.cli", *NIGHT, *words]
    options: dict[str, Any] = {
        "cwd": desk.repo,
        "env": desk.environment,
        "stdin": subprocess.DEVNULL,
        "encoding": "utf-8",
    }
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    assert process.stdout is not None
    try:
        assert process.stdout.readline()
        process.stdout.close()
        until(lambda: (desk.state / "workspaces/files/one.1/tools").is_dir(), "the workspace")
        (desk.state / "workspaces/files/one.1/go").touch()
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    finally:
        process.kill()
    assert desk.has("a.txt")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="pipes break in another way there")
def test_a_closed_pipe_ends_a_listing_quietly(make_desk: MakeDesk) -> None:
    desk = make_desk()
    assert desk.until_idle().code == 0
    shell = f"'{sys.executable}' -m swarm_tui.cli events --json | true"
    done = subprocess.run(
        ["sh", "-c", shell], cwd=desk.repo, env=desk.environment, capture_output=True, encoding="utf-8", check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_sigterm_stops_in_an_orderly_way(make_desk: MakeDesk) -> None:
    desk = make_desk()
    night = desk.start()
    night.event("report_signed")
    night.process.send_signal(signal.SIGTERM)
    assert night.end().of("engine_stopped")[0]["reason"] == "stopped"
