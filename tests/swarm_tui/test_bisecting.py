"""`swarm bisect` on planted repositories, with real processes, checkouts and crashes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil
import pytest

from engine.errors import EngineBusyError, UserError
from engine.lock import InstanceLock
from swarm_tui.bisecting import Asked, run_bisect
from swarm_tui.bisection.record import Ran, Record

PROBE = """
import os, pathlib, random, subprocess, sys, time
here = pathlib.Path(sys.argv[1])
rules = dict(word.split("=") for word in sys.argv[2:])
with (here / "runs").open("a") as file:
    file.write(pathlib.Path("n").read_text() + "\\n")
run = len((here / "runs").read_text().split())
n = int(pathlib.Path("n").read_text())
if rules.get("hang") == str(run):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (here / "pids").write_text(f"{os.getpid()} {child.pid}")
    time.sleep(600)
if "daemon" in rules:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    with (here / "pids").open("a") as file:
        file.write(f"{child.pid} ")
if "litter" in rules:
    assert not pathlib.Path("litter").exists()
    pathlib.Path("litter/deep/.git").mkdir(parents=True)
    pathlib.Path("litter/deep/file").write_text("x")
    pathlib.Path("n").write_text("damaged")
low, _, high = rules.get("broken", "1000-0").partition("-")
if int(low) <= n <= int(high):
    sys.exit(125)
if n >= int(rules["bad"]):
    if "slow" in rules:
        time.sleep(600)
    sys.exit(int(rules.get("code", "1")))
