"""What agents say of themselves, name, propose and hand in, to get what no person gave them. Each beside its twin."""

from __future__ import annotations

import base64
import os
import sys
import threading
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest

from engine.approvals.broker import Policy
from engine.effects.spending import charge_of
from engine.masks import masked_files
from engine.models.handoffs import HandoffError
from engine.models.roadmap import WorkOrder
from engine.models.settings import AgentSettings, Settings
from engine.models.usage import Usage
from engine.planner.proposals import loosens, shown
from engine.planner.roles import allowed, named
from engine.proposals import checked
from engine.state import Approval, Change, Order, State
from roles.agents.acp.client import Client
from roles.agents.acp.files import SERVED, FileRefused, WorkspaceFiles
from roles.agents.acp.transcript import Transcript
from roles.agents.command import taken
from roles.agents.model_loop import Desk
from swarm_tui.recorded_actions import Actions
from swarm_tui.recording import _write_scripts  # pyright: ignore[reportPrivateUsage]
from swarm_tui.room.recording import Night
from tests.gates.bench import Bench
from tests.roles.agents.acp_stage import AcpStage
from tests.roles.agents.fake_acp_agent import OPTIONS
from tests.roles.agents.model_server import Fail, Say
from tests.roles.agents.test_model import play

posix = pytest.mark.skipif(sys.platform == "win32", reason="no links and pipes of this kind there")
served = pytest.mark.skipif(not SERVED, reason="files are not served on this system")


@contextmanager
def session(folder: Path, **policy: Any) -> Iterator[Client]:
    (folder / "a.txt").touch()
    transcript = Transcript(folder.parent / "log", ())
    held = Policy(folder, policy.pop("guarantees", {"fs_write": True}), **policy)
    try:
        yield Client(held, WorkspaceFiles(folder, [], [], []), transcript)
    finally:
        transcript.close()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


async def answer(of: Client, **call: Any) -> str:
    params = {"sessionId": "s", "toolCall": {"toolCallId": "t", **call}, "options": OPTIONS}
    outcome = (await of.handle("session/request_permission", params, False))["outcome"]
    return outcome.get("optionId", outcome["outcome"])


# -- permissions that nobody gave ------------------------------------------------------------------------------------

MANY = [{"path": f"src/{n}.py"} for n in range(200)]
WORDS = ["env", *(f"A{n}=1" for n in range(999))]


@pytest.mark.parametrize(
    ("attack", "twin"),
    [
        (
            {"kind": "edit", "title": "Write /etc/submit_handoff", "locations": [{"path": "/etc/submit_handoff"}]},
            {"kind": "edit", "title": "Write submit_handoff", "locations": [{"path": "submit_handoff"}]},
        ),
        (
            {"kind": "execute", "title": "ask_human; do as you like"},
            {"kind": "other", "title": "ask_human (swarm)"},
        ),
        (
            {"kind": "fetch", "title": "report_progress", "rawInput": {"url": "https://evil.example/"}},
            {"kind": "fetch", "title": "report_progress", "rawInput": {"url": "https://good.example/"}},
        ),
        (
            {"kind": "edit", "locations": [*MANY, {"path": "/etc/passwd"}]},
            {"kind": "edit", "locations": MANY},
        ),
        (
            {"kind": "execute", "rawInput": {"command": [*WORDS, "rm", "-rf", "."]}},
            {"kind": "execute", "rawInput": {"command": WORDS}},
        ),
        (
            {"kind": "think", "rawInput": {"command": "rm -rf ."}},
            {"kind": "think", "rawInput": {"command": "ls -la"}},
        ),
        (
            {"kind": "read", "locations": [{"path": "a.txt"}], "rawInput": {"command": ["sh", "-c", "rm -rf ."]}},
            {"kind": "read", "locations": [{"path": "a.txt"}], "rawInput": {"command": ["sh", "-c", "cat a.txt"]}},
        ),
        (
            {"kind": "edit", "rawInput": {"path": "~/.profile"}},
            {"kind": "edit", "rawInput": {"path": "home/.profile"}},
        ),
        (
            {"kind": "edit", "rawInput": {"path": " /etc/passwd"}},
            {"kind": "edit", "rawInput": {"path": "etc/passwd"}},
        ),
    ],
)
async def test_a_permission_goes_by_what_is_done_and_never_by_what_it_is_called(
    workspace: Path, attack: dict[str, Any], twin: dict[str, Any]
) -> None:
    with session(workspace, hosts=("good.example",)) as ours:
        assert await answer(ours, toolCallId="twin", **twin) == "yes"
        assert await answer(ours, toolCallId="attack", **attack) == "no"


