"""`swarm serve`: the room in a real browser, and who is let in."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

pytest.importorskip("textual_serve", reason="the extra [web] is not installed")

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from browser import Browser, chromium
from nights import a_night

from engine.errors import UserError
from engine.folders import StateFolder
from engine.models.event import NewEvent
from swarm_tui.serving import run_serve
from swarm_tui.web.page import page
from swarm_tui.web.server import MOST_ROOMS, Rooms, RoomServer

PATIENCE_S = 30.0
TOKEN = "the-right-token-of-this-test"
STAND_IN = [sys.executable, str(Path(__file__).with_name("served_stand_in.py"))]

Client = TestClient[Any, Any]
needs_browser = pytest.mark.skipif(not chromium(), reason="there is no Chromium on this machine")


# -- the server alone, with stand-ins for rooms ------------------------------------------------------------------------


@asynccontextmanager
async def served(*, token: str = TOKEN, looking: str = "looking") -> AsyncIterator[Client]:
    said: list[str] = []
    before = {child.pid for child in psutil.Process().children(recursive=True)}  # of other tests' engines
    rooms = Rooms([*STAND_IN, looking], [*STAND_IN, "commanding"])
    server = RoomServer("a <title>", rooms, token, said.append)
    async with TestClient(
        TestServer(server.application(), host="127.0.0.1"), cookie_jar=aiohttp.DummyCookieJar()
    ) as client:
        yield client
    left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
    assert not left, "no room outlives its server"


def own(client: Client) -> dict[str, str]:
    """How the server's own page names itself."""
    return {"Origin": f"http://127.0.0.1:{client.port}"}


async def first_words(client: Client, **more: Any) -> str:
    """What a room draws first."""
    async with client.ws_connect("/ws?width=100&height=30", headers={**own(client), **more}) as room:
        return (await room.receive_bytes(timeout=PATIENCE_S)).decode()


async def status(client: Client, path: str = "/", **headers: str) -> int:
    async with client.get(path, headers=headers, allow_redirects=False) as response:
        return response.status


