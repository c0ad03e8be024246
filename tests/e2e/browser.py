"""A real browser for tests: headless Chromium, driven by its DevTools protocol.

async with Browser(folder) as browser:
    await browser.open("http://127.0.0.1:8765/")
    await browser.expect("main is green")
    await browser.press("m")
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import os
import re
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
from screen import Screen

from engine.process import tree

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--enable-unsafe-swiftshader", "--remote-debugging-port=0", "--window-size=1200,800",
)  # fmt: skip
PATIENCE_S = 30.0


def chromium() -> str:
    """Where a Chromium is, or ""."""
    return next(filter(None, map(shutil.which, NAMES)), "")


class Browser:
    """One window. What the page's first WebSocket brings is drawn on `screen`."""

    def __init__(self, folder: Path) -> None:
        self._profile = folder / "profile"
        self.requested: list[str] = []
        """Every address that the page asked for."""
        self.complaints: list[str] = []
        """Errors of the page: exceptions, and what its policy forbade."""
        self.screen: Screen | None = None
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._news = asyncio.Event()
        self._loaded = False

    async def __aenter__(self) -> Browser:
        import aiohttp

        environment = {**os.environ, "no_proxy": "*"}
        self._process = await asyncio.create_subprocess_exec(
            chromium(), *FLAGS, f"--user-data-dir={self._profile}", "about:blank",
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL, env=environment,
        )  # fmt: skip
        self._created_at = psutil.Process(self._process.pid).create_time()
        self._session = aiohttp.ClientSession()
        try:
            port = await self._port()
            async with self._session.get(f"http://127.0.0.1:{port}/json/list") as response:
                (target,) = [each for each in await response.json() if each["type"] == "page"]
            self._socket = await self._session.ws_connect(target["webSocketDebuggerUrl"], max_msg_size=0)
            self._reading = asyncio.create_task(self._read())
            for domain in ("Page", "Network", "Runtime", "Log"):
                await self.call(f"{domain}.enable")
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)
        await self._end()

    # -- what a person does --------------------------------------------------------------------------------------

    async def open(self, address: str) -> None:
        """Go there, and wait until it is loaded."""
        self.screen, self._loaded = None, False
        await self.call("Page.navigate", url=address)
        await self.until(lambda: self._loaded, f"{address} to be loaded")

    async def press(self, *keys: str) -> None:
        """Keys that are one character, "enter" and "escape"."""
        await self.run("document.querySelector('.xterm-helper-textarea').focus()")
        special = {"enter": ("Enter", 13, "\r"), "escape": ("Escape", 27, "")}
        for key in keys:
            name, code, text = special.get(key) or (key, ord(key.upper()), key)
            what: dict[str, Any] = {"key": name, "windowsVirtualKeyCode": code}
            await self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **what)
            await self.call("Input.dispatchKeyEvent", type="keyUp", **what)

    # -- what a person sees --------------------------------------------------------------------------------------

    def text(self) -> str:
        """The terminal's screen."""
        return "\n".join(line.rstrip() for line in self.screen.display) if self.screen else ""

    async def expect(self, text: str) -> None:
        """Wait until this text is on the terminal's screen."""
        await self.until(lambda: text in self.text(), f"{text!r} on the screen")

    async def until(self, holds: Callable[[], bool], what: str) -> None:
        """Look again whenever the browser says something."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not holds():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise AssertionError(f"waited in vain for {what}\n{self.text()}\n{self.complaints}") from None

    async def run(self, script: str) -> Any:
        """The value of a JavaScript expression."""
        answer = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        return answer["result"].get("value")

    async def rows_of_pixels(self) -> int:
        """How many different rows of pixels the window shows: few where it is blank."""
        png = base64.b64decode((await self.call("Page.captureScreenshot"))["data"])
        return different_rows(png)

    async def picture(self, path: Path) -> None:
        """Save what the window shows."""
        path.write_bytes(base64.b64decode((await self.call("Page.captureScreenshot"))["data"]))

    # -- the protocol --------------------------------------------------------------------------------------------

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        async with asyncio.timeout(PATIENCE_S):
            return await answer

    async def _read(self) -> None:
        async for message in self._socket:
            said = message.json()
            if "id" in said:
                answer = self._answers.pop(said["id"])
                if "error" in said:
                    answer.set_exception(AssertionError(said["error"]["message"]))
                else:
                    answer.set_result(said["result"])
            else:
                self._heard(said["method"], said["params"])
            self._news.set()

    def _heard(self, method: str, told: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded = True
        elif method == "Network.requestWillBeSent":
            self.requested.append(told["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.requested.append(told["url"])
            if size := re.search(r"\?width=(\d+)&height=(\d+)$", told["url"]):
                self.screen = Screen(int(size[1]), int(size[2]), lambda _: None)
        elif method == "Network.webSocketFrameReceived" and self.screen is not None:
            frame = told["response"]
            if frame["opcode"] == 2:
                self.screen.show(base64.b64decode(frame["payloadData"]))
        elif method == "Runtime.exceptionThrown":
            self.complaints.append(str(told["exceptionDetails"]))
        elif method == "Log.entryAdded" and told["entry"]["level"] == "error":
            self.complaints.append(told["entry"]["text"])

    async def _port(self) -> int:
        """Chromium writes down where it listens."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    return int((self._profile / "DevToolsActivePort").read_text(encoding="ascii").splitlines()[0])
                except (OSError, IndexError):
                    await asyncio.sleep(0.02)

    async def _end(self) -> None:
        await self._session.close()
        if self._process.returncode is None:
            await asyncio.to_thread(tree.kill_tree, self._process.pid, self._created_at)
        await self._process.wait()


def different_rows(png: bytes) -> int:
    """How many different rows a PNG of 8 bits a sample has, by what its rows are encoded as."""
    at, data, height, stride = 8, b"", 0, 0
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", png[at + 8 : at + 18])
            assert depth == 8
            stride = 1 + width * {0: 1, 2: 3, 6: 4}[colour]
        elif kind == b"IDAT":
            data += png[at + 8 : at + 8 + size]
        at += 12 + size
    raw = zlib.decompress(data)
    return len({raw[row * stride : (row + 1) * stride] for row in range(height)})