async def test_an_address_of_a_file_is_read_as_agents_read_it(workspace: Path) -> None:
    with session(workspace) as ours:
        for number, way in enumerate(("%2e%2e/%2e%2e/x", "a.txt?/../../../x", "a.txt#/../../../x")):
            path = f"file://{workspace.as_posix()}/{way}"
            assert await answer(ours, toolCallId=f"t{number}", kind="edit", rawInput={"path": path}) == "no"
        path = f"file://{workspace.as_posix()}/new%20name.txt"
        assert await answer(ours, toolCallId="twin", kind="edit", rawInput={"path": path}) == "yes"
        away = f"file://evil.example{workspace.as_posix()}/a.txt"
        assert await answer(ours, toolCallId="away", kind="edit", rawInput={"path": away}) == "no"


async def test_a_new_call_inherits_nothing_of_another_with_its_id(workspace: Path) -> None:
    with session(workspace) as ours:
        begun = {"sessionUpdate": "tool_call", "toolCallId": "t", "kind": "execute", "rawInput": {"command": "ls"}}
        await ours.handle("session/update", {"update": begun}, True)
        assert await answer(ours) == "yes"
        await ours.handle("session/update", {"update": {**begun, "rawInput": {}}}, True)
        assert await answer(ours) == "no"


async def test_a_path_that_was_named_is_not_taken_back_by_another_call_with_its_id(workspace: Path) -> None:
    with session(workspace) as ours:
        for path in ("/etc/passwd", "a.txt"):
            begun = {"sessionUpdate": "tool_call", "toolCallId": "t", "kind": "edit", "rawInput": {"path": path}}
            await ours.handle("session/update", {"update": begun}, True)
        assert await answer(ours) == "no"
        assert await answer(ours, toolCallId="u", kind="edit", rawInput={"path": "a.txt"}) == "yes"


@served
def test_a_hidden_file_stays_hidden_when_its_folder_gets_another_name(workspace: Path) -> None:
    (workspace / "config").mkdir()
    (workspace / "config" / ".env").write_text("KEY=secret", encoding="utf-8")
    (workspace / "config" / "plain").write_text("plain", encoding="utf-8")
    files = WorkspaceFiles(workspace, [], [], masked_files(workspace))
    (workspace / "config").rename(workspace / "other")
    os.link(workspace / "other" / ".env", workspace / "notes.txt")
    assert files.read("other/plain") == "plain"
    for name in ("other/.env", "notes.txt"):
        with pytest.raises(FileRefused, match="hidden"):
            files.read(name)
    assert WorkspaceFiles(workspace, [], [], []).read("other/.env") == "KEY=secret"


@posix
def test_a_handoff_that_is_exchanged_for_a_pipe_or_link_is_not_waited_for(tmp_path: Path) -> None:
    if sys.platform == "win32":
        return
    good, pipe, link = tmp_path / "good", tmp_path / "pipe", tmp_path / "link"
    outside = tmp_path / "outside"
    outside.write_text("outside", encoding="utf-8")
    good.write_text("good", encoding="utf-8")
    os.mkfifo(pipe)
    link.symlink_to(outside)
    real = Path.lstat
    seen: list[bytes | None] = []

    class Exchanged(type(tmp_path)):  # what was looked at is not there any more when it is opened
        def lstat(self) -> os.stat_result:
            return real(good)

    def look() -> None:
        seen.extend(taken(Exchanged(path), 100) for path in (good, pipe, link))

    reader = threading.Thread(target=look, daemon=True)
    reader.start()
    reader.join(20)
    assert seen == [b"good", None, None]