async def refused(client: Client, path: str, **headers: str) -> int:
    """The status with which a WebSocket is refused."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as error:
        await client.ws_connect(path, headers=headers)
    return error.value.status


async def test_without_a_token_a_room_only_looks() -> None:
    async with served() as client:
        assert await first_words(client) == "looking 100x30"
        async with client.get("/") as response:
            assert "a &lt;title&gt; (read-only)" in await response.text()


async def test_keys_and_sizes_reach_the_room_and_nonsense_does_not_end_it() -> None:
    async with served() as client:
        async with client.ws_connect("/ws?width=9999999&height=-3", headers=own(client)) as room:
            assert await room.receive_bytes(timeout=PATIENCE_S) == b"looking 1000x24"
            nonsense = ("{", "7", "[]", '["resize"]', '["resize",{"width":"x"}]', '["stdin",{}]', '["stdin"]')
            for message in (*nonsense, '["deliver_chunk",1]', '["stdin","kö"]'):
                await room.send_str(message)
            assert (await room.receive_bytes(timeout=PATIENCE_S)).decode() == "key kö"
            await room.send_json(["resize", {"width": 80, "height": 24}])
            assert await room.receive_bytes(timeout=PATIENCE_S) == b"size 80x24"
            await room.send_json(["ping", 5])
            assert await room.receive_json(timeout=PATIENCE_S) == ["pong", 5]


async def test_the_token_opens_a_commanding_room_by_address_and_cookie() -> None:
    async with served() as client:
        async with client.get(f"/?token={TOKEN}&fontsize=9", allow_redirects=False) as response:
            assert response.status == 303
            assert response.headers["Location"] == "/?fontsize=9", "the token must not stay in the address"
            cookie = response.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert TOKEN not in cookie
        pair = cookie.partition(";")[0]
        assert await first_words(client, Cookie=pair) == "commanding 100x30"
        assert await first_words(client, Cookie=pair[:-1]) == "looking 100x30"


async def test_the_token_opens_a_commanding_room_by_header_without_a_browser() -> None:
    async with served() as client:
        words = {"Authorization": f"Bearer {TOKEN}"}
        async with client.ws_connect("/ws?width=100&height=30", headers=words) as room:
            assert await room.receive_bytes(timeout=PATIENCE_S) == b"commanding 100x30"


@pytest.mark.parametrize("token", [TOKEN, ""])
async def test_a_wrong_token_is_refused_everywhere(token: str) -> None:
    async with served(token=token) as client:
        for wrong in ("", "wrong", TOKEN[:-1], f"{TOKEN}x", "%F0%9F%92%A3"):
            assert await status(client, f"/?token={wrong}") == 403
            assert await refused(client, f"/ws?token={wrong}", **own(client)) == 403
        for header in ("Bearer wrong", "Bearer ", "Basic eDp5", TOKEN):
            assert await status(client, Authorization=header) == 403
            assert await refused(client, "/ws", Authorization=header, **own(client)) == 403


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80", "127.0.0.2", "0.0.0.0", "", "[::]"]
)
async def test_other_names_of_this_machine_are_refused(host: str) -> None:
    async with served() as client:
        assert await status(client, Host=host) == 403
        assert await status(client, "/static/js/textual.js", Host=host) == 403
        assert await refused(client, "/ws", Host=host, Origin=f"http://{host}") == 403


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9000", "LOCALHOST", "[::1]:8765"])
async def test_a_tunnel_may_have_another_port(host: str) -> None:
    async with served() as client:
        allowed = host != "LOCALHOST"  # browsers send it in lower case
        assert (await status(client, Host=host, Origin=f"http://{host}") == 200) is allowed


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://127.0.0.1", ""])
async def test_requests_of_other_pages_are_refused(origin: str) -> None:
    async with served() as client:
        assert await status(client, Origin=origin) == 403
        assert await refused(client, "/ws", Origin=origin) == 403
        assert await refused(client, "/ws") == 403, "a browser always says where a WebSocket comes from"


async def test_nothing_is_listed_and_nothing_is_served_but_the_browsers_part() -> None:
    async with served() as client:
        assert await status(client, "/static/") == 403
        assert await status(client, "/static/js/") == 403
        for path in ("/download/x", "/static/%2e%2e/server.py", "/static/../server.py", "/etc/passwd"):
            assert await status(client, path) in (403, 404), path
        assert await status(client, "/static/fonts/RobotoMono-VariableFont_wght.ttf") == 200


async def test_the_page_may_load_nothing_from_elsewhere() -> None:
    async with served() as client:
        async with client.get("/") as response:
            policy, text = response.headers["Content-Security-Policy"], await response.text()
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        addresses = re.findall(r"(?:https?|wss?):[^\s\"';]+", text + policy)
        assert {urlsplit(address).hostname for address in addresses} == {"127.0.0.1"}


async def test_only_so_many_rooms_at_once() -> None:
    async with served() as client:
        rooms = [await client.ws_connect("/ws", headers=own(client)) for _ in range(MOST_ROOMS)]
        assert await refused(client, "/ws", **own(client)) == 503
        await rooms[0].close()
        assert await first_words(client)
        for room in rooms:
            await room.close()


async def test_a_room_that_is_left_closes_its_window() -> None:
    before = set(psutil.Process().children())  # of tests before this one
    async with served(looking="looking") as client:
        async with client.ws_connect("/ws", headers=own(client)) as room:
            await room.receive_bytes(timeout=PATIENCE_S)
            (process,) = set(psutil.Process().children()) - before
            process.terminate()
            assert (await room.receive(timeout=PATIENCE_S)).type is aiohttp.WSMsgType.CLOSE


@pytest.mark.slow
async def test_a_room_that_does_not_quit_is_ended() -> None:
    async with served(looking="stubborn") as client:
        assert (await first_words(client)).startswith("stubborn")


def test_a_font_size_is_a_number_or_the_usual_one() -> None:
    assert 'data-font-size="9"' in page("t", "s", "9")
    assert 'data-font-size="15"' in page("t", "s", '9" onload="x')
    assert 'data-font-size="48"' in page("t", "s", "5000")


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def place(tmp_path: Path) -> tuple[Path, StateFolder]:
    """A repository, and a state folder with a short night."""
    repo = tmp_path / "repo"
    subprocess.run(["git", "init", "-q", "--template=", str(repo)], check=True)
    (repo / "file").write_text("text", encoding="utf-8")
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "-C", str(repo), "add", "."], check=True)
    subprocess.run(["git", "-C", str(repo), *who, "commit", "-qm", "First"], check=True)
    orders = [{"id": "rewrite-parser"}, {"id": "quick-start"}]
    return repo, a_night(tmp_path, NewEvent("engine_stopped", {"reason": "idle"}), orders=orders).folders


def serve_words(place: tuple[Path, StateFolder], *more: str) -> list[str]:
    repo, folders = place
    return [sys.executable, "-m", "swarm_tui.cli", "serve", "--repo", str(repo), "--state", str(folders.root), *more]


class Serving:
    """The command in a process of its own. `address` as it says it."""

    def __init__(self, words: list[str]) -> None:
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8")
        assert self.process.stdout is not None
        self.said: list[str] = []
        for line in self.process.stdout:
            self.said.append(line.rstrip())
            if line.startswith("ctrl+c"):
                break
        found = re.search(r"http://127\.0\.0\.1:\d+/", "".join(self.said))
        assert found, self.said
        self.address = found[0]

    def rooms(self) -> list[psutil.Process]:
        return [each for each in psutil.Process(self.process.pid).children(recursive=True) if each.is_running()]

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
        self.process.communicate(timeout=PATIENCE_S)


@pytest.fixture
def serving(place: tuple[Path, StateFolder]) -> Iterator[Callable[..., Serving]]:
    opened: list[Serving] = []

    def start(*more: str) -> Serving:
        opened.append(Serving(serve_words(place, "--port", "0", *more)))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def test_without_a_night_there_is_nothing_to_serve(place: tuple[Path, StateFolder]) -> None:
    repo, folders = place
    with pytest.raises(UserError, match="nothing has run in this repository yet"):
        run_serve(repo, folders.root.with_name("other"), port=0, allow_commands=False, token_file=None)


def test_without_the_extra_it_says_what_to_install(
    place: tuple[Path, StateFolder], monkeypatch: pytest.MonkeyPatch
) -> None:
    repo, folders = place
    monkeypatch.setitem(sys.modules, "textual_serve", None)  # how Python is told that there is none
    with pytest.raises(UserError, match=r"install .*swarm-tui\[web\]"):
        run_serve(repo, folders.root, port=0, allow_commands=False, token_file=None)


def test_a_port_that_is_taken_is_one_sentence(place: tuple[Path, StateFolder]) -> None:
    repo, folders = place
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=rf"port {port} of 127\.0\.0\.1 cannot be used .*--port"):
            run_serve(repo, folders.root, port=port, allow_commands=False, token_file=None)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no permission bits")
def test_a_token_file_is_ours_alone_and_holds_a_token(place: tuple[Path, StateFolder], tmp_path: Path) -> None:
    repo, folders = place
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n", encoding="utf-8")
    file.chmod(0o644)
    for content, mode, why in ((TOKEN, 0o644, "chmod 600"), ("short", 0o600, "at least"), ("a b" * 20, 0o600, "least")):
        file.write_text(content, encoding="utf-8")
        file.chmod(mode)
        with pytest.raises(UserError, match=why):
            run_serve(repo, folders.root, port=0, allow_commands=False, token_file=file)
    with pytest.raises(UserError, match="cannot be read"):
        run_serve(repo, folders.root, port=0, allow_commands=False, token_file=tmp_path / "none")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
async def test_it_listens_on_loopback_alone_and_a_signal_leaves_no_room_behind(
    serving: Callable[..., Serving],
) -> None:
    server = serving("--allow-commands")
    token = re.search(r"\?token=(\S{40,})", "\n".join(server.said))
    assert token
    listening = {c.laddr.ip for c in psutil.Process(server.process.pid).net_connections("inet") if c.status == "LISTEN"}
    assert listening == {"127.0.0.1"}
    async with aiohttp.ClientSession() as session:
        address = f"{server.address}ws?width=80&height=24"
        async with session.ws_connect(address, headers={"Origin": server.address.rstrip("/")}) as room:
            await room.receive_bytes(timeout=PATIENCE_S)
            (process,) = server.rooms()
            assert "--read-only" in process.cmdline()
            server.process.send_signal(signal.SIGINT)
            while (await room.receive(timeout=PATIENCE_S)).type is aiohttp.WSMsgType.BINARY:
                pass
    assert server.process.wait(PATIENCE_S) == 130
    assert not process.is_running()


# -- a real browser ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@needs_browser
async def test_the_room_is_seen_and_moved_in_a_real_browser_without_any_network(
    serving: Callable[..., Serving], tmp_path: Path
) -> None:
    server = serving()
    async with Browser(tmp_path) as browser:
        await browser.open(server.address)
        await browser.expect("rewrite-parser")
        await browser.expect("read-only")
        assert await browser.run("document.title") == "swarm · repo (read-only)"
        assert await browser.run("document.fonts.check('15px \"Roboto Mono\"')")
        assert await browser.rows_of_pixels() > 100, "the window shows it too"
        await browser.press("t")
        await browser.expect("Timeline ·")
        await browser.press("escape")
        await browser.expect("rewrite-parser")
        await browser.press("p")
        await browser.expect("this room is read-only")
        await browser.picture(tmp_path / "served.png")
        assert browser.complaints == []
        hosts = {urlsplit(address).hostname for address in browser.requested if not address.startswith("data:")}
        assert hosts == {"127.0.0.1"}
        await browser.press("q")
        await browser.until(lambda: not server.rooms(), "the end of the room")
        assert await browser.run("getComputedStyle(document.querySelector('#closed')).display") == "flex"


@pytest.mark.slow
@needs_browser
async def test_a_page_of_another_port_gets_nothing_even_with_the_cookie(tmp_path: Path) -> None:
    async def hello(_request: web.Request) -> web.Response:
        return web.Response(text="<p>elsewhere</p>", content_type="text/html")

    elsewhere = web.Application()
    elsewhere.add_routes([web.get("/", hello)])
    async with served() as client, TestServer(elsewhere, host="127.0.0.1") as other, Browser(tmp_path) as browser:
        address = f"127.0.0.1:{client.port}/"
        await browser.open(f"http://{address}?token={TOKEN}")
        await browser.expect("commanding")
        assert await browser.run("location.href") == f"http://{address}"
        await browser.open(f"http://127.0.0.1:{other.port}/")
        socket_at = f"new WebSocket('ws://{address}ws')"
        knocks = f"new Promise(r=>{{const s={socket_at};s.onopen=()=>r('in');s.onerror=()=>r('out')}})"
        assert await browser.run(knocks) == "out"
        reads = f"fetch('http://{address}',{{credentials:'include'}}).then(r=>r.text(),()=>'out')"
        assert await browser.run(reads) == "out"
