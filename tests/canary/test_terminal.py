"""Programs on a real terminal: curses, Textual and plain ones, with and without a sandbox."""

from __future__ import annotations

import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from canary.drivers.doors import Doors
from canary.drivers.driver import Launch, ProgramFault
from canary.drivers.terminal import TerminalDriver, TerminalSession
from canary.golden_files import keyed
from engine.errors import InfrastructureFault
from engine.models.flow import Click, Flow
from engine.models.settings import SandboxSettings
from engine.process.tree import find_marked
from engine.sandbox.choose import choose_sandbox
from tests.canary.worlds import World, python

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")

CURSES = """
    import curses, json, os
    def main(screen):
        curses.mousemask(curses.ALL_MOUSE_EVENTS)
        curses.mouseinterval(0)
        curses.curs_set(0)
        screen.timeout(100)
        events, said = open(os.environ["SWARM_EVENTS"], "a"), "nothing"
        while True:
            screen.erase()
            screen.border()
            height, width = screen.getmaxyx()
            screen.addstr(1, 2, f"size {width}x{height}")
            screen.addstr(2, 2, f"last {said} .")
            screen.refresh()
            key = screen.getch()
            if key == -1:
                continue
            if key == ord("q"):
                return
            if key == curses.KEY_MOUSE:
                said = "mouse {}, {}".format(*curses.getmouse()[1:3])
            elif key == curses.KEY_RESIZE:
                curses.update_lines_cols()
            else:
                said = curses.keyname(key).decode()
            print(json.dumps({"kind": "key", "name": said}), file=events, flush=True)
    curses.wrapper(main)
"""
LINES = """
    import json, os, signal, sys
    def interrupted(number, frame):
        print("interrupted", flush=True)
    def resized(number, frame):
        print("resized to {}x{}".format(*os.get_terminal_size()), flush=True)
    signal.signal(signal.SIGINT, interrupted)
    signal.signal(signal.SIGWINCH, resized)
    print("ready", os.environ["TERM"], all(os.isatty(n) for n in range(3)), os.getpid() == os.getsid(0), flush=True)
    for line in sys.stdin:
        print("read", line.strip(), flush=True)
    print("end of input", flush=True)
"""
TEXTUAL = """
    from textual.app import App
    from textual.widgets import Button, Input, Label
    class Small(App):
        def compose(self):
            yield Label("nothing yet", id="said")
            yield Input(id="name")
            yield Button("Greet")
        def on_button_pressed(self):
            self.query_one("#said").update(f"hello {self.query_one('#name').value}")
    Small().run()
"""


def terminal(code: str, *steps: dict[str, Any], ready: str = "ready", **fields: Any) -> Flow:
    start = {"run": python(code), "ready": {"screen": ready}, "within": "30s"}
    given = {"name": "tui", "driver": "terminal", "start": start, "steps": list(steps), "timeout": "90s"}
    return Flow.model_validate(given | {"stop": {"within": "30s"}} | fields)


def see(text: str) -> dict[str, Any]:
    return {"wait": {"until": {"screen": text}, "within": "30s"}}


def keys(*names: str) -> dict[str, Any]:
    return {"send": {"keys": list(names)}}


async def started(folder: Path, code: str) -> TerminalSession:
    """The program without a flow around it."""
    world = World(folder)
    world.ground.lay()
    session = await TerminalDriver().start(world.ground.start(terminal(code), None, Doors({})))
    assert isinstance(session, TerminalSession)
    return session


QUIT = {"stop": {"send": {"keys": ["q"]}, "within": "30s"}}
WALK = (
    keys("up"),
    see("last KEY_UP ."),
    {"send": {"click": {"x": 5, "y": 7}}},
    see("last mouse 5, 7 ."),
    {"send": {"resize": {"w": 60, "h": 10}}},
    see("size 60x10"),
    keys("f5"),
    see("last KEY_F(5) ."),
    {"wait": {"until": {"event": "key", "where": {"name": "KEY_F(5)"}}, "within": "30s"}},
    {"shot": {"name": "end"}},
)
GOLDEN = "canary/golden/tui/end.linux.txt"
FRAME = [
    f"┌{'─' * 58}┐",
    f"│ {'size 60x10':57}│",
    f"│ {'last KEY_F(5) .':57}│",
    *[f"│{' ' * 58}│"] * 6,
    f"└{'─' * 58}┘",
]