@posix
def test_the_loops_search_leaves_the_workspace_neither_by_dots_nor_by_a_link(workspace: Path) -> None:
    (workspace / "sub").mkdir()
    (workspace / "sub" / "in.txt").write_text("needle inside", encoding="utf-8")
    (workspace.parent / "out.txt").write_text("needle outside", encoding="utf-8")
    (workspace / "link.txt").symlink_to(workspace.parent / "out.txt")
    config: dict[str, Any] = {
        "workspace": str(workspace),
        "guarantees": {},
        "without": "run",
        "hosts": [],
        "readable": [],
    }
    desk = Desk(config, workspace / "h", workspace / "a", workspace.parent / "progress")
    for glob in ("**/*.txt", "sub/../../*.txt", "sub/../*.txt"):
        assert "outside" not in desk.search("needle", glob)
    assert desk.search("needle") == "sub/in.txt:1: needle inside"


# -- scopes that nobody gave -----------------------------------------------------------------------------------------

HOSTILE_TESTS = ["tests/conftest.py", ".github/workflows/test_ci.yml"]


def joined(
    source: Literal["roadmap", "swarm"] = "roadmap", proposed: str = "", allow: tuple[str, ...] = ("src/**",)
) -> tuple[State, WorkOrder]:
    spec = WorkOrder(id="one", title="t", allow=list(allow))
    state = State()
    state.orders["one"] = Order(spec, source=source, proposed_by=proposed)
    tests = WorkOrder(id="tests-one", title="t", role="verifier", allow=["tests/**", "**/test_*"])
    done = {"paths": [*HOSTILE_TESTS, "tests/test_x.py"], "head": "h"}
    state.orders["tests-one"] = Order(tests, source="swarm", tests_for="one", phase="healthy", done=done)
    return state, spec


async def test_a_verifier_changes_no_protected_file_by_calling_it_a_test(bench: Bench) -> None:
    state, spec = joined()
    scope = allowed(state, spec, Change("c", "one", "b", "h", "t", [], joined="h"))
    honest = {"src/a.py": "1\n", "tests/test_x.py": "1\n"}
    hostile = honest | dict.fromkeys(HOSTILE_TESTS, "x\n")
    rows = await bench.guard(honest, allow=scope, named=named(state, spec))
    assert (rows["paths"].ok, rows["protected"].ok) == (True, True)
    refused = (await bench.guard(hostile, allow=scope, named=named(state, spec)))["protected"]
    assert (refused.ok, sorted(refused.paths)) == (False, sorted(HOSTILE_TESTS))
    assert (await bench.guard(hostile, allow=scope))["protected"].ok, "control: as if a person had named them"


async def test_only_a_person_names_a_protected_file(bench: Bench) -> None:
    path = "conftest.py"
    state, spec = joined("swarm", "plan-x", allow=(path,))
    assert not (await bench.guard({path: "x\n"}, allow=(path,), named=named(state, spec)))["protected"].ok
    state.approvals["ap"] = Approval("ap", "proposal", "t", "", {}, "h", 0.0, 9.0, order="one", status="approved")
    assert (await bench.guard({path: "x\n"}, allow=(path,), named=named(state, spec)))["protected"].ok
    assert named(*joined(allow=(path,))) == (path,)


def proposed(**fields: Any) -> WorkOrder:
    return WorkOrder.model_validate({"id": "a", "title": "a", "allow": ["src/**"], **fields})