sys.exit(random.Random(f"7 {run}").random() < float(rules.get("flakes", "0")) or int(rules.get("good", "0")))
"""


@dataclass
class Planted:
    """A repository whose commit number i has `i` in the file n, and a command that looks at it."""

    repo: Path
    place: Path
    ids: list[str]
    capture: pytest.CaptureFixture[str]
    said: str = field(default="", init=False)

    def command(self, **rules: object) -> tuple[str, ...]:
        words = (f"{name}={value}" for name, value in rules.items())
        return (sys.executable, "-I", "-S", str(self.place / "probe.py"), str(self.place), *words)

    def ask(self, *command: str, **options: Any) -> tuple[int, dict[str, Any]]:
        """Exit code and verdict; what was said meanwhile is in `said`."""
        asked = Asked(self.ids[0], self.ids[-1], command, self.repo, self.place / "state", as_json=True, **options)
        self.capture.readouterr()
        code = run_bisect(asked)
        out, self.said = self.capture.readouterr()
        assert out.count("\n") == 1
        return code, json.loads(out)

    def spawn(self, *command: str) -> subprocess.Popen[str]:
        ends = (self.ids[0], self.ids[-1], "--repo", str(self.repo), "--state", str(self.place / "state"))
        argv = [sys.executable, "-m", "swarm_tui.cli", "bisect", *ends, "--json", "--", *command]
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8")

    @property
    def runs(self) -> list[int]:
        """The numbers of the commits that were run, in order."""
        file = self.place / "runs"
        return [int(word) for word in file.read_text(encoding="utf-8").split()] if file.exists() else []

    @property
    def pids(self) -> list[int]:
        file = self.place / "pids"
        return [int(word) for word in file.read_text(encoding="utf-8").split()] if file.exists() else []


class Plant(Protocol):
    def __call__(self, commits: int = 24) -> Planted: ...


@pytest.fixture
def plant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Plant:
    def make(commits: int = 24) -> Planted:
        repo = tmp_path / "repo"
        git(tmp_path, "init", "--quiet", "--template=", "repo")
        stream = "".join(
            f"commit refs/heads/main\ncommitter A Person <person@example.invalid> {1_700_000_000 + number} +0000\n"
            f"data 9\nchange {number % 10}\nM 100644 inline n\ndata {len(str(number))}\n{number}\n"
            for number in range(commits + 1)
        )
        subprocess.run(["git", "fast-import", "--quiet"], cwd=repo, input=stream, text=True, check=True)
        git(repo, "checkout", "--quiet", "main")
        (tmp_path / "probe.py").write_text(PROBE, encoding="utf-8")
        return Planted(repo, tmp_path, git(repo, "rev-list", "--reverse", "main").split(), capsys)

    return make


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True).stdout


def until(holds: Callable[[], bool], most_s: float = 60.0) -> None:
    give_up = time.monotonic() + most_s
    while not holds():
        assert time.monotonic() < give_up, "it did not come to that"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_the_culprit_is_found_and_the_checkout_of_the_user_is_left_alone(plant: Plant) -> None:
    planted = plant()
    (planted.repo / "n").write_text("my own unfinished work", encoding="utf-8")
    (planted.repo / "new").write_text("untracked", encoding="utf-8")

    def as_it_is() -> list[str]:
        questions = (
            ("status", "--porcelain"),
            ("diff",),
            ("for-each-ref",),
            ("worktree", "list"),
            ("rev-parse", "HEAD"),
        )
        return [git(planted.repo, *words) for words in questions] + sorted(
            map(str, Path(planted.repo / ".git").iterdir())
        )

    before = as_it_is()
    code, verdict = planted.ask(*planted.command(bad=17, litter=1))
    assert code == 0
    assert verdict["verdict"] == "culprit"
    assert verdict["commit"] == planted.ids[17]
    assert verdict["range"] == [planted.ids[17]]
    assert verdict["probability"] >= 0.98
    assert verdict["runs"] == len(planted.runs) <= 11
    assert verdict["skipped"] == 0
    assert planted.runs[:2] == [24, 0]  # both ends first
    assert {16, 17} <= set(planted.runs)
    assert as_it_is() == before
    assert not list(planted.place.glob("state/bisect/*/tree-*"))


@pytest.mark.slow
def test_flakes_do_not_accuse_the_innocent(plant: Plant) -> None:
    planted = plant(16)
    code, verdict = planted.ask(*planted.command(bad=11, flakes=0.2), false_red=0.2)
    assert (code, verdict["commit"]) == (0, planted.ids[11])
    assert len(planted.runs) > len(set(planted.runs))


def test_a_culprit_among_commits_that_cannot_be_judged_is_a_range(plant: Plant) -> None:
    planted = plant(12)
    code, verdict = planted.ask(*planted.command(bad=8, broken="6-10"), false_red=0.0)
    assert code == 1
    assert verdict["verdict"] == "range"
    assert verdict["range"] == planted.ids[6:12]
    assert verdict["commit"] == ""
    assert verdict["skipped"] == 5


def test_a_culprit_beside_commits_that_cannot_be_judged_is_found(plant: Plant) -> None:
    planted = plant(12)
    code, verdict = planted.ask(*planted.command(bad=9, broken="4-7"), false_red=0.0)
    assert (code, verdict["commit"]) == (0, planted.ids[9])


@pytest.mark.parametrize(("bad", "words"), [(100, "green on BAD"), (0, "red on GOOD already")])
def test_nobody_is_accused_when_an_end_is_not_as_it_was_said(plant: Plant, bad: int, words: str) -> None:
    planted = plant()
    code, verdict = planted.ask(*planted.command(bad=bad))
    assert code == 1
    assert (verdict["verdict"], verdict["commit"], verdict["range"]) == ("nobody", "", [])
    assert words in verdict["reason"]


def test_a_command_that_can_run_nowhere_accuses_nobody(plant: Plant) -> None:
    planted = plant()
    code, verdict = planted.ask("no-such-program-anywhere")
    assert code == 1
    assert (verdict["verdict"], verdict["runs"]) == ("unresolved", 1)
    assert "cannot be run on GOOD (exit 127)" in verdict["reason"]


def test_a_program_that_came_with_a_later_commit_is_bad_before_it(plant: Plant) -> None:
    planted = plant(4)
    code, verdict = planted.ask(*planted.command(bad=3, code=127))
    assert (code, verdict["commit"]) == (0, planted.ids[3])


@pytest.mark.parametrize("code", [128, 200])
def test_an_exit_code_that_says_nothing_ends_the_search(plant: Plant, code: int) -> None:
    planted = plant(4)
    answer, verdict = planted.ask(*planted.command(bad=3, code=code))
    assert answer == 1
    assert verdict["verdict"] == "unresolved"
    assert f"ended with {code}" in verdict["reason"]
    assert len(planted.runs) == 1


@pytest.mark.slow
def test_a_run_that_takes_too_long_is_bad_and_leaves_nothing_behind(plant: Plant) -> None:
    planted = plant(3)
    code, verdict = planted.ask(*planted.command(bad=2, slow=1, daemon=1), timeout_s=1.0, false_red=0.0)
    assert (code, verdict["commit"]) == (0, planted.ids[2])
    assert len(planted.pids) == len(planted.runs)
    until(lambda: all(map(gone, planted.pids)))


@pytest.mark.slow
def test_runs_beside_each_other_find_the_same(plant: Plant) -> None:
    planted = plant()
    code, verdict = planted.ask(*planted.command(bad=9), jobs=3)
    assert (code, verdict["commit"]) == (0, planted.ids[9])


@pytest.mark.slow
def test_a_merged_branch_is_searched_unless_only_merges_are_asked_for(plant: Plant) -> None:
    planted = plant(6)
    repo = planted.repo
    git(repo, "checkout", "--quiet", "-b", "side", planted.ids[2])
    for number in range(3):
        (repo / f"side{number}").write_text("x", encoding="utf-8")
        if number == 1:
            (repo / "fault").write_text("x", encoding="utf-8")
        git(repo, "add", ".")
        git(repo, "commit", "--quiet", "-m", f"side {number}")
    git(repo, "checkout", "--quiet", "main")
    git(repo, "merge", "--quiet", "--no-ff", "-m", "the merge", "side")
    (repo / "after").write_text("x", encoding="utf-8")
    git(repo, "add", ".")
    git(repo, "commit", "--quiet", "-m", "after the merge")
    fault = (sys.executable, "-I", "-S", "-c", "import os, sys; sys.exit(os.path.exists('fault'))")
    planted.ids.append(git(repo, "rev-parse", "main").strip())
    code, verdict = planted.ask(*fault, false_red=0.0)
    assert (code, verdict["commit"]) == (0, git(repo, "rev-parse", "side~1").strip())
    code, verdict = planted.ask(*fault, false_red=0.0, first_parent=True)
    assert (code, verdict["commit"]) == (0, git(repo, "rev-parse", "main~1").strip())


@pytest.mark.slow
def test_after_kill_9_the_same_command_goes_on(plant: Plant) -> None:
    planted = plant()
    command = planted.command(bad=17, hang=4)
    first = planted.spawn(*command)
    until(lambda: len(planted.pids) == 2)
    first.kill()
    first.communicate()
    assert len(planted.runs) == 4
    code, verdict = planted.ask(*command)
    assert (code, verdict["commit"]) == (0, planted.ids[17])
    assert verdict["resumed"] == 3
    assert "going on after 3 runs" in planted.said
    assert verdict["runs"] == len(planted.runs) - 1  # the one that was killed is run again
    assert planted.runs[4] == planted.runs[3]
    until(lambda: all(map(gone, planted.pids)))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_what_runs_and_says_how_to_go_on(plant: Plant, number: signal.Signals) -> None:
    planted = plant()
    command = planted.command(bad=17, hang=3)
    first = planted.spawn(*command)
    until(lambda: len(planted.pids) == 2)
    first.send_signal(number)
    out, err = first.communicate(timeout=60)
    assert first.returncode == 130
    assert out == ""
    assert "interrupted after 2 runs, which are kept: the same command goes on" in err
    until(lambda: all(map(gone, planted.pids)))
    code, verdict = planted.ask(*command)
    assert (code, verdict["commit"], verdict["resumed"]) == (0, planted.ids[17], 2)


@pytest.mark.slow
def test_what_was_found_is_not_gone_on_with_and_another_command_is_another_search(plant: Plant) -> None:
    planted = plant(4)
    for _ in range(2):
        _, verdict = planted.ask(*planted.command(bad=3))
        assert (verdict["commit"], verdict["resumed"]) == (planted.ids[3], 0)
    _, verdict = planted.ask(*planted.command(bad=2))
    assert (verdict["commit"], verdict["resumed"]) == (planted.ids[2], 0)


@pytest.mark.slow
def test_the_same_search_does_not_run_twice_at_once(plant: Plant) -> None:
    planted = plant(4)
    planted.ask(*planted.command(bad=3))
    (lock,) = planted.place.glob("state/bisect/*/lock")
    with InstanceLock(lock), pytest.raises(EngineBusyError, match="runs already"):
        planted.ask(*planted.command(bad=3))


def test_a_torn_line_of_the_record_is_forgotten_and_what_was_whole_stays(tmp_path: Path) -> None:
    file = tmp_path / "runs.jsonl"
    runs = [Ran(run=at, commit=f"{at:040}", outcome="good", exit_code=0, duration_s=1.5) for at in (1, 2)]
    record = Record(file)
    assert record.begin({"good": "a"}, fresh=False) == []
    for ran in runs:
        record.add(ran)
    whole = file.read_bytes()
    head = len(whole.splitlines(keepends=True)[0])
    for end in (*range(head + 1, len(whole), 29), len(whole) - 1, len(whole)):
        file.write_bytes(whole[:end])
        kept = Record(file).begin({"good": "a"}, fresh=False)
        assert kept == runs[: whole[:end].count(b"\n") - 1]
        Record(file).add(runs[1])
        assert Record(file).begin({"good": "a"}, fresh=False) == [*kept, runs[1]]
    assert Record(file).begin({"good": "a"}, fresh=True) == []


@pytest.mark.parametrize(
    ("good", "bad", "words"),
    [
        ("nonsense", "main", 'GOOD "nonsense" is no commit'),
        ("main~2", "--output=x", 'BAD "--output=x" is no commit'),
        ("main", "main~2", "GOOD is newer than BAD"),
        ("main", "main", "the same commit"),
        ("other", "main", "is not an ancestor of BAD"),
    ],
)
def test_ends_between_which_there_is_nothing_are_refused(plant: Plant, good: str, bad: str, words: str) -> None:
    planted = plant(4)
    git(planted.repo, "branch", "other", git(planted.repo, "commit-tree", "-m", "other", "main^{tree}").strip())
    with pytest.raises(UserError, match=r"^[^\n]+: [^\n]+\.$") as refused:
        run_bisect(Asked(good, bad, planted.command(bad=3), planted.repo, planted.place / "state"))
    assert words in str(refused.value)
    assert planted.runs == []


def test_a_search_without_a_command_says_where_to_write_it(plant: Plant) -> None:
    planted = plant(2)
    done = planted.spawn()
    out, err = done.communicate()
    assert (done.returncode, out) == (2, "")
    assert err == "swarm: there is no command: write it after --, as in `swarm bisect v1.0 main -- pytest -x`.\n"


def test_people_get_a_line_a_run_and_the_answer_last(plant: Plant) -> None:
    planted = plant(4)
    asked = Asked("main~4", "main", planted.command(bad=3), planted.repo, planted.place / "state")
    assert run_bisect(asked) == 0
    lines = planted.capture.readouterr().out.splitlines()
    assert lines[0].startswith("4 suspects; about 4 runs")
    assert lines[1].startswith(f"run 1: {planted.ids[4][:12]} bad (exit 1, ")
    assert lines[-1].startswith(f"{planted.ids[3]} did it (")
    assert lines[-1].endswith(": change 3")