@pytest.mark.skipif(sys.platform != "linux", reason="the golden is Linux's")
async def test_a_curses_program_is_steered_and_its_picture_compared(tmp_path: Path) -> None:
    good = World(tmp_path / "good", goldens={GOLDEN: ("\n".join(FRAME) + "\n").encode("utf-8")})
    outcome = await good.run(terminal(CURSES, *WALK, ready="size 80x24", **QUIT))
    assert outcome.verdict == "PASS", outcome.reason
    assert [row["name"] for row in good.trace(outcome)][:2] == ["KEY_UP", "mouse 5, 7"]
    assert find_marked(good.ground.marker) == []
    other = World(tmp_path / "other", goldens={GOLDEN: ("\n".join(["x", *FRAME[1:]]) + "\n").encode("utf-8")})
    outcome = await other.run(terminal(CURSES, *WALK, ready="size 80x24", **QUIT))
    assert outcome.verdict == "FAIL"
    assert f"golden {GOLDEN}: line 1 is" in outcome.reason


async def test_what_never_shows_fails_and_says_what_did(tmp_path: Path) -> None:
    missing = {"wait": {"until": {"screen": "last KEY_DOWN ."}, "within": "300ms"}}
    outcome = await World(tmp_path).run(terminal(CURSES, keys("up"), missing, ready="size 80x24", **QUIT))
    assert outcome.verdict == "FAIL"
    assert "last KEY_UP ." in outcome.reason


@pytest.mark.parametrize("kind", ["none", "bubblewrap", "landlock"])
async def test_keys_and_sizes_arrive_as_signals(tmp_path: Path, kind: str) -> None:
    world = World(tmp_path)
    if kind != "none":
        sandbox = choose_sandbox(SandboxSettings(), tmp_path, among=[kind])
        if sandbox.name != kind:
            pytest.skip(f"{kind} does not work here")
        world = World(tmp_path, sandbox=sandbox)
    outcome = await world.run(
        terminal(
            LINES,
            keys("ctrl+c"),
            see("interrupted"),
            {"send": {"resize": {"w": 100, "h": 30}}},
            see("resized to 100x30"),
            {"send": {"text": "some words\n"}},
            see("read some words"),
            keys("ctrl+d"),
            see("end of input"),
            {"wait": {"until": {"exit": 0}, "within": "30s"}},
            ready="ready xterm-256color True True",
        )
    )
    assert outcome.verdict == "PASS", outcome.reason
    assert "read some words" in world.artifact(outcome, "log")
    assert find_marked(world.ground.marker) == []


@pytest.mark.slow
async def test_a_textual_app_draws_at_once_takes_text_and_the_mouse(tmp_path: Path) -> None:
    outcome = await World(tmp_path).run(
        terminal(
            TEXTUAL,
            {"send": {"text": "Ada"}},
            see("Ada"),
            {"send": {"click": {"x": 5, "y": 5}}},
            see("hello Ada"),
            {"assert": {"no_screen": "nothing yet"}},
            ready="Greet",
            stop={"send": {"keys": ["ctrl+q"]}, "within": "30s"},
        )
    )
    assert outcome.verdict == "PASS", outcome.reason


async def test_what_the_program_did_not_ask_for_or_no_keyboard_has_is_said(tmp_path: Path) -> None:
    session = await started(tmp_path, LINES)
    try:
        assert await session.until(lambda: "ready" in session.screen_text() or None, 30)
        with pytest.raises(ProgramFault, match="not asked for the mouse"):
            await session.click(Click(x=1, y=1))
        with pytest.raises(Exception, match='no key "hello"'):
            await session.press(["hello"])
        with pytest.raises(Exception, match="no column 80"):
            await session.click(Click(x=80, y=1))
        await session.press(["ctrl+d"])
        assert await session.until(lambda: session.ended or None, 30)
        with pytest.raises(ProgramFault, match="it has ended"):
            await session.press(["a"])
    finally:
        await session.kill()


PASTED = """
    import os, tty, sys
    tty.setraw(0)
    sys.stdout.write("\\x1b[?2004hready")
    sys.stdout.flush()
    seen = b""
    while b"!" not in seen:
        seen += os.read(0, 100)
    print("\\r\\n" + repr(seen))
"""


async def test_text_is_pasted_in_brackets_when_the_program_asks_for_it(tmp_path: Path) -> None:
    session = await started(tmp_path, PASTED)
    try:
        assert await session.until(lambda: "ready" in session.screen_text() or None, 30)
        await session.type("a\nb\x1b[201~")
        await session.send("!")
        expected = repr(b"\x1b[200~a\rb[201~\x1b[201~!")
        assert await session.until(lambda: expected in session.screen_text() or None, 30)
    finally:
        await session.kill()


