"""Pages of a program in a real Chromium, which reaches nothing but the program."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import shutil
import sys
import tomllib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from canary.drivers.chromium import OVERRIDE, find_chromium, flags, is_root
from canary.drivers.page_keys import page_key
from canary.verdicts import Miss
from engine.models.flow import Flow
from engine.models.settings import SandboxSettings
from engine.process.tree import find_marked
from engine.sandbox.choose import choose_sandbox
from tests.canary.worlds import World, python

SERVER = """
    import http.server, sys
    PAGE = PAGE_HERE.encode()
    class Pages(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            away = self.path == "/away"
            self.send_response(302 if away else 200)
            if away:
                self.send_header("Location", "http://127.0.0.1:OUTSIDE/redirected")
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(PAGE if self.path == "/" else b"from itself")
        def log_message(self, *args):
            pass
    server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Pages)
    print("up", flush=True)
    server.serve_forever()
"""
COUNTER = """<!doctype html><body style="margin:0;font:16px sans-serif">
<button id=more onclick="n.textContent = +n.textContent + 1;
  console.log(JSON.stringify({kind: 'count', n: +n.textContent}))">more</button>
<p>count <span id=n>0</span></p><input id=name oninput="said.textContent = 'typed ' + this.value"><p id=said></p>
<p id=size></p><div style="position:absolute;left:200px;top:150px;width:80px;height:40px;background:#c33"
  onclick="said.textContent = 'box'"></div><div id=hidden hidden>hidden</div>
<script>const show = () => { size.textContent = 'size ' + innerWidth + 'x' + innerHeight }; show(); onresize = show;
document.onkeydown = e => { if (e.key == 'ArrowUp') said.textContent = 'up' };
console.error('an error of its own'); setTimeout(() => { throw new Error('boom') });</script>"""
CURIOUS = """<!doctype html><body><p id=own></p><p id=done></p><script>
const outside = 'http://127.0.0.1:OUTSIDE';
const tries = [outside + '/fetch', 'http://192.0.2.1/', 'https://example.org/', '/away'].map(
  url => fetch(url, {mode: 'no-cors'}).then(() => console.log('reached ' + url), () => {}));
tries.push(new Promise(done => { const image = new Image(); image.onerror = image.onload = done;
  image.src = outside + '/image' }));
tries.push(new Promise(done => { const socket = new WebSocket('ws://127.0.0.1:OUTSIDE/socket');
  socket.onclose = socket.onerror = done; }));