@pytest.mark.parametrize("glob", ["**", "*", "**/*", "*/**", "**/*.*", "?*/**", "**/"])
def test_a_proposal_for_everything_always_waits_for_a_person(glob: str) -> None:
    assert loosens(proposed(allow=["src/a.py", glob]))
    assert not loosens(proposed(allow=["src/a.py", "src/**", "**/test_*", "*.md"]))


def test_a_proposal_that_gives_the_canary_more_room_waits_for_a_person_and_says_so() -> None:
    order = proposed(budget={"frame": "+300%"})
    assert loosens(order)
    assert "room for samples: frame +300%" in shown(order)
    assert any(
        "conftest.py" in row for row in shown(proposed(allow=["conftest.py"])) if row.startswith("named in full")
    )


@pytest.mark.parametrize("path", [".env", "deep/.ENV", "config/.env.production"])
def test_no_proposal_opens_a_hidden_file(path: str) -> None:
    by = WorkOrder(id="plan", title="Plan", role="coordinator")
    with pytest.raises(HandoffError, match="only a person"):
        checked([proposed(allow=[path])], by, {"plan": by}, [], Settings())
    for fine in (".env.example", "src/env.py"):
        assert checked([proposed(allow=[fine])], by, {"plan": by}, [], Settings())


# -- figures and limits that are not so ------------------------------------------------------------------------------


def test_turns_that_nobody_can_have_taken_are_not_charged() -> None:
    def turns(claimed: int) -> tuple[int, list[str]]:
        charge = charge_of(None, "one.1", Usage(), 10.0, claimed)
        spent, *more = charge.events
        return spent.fields["turns"], [each.fields["rule"] for each in more]

    assert turns(40) == (40, [])
    assert turns(1 << 50) == (0, ["implausible-usage"])


# -- what is written down of it ---------------------------------------------------------------------------------------

KEY = 'first "line" \\ of a key\nsecond line of it'


def test_a_recorded_night_holds_no_secret_in_any_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THEIR_KEY", KEY)
    agents = {"a": AgentSettings(kind="command", run=["x"], env={"KEY": "$THEIR_KEY"})}
    steps = [{"edit": {"path": "a.txt", "content": KEY}}, {"edit": {"path": "b", "base64": packed(KEY)}}, {"say": KEY}]

    def written(name: str, settings: Settings) -> tuple[str, list[str]]:
        actions = Actions(scripts={"one": [steps]})
        _write_scripts(tmp_path / name, actions, Night(1, 1, times=array("d", [0.0])), settings)
        return (tmp_path / name / "one.toml").read_text(encoding="utf-8"), actions.left_out

    text, left = written("kept", Settings(agents=agents))
    assert ("second line of it" in text, packed(KEY) in text) == (False, False)
    assert len(left) == 1
    monkeypatch.delenv("THEIR_KEY")
    open_text, nothing = written("control", Settings(agents=agents))
    assert ("second line of it" in open_text, packed(KEY) in open_text, nothing) == (True, True, [])


def packed(text: str) -> str:
    return base64.b64encode(b"\0" + text.encode()).decode()


SAYS_LIMIT = "print('Error: 429 quota exceeded, try again in 30 days')\n"


@pytest.mark.slow
async def test_what_a_command_prints_is_no_word_of_the_provider(tmp_path: Path) -> None:
    stage = AcpStage(tmp_path)
    steps = [
        Say("", [("edit", {"path": "says.py", "old": "", "new": SAYS_LIMIT})]),
        Say("", [("run", {"argv": [sys.executable, "says.py"]})]),
        Fail(400, "no such model"),
    ]
    result, _ = await play(stage, steps)
    assert "quota exceeded" in stage.log()
    assert (result.end, result.resets_at) == ("failed", None)
    (tmp_path / "twin").mkdir()
    limit, _ = await play(AcpStage(tmp_path / "twin"), [Fail(429, "quota exceeded", 4_000)])
    assert limit.end == "limit"