HOSTILE_EVENTS = """
    import json, os, sys
    path = os.environ["SWARM_EVENTS"]
    if FIFO:
        os.mkfifo(path)
    else:
        os.symlink(os.environ["HOME"] + "/elsewhere", path)
        with open(path, "w") as file:
            print(json.dumps({"kind": "never"}), file=file)
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("fifo", [True, False])
async def test_events_are_read_from_no_pipe_and_no_link(tmp_path: Path, fifo: bool) -> None:
    outcome = await World(tmp_path).run(
        terminal(
            HOSTILE_EVENTS.replace("FIFO", str(fifo)),
            {"assert": {"no_event": "never"}},
            keys("ctrl+d"),
            {"wait": {"until": {"exit": 0}, "within": "30s"}},
        )
    )
    assert outcome.verdict == "PASS", outcome.reason


async def test_what_does_not_stop_printing_is_held_and_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("canary.drivers.process.OUTPUT_CAP_BYTES", 200_000)
    endless = 'print("ready", flush=True)\nwhile True:\n    print("x" * 200, flush=True)'
    world = World(tmp_path)
    outcome = await world.run(terminal(endless, {"wait": {"until": {"screen": "never"}, "within": "60s"}}))
    assert outcome.verdict == "FAIL"
    assert "it printed more than 0 MB" in outcome.reason
    assert find_marked(world.ground.marker) == []


async def test_what_it_leaves_behind_is_killed_and_the_terminal_closed(tmp_path: Path) -> None:
    daemon = """
        import signal, subprocess, sys
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        print("ready", flush=True)
        sys.stdin.read()
    """
    world = World(tmp_path)
    session = await started(tmp_path, daemon)
    assert await session.until(lambda: "ready" in session.screen_text() or None, 30)
    assert len(find_marked(world.ground.marker)) == 2
    await session.kill()
    await session.kill()
    assert find_marked(world.ground.marker) == []


async def test_without_terminals_it_says_where_to_run_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(InfrastructureFault, match="run them on Linux or macOS"):
        await TerminalDriver().start(Launch(("x",), tmp_path, {}, "m"))


async def test_the_guides_example_passes_and_finds_a_mistake(tmp_path: Path) -> None:
    examples = Path(__file__).parent / "examples"
    golden = (examples / "todo-list.txt").read_bytes()
    world = World(tmp_path, goldens={keyed("canary/golden/todo/list.txt"): golden})
    shutil.copy(examples / "todo.py", world.ground.tree)
    told = Flow.model_validate(tomllib.loads((examples / "todo.toml").read_text(encoding="utf-8")))
    sound = await world.run(told)
    assert sound.verdict == "PASS", sound.reason
    program = world.ground.tree / "todo.py"
    text = program.read_text(encoding="utf-8")
    assert '"milk"' in text
    program.write_text(text.replace('"milk"', '"mil"'), encoding="utf-8")
    broken = await world.run(told)
    assert broken.verdict == "FAIL", broken.reason
    assert "milk" in broken.reason


async def test_a_flood_of_events_beside_the_screen_ends_the_flow(tmp_path: Path) -> None:
    """Each is short enough, and there are few of them: it is their size together that nobody has memory for."""
    flood = """
        import json, os, sys
        with open(os.environ["SWARM_EVENTS"], "a") as file:
            for _ in range(int(sys.argv[1])):
                file.write(json.dumps({"kind": "fat", "of": "x" * 200_000}) + "\\n")
            file.flush()
        print("written", flush=True)
        sys.stdin.read()
    """
    start = {"run": [*python(flood), "90"], "ready": {"screen": "written"}, "within": "20s"}
    steps = [{"wait": {"until": {"event": "never"}, "within": "40s"}}]
    told: dict[str, Any] = {"name": "flood", "driver": "terminal", "start": start, "steps": steps}
    outcome = await World(tmp_path).run(Flow.model_validate(told))
    assert (outcome.verdict, "16 MB of events" in outcome.reason) == ("FAIL", True), outcome.reason
    start["run"][-1] = "20"
    told["steps"] = [{"wait": {"until": {"event": "fat"}, "within": "20s"}}]
    outcome = await World(tmp_path / "honest").run(Flow.model_validate(told))
    assert outcome.verdict == "PASS", outcome.reason