tries.push(fetch('/own').then(answer => answer.text()).then(text => { own.textContent = text }));
navigator.sendBeacon(outside + '/beacon', 'x');
Promise.allSettled(tries).then(() => { done.textContent = 'all done' });</script>"""
HANGS = "<!doctype html><body>before<script>setTimeout(() => { while (true); }, 300)</script>"


def browser(page: str, *steps: dict[str, Any], outside: int = 9, **fields: Any) -> Flow:
    code = SERVER.replace("PAGE_HERE", repr(page)).replace("OUTSIDE", str(outside))
    start = {"run": [*python(code), "{port}"], "ready": {"log": "up"}, "within": "60s"}
    given = {"name": "web", "driver": "browser", "isolate": {"ports": ["web"]}, "size": {"w": 400, "h": 300}}
    walk = {"start": start, "steps": list(steps), "stop": {"within": "50ms"}, "timeout": "170s"}
    return Flow.model_validate(given | walk | fields)


def see(text: str) -> dict[str, Any]:
    return {"wait": {"until": {"screen": text}, "within": "60s"}}


@pytest.fixture
def chromium() -> None:
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("needs Playwright")
    try:
        find_chromium()
    except Miss:
        pytest.skip("needs Chromium")


@dataclass
class Outside:
    """A server that is not the program. `seen`: the first lines of what came to it."""

    port: int = 0
    seen: list[bytes] = field(default_factory=list[bytes])

    async def met(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen.append(await reader.readline())
        writer.close()


@pytest.fixture
async def outside() -> AsyncIterator[Outside]:
    met = Outside()
    server = await asyncio.start_server(met.met, "127.0.0.1", 0)
    met.port = server.sockets[0].getsockname()[1]
    yield met
    server.close()


STEPS = (
    {"send": {"open": "/"}},
    see("size 400x300"),
    {"send": {"click": {"selector": "#more"}}},
    {"wait": {"until": {"event": "count", "where": {"n": 1}}, "within": "60s"}},
    see("count 1"),
    {"send": {"click": {"selector": "#name"}}},
    {"send": {"text": "Adam"}},
    {"send": {"keys": ["backspace"]}},
    see("typed Ada"),
    {"send": {"click": {"x": 220, "y": 160}}},
    see("box"),
    {"send": {"keys": ["up"]}},
    see("up"),
    {"send": {"resize": {"w": 500, "h": 320}}},
    see("size 500x320"),
    {"wait": {"until": {"element": "#more"}, "within": "60s"}},
    {"assert": {"no_screen": "hidden"}},
    {"assert": {"log": "page error: boom"}},
    {"assert": {"log": "console error: an error of its own"}},
    {"shot": {"name": "page"}},
)
GOLDEN = "canary/golden/web/page.linux.png"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the golden is Linux's")
async def test_a_page_is_steered_and_its_picture_compared(tmp_path: Path, chromium: None) -> None:
    from PIL import Image

    first = World(tmp_path / "first")
    outcome = await first.run(browser(COUNTER, *STEPS))
    assert outcome.verdict == "INCONCLUSIVE", outcome.reason
    assert f"expected the golden {GOLDEN}" in outcome.reason
    picture = first.store.get(outcome.artifacts["shot:page"])
    seen = Image.open(io.BytesIO(picture)).convert("RGB")
    assert seen.size == (500, 320)
    assert seen.getpixel((240, 170)) == (204, 51, 51)
    assert find_marked(first.ground.marker) == []
    assert list(first.ground.folder.iterdir()) == []

    goldens = {GOLDEN: picture}
    again = await World(tmp_path / "again", goldens=goldens).run(browser(COUNTER, *STEPS))
    assert again.verdict == "PASS", again.reason
    lost = COUNTER.replace("background:#c33", "background:none")
    outcome = await World(tmp_path / "lost", goldens=goldens).run(browser(lost, *STEPS))
    assert outcome.verdict == "FAIL"
    assert "3200 of them in one piece (80x40 at 200, 150)" in outcome.reason


@pytest.mark.slow
@pytest.mark.parametrize("sandboxed", [False, True])
async def test_a_page_reaches_its_own_program_and_nothing_else(
    tmp_path: Path, chromium: None, outside: Outside, sandboxed: bool
) -> None:
    world = World(tmp_path)
    if sandboxed:
        if sys.platform != "linux" or shutil.which("bwrap") is None:
            pytest.skip("needs bubblewrap")
        world = World(tmp_path, sandbox=choose_sandbox(SandboxSettings(), tmp_path))
    reader, writer = await asyncio.open_connection("127.0.0.1", outside.port)
    writer.write(b"it is there\n")
    await reader.read()
    writer.close()
    steps = (see("all done"), see("from itself"), {"assert": {"no_log": "reached"}})
    outcome = await world.run(browser(CURIOUS, *steps, outside=outside.port))
    assert outcome.verdict == "PASS", outcome.reason
    assert outside.seen == [b"it is there\n"]
    log = world.artifact(outcome, "log")
    for path in ("/fetch", "/image", "/socket", "/beacon", "/redirected"):
        assert f"127.0.0.1:{outside.port}{path}" in log
    assert "requests in all that were not to the program" in log


CALLS = """<!doctype html><body><p id=done></p><script>
const call = new RTCPeerConnection({iceServers: [{urls: 'stun:127.0.0.1:OUTSIDE'}]});
call.createDataChannel('any');
call.createOffer().then(offer => call.setLocalDescription(offer));
setTimeout(() => { done.textContent = 'tried' }, 1500)</script>"""


class Packets(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.came = asyncio.Event()

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.came.set()


@pytest.mark.slow
async def test_no_packet_goes_past_the_proxy(tmp_path: Path, chromium: None, monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    transport, packets = await loop.create_datagram_endpoint(Packets, local_addr=("127.0.0.1", 0))
    told = browser(CALLS, see("tried"), outside=transport.get_extra_info("sockname")[1])
    try:
        held = await World(tmp_path / "held").run(told)
        assert held.verdict == "PASS", held.reason
        assert not packets.came.is_set()
        root = is_root()
        monkeypatch.setattr("canary.drivers.browser.flags", lambda *_, **__: ["--no-sandbox"] if root else [])
        open_ = await World(tmp_path / "open").run(told)
        assert open_.verdict == "PASS", open_.reason
        await asyncio.wait_for(packets.came.wait(), 20)
    finally:
        transport.close()


@pytest.mark.slow
async def test_a_page_that_hangs_fails_in_time_and_is_killed(tmp_path: Path, chromium: None) -> None:
    world = World(tmp_path)
    steps = ({"send": {"open": "/"}}, {"wait": {"until": {"element": "#never"}, "within": "2s"}})
    outcome = await world.run(browser(HANGS, *steps))
    assert outcome.verdict == "FAIL"
    assert find_marked(world.ground.marker) == []


@pytest.mark.slow
async def test_a_page_of_somebody_else_is_never_opened(tmp_path: Path, chromium: None, outside: Outside) -> None:
    address = f"http://127.0.0.1:{outside.port}/"
    outcome = await World(tmp_path).run(browser(COUNTER, {"send": {"open": address}}, see("count 0")))
    assert outcome.verdict == "INCONCLUSIVE"
    assert "reaches nothing else" in outcome.reason
    assert outside.seen == []


async def test_without_playwright_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "playwright.async_api", None)
    outcome = await World(tmp_path).run(browser(COUNTER, see("count")))
    assert outcome.verdict == "INCONCLUSIVE"
    assert "pip install 'swarm-tui[browser]'" in outcome.reason


async def test_without_a_browser_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("needs Playwright")
    monkeypatch.setenv(OVERRIDE, str(tmp_path / "nothing"))
    outcome = await World(tmp_path).run(browser(COUNTER, see("count")))
    assert outcome.verdict == "INCONCLUSIVE"
    assert OVERRIDE in outcome.reason


@pytest.mark.skipif(sys.platform != "linux", reason="programs are found in another way")
def test_the_browser_is_the_one_that_is_named_or_the_first_on_the_path(tmp_path: Path) -> None:
    for name in ("google-chrome", "own"):
        (tmp_path / name).write_text("#!/bin/sh\n", encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    path = {"PATH": str(tmp_path)}
    assert find_chromium(path) == tmp_path / "google-chrome"
    assert find_chromium(path | {OVERRIDE: str(tmp_path / "own")}) == tmp_path / "own"
    with pytest.raises(Miss, match="install chromium"):
        find_chromium({"PATH": str(tmp_path / "empty")})


def test_only_the_ports_go_past_the_proxy_that_nobody_listens_on() -> None:
    told = flags([4000, 4001], 4002, root=False)
    assert "--proxy-server=http://127.0.0.1:4002" in told
    assert "--proxy-bypass-list=<-loopback>;127.0.0.1:4000;127.0.0.1:4001" in told
    assert "--no-sandbox" not in told
    assert "--no-sandbox" in flags([], 1, root=True)


@pytest.mark.parametrize(
    ("key", "named"),
    [
        *(("enter", "Enter"), ("ctrl+c", "Control+c"), ("shift+tab", "Shift+Tab"), ("f12", "F12"), ("é", "é")),
        *(("+", "+"), ("pageup", "PageUp"), ("hello", None), ("hyper+a", None), ("", None)),
    ],
)
def test_keys_have_the_browsers_own_names(key: str, named: str | None) -> None:
    assert page_key(key) == named


@pytest.mark.slow
async def test_the_guides_example_passes_and_finds_a_mistake(tmp_path: Path, chromium: None) -> None:
    examples = Path(__file__).parent / "examples"
    told = Flow.model_validate(tomllib.loads((examples / "counter.toml").read_text(encoding="utf-8")))
    world = World(tmp_path)
    shutil.copy(examples / "counter.py", world.ground.tree)
    first = await world.run(told)
    assert first.verdict == "INCONCLUSIVE", first.reason
    (proposal,) = first.proposed
    world.goldens = {proposal.path: world.store.get(proposal.digest)}
    sound = await world.run(told)
    assert sound.verdict == "PASS", sound.reason
    program = world.ground.tree / "counter.py"
    text = program.read_text(encoding="utf-8")
    assert "count * 50" in text
    program.write_text(text.replace("count * 50", "count * 40"), encoding="utf-8")
    broken = await world.run(told)
    assert broken.verdict == "FAIL", broken.reason
    assert "800 of them in one piece (20x40 at 80, 100)" in broken.reason


@pytest.mark.slow
async def test_a_page_that_says_more_than_there_is_memory_for_is_cut_off(tmp_path: Path, chromium: None) -> None:
    flood = "<!doctype html><body>TEXT<script>for (let n = 0; n < MANY; n++) console.log('y'.repeat(200000))</script>"
    wait = {"wait": {"until": {"log": "never"}, "within": "60s"}}
    outcome = await World(tmp_path).run(browser(flood.replace("MANY", "100"), {"send": {"open": "/"}}, wait))
    assert (outcome.verdict, "more than 16 MB" in outcome.reason) == ("FAIL", True), outcome.reason
    text = (
        "<p>begin</p><script>document.write(('<p>' + 'word '.repeat(9) + '</p>').repeat(9000) + '<p>end</p>')</script>"
    )
    page = flood.replace("MANY", "3").replace("TEXT", text)
    begin, end = (
        {"wait": {"until": {each: text}, "within": "60s"}} for each, text in (("screen", "begin"), ("no_screen", "end"))
    )
    world = World(tmp_path / "honest")
    outcome = await world.run(browser(page, begin, end))
    assert outcome.verdict == "PASS", outcome.reason
    assert len(world.artifact(outcome, "screen")) <= 200_000
