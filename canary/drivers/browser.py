"""The browser driver: a program with pipes that serves pages, and a Chromium that shows them, steered by Playwright.

The program runs in the sandbox as for the process driver. The browser runs beside it and reaches the program's ports on
127.0.0.1 and nothing else: all else is refused here and counted, and what gets past that (a redirect) meets a proxy
that nobody listens on. Its profile is in a folder that the program cannot write. What the page says on its console is
log; a message that is a JSON object with a `kind` is an event.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from canary.drivers.chromium import find_chromium, flags, is_root
from canary.drivers.driver import Launch, LogLine, Picture, ProgramFault, SeenEvent, Session
from canary.drivers.lines import LINE_CAP_BYTES, event_of
from canary.drivers.page_keys import page_key
from canary.drivers.process import EVENT_CAP, LOG_CAP, OUTPUT_CAP_BYTES, ProcessDriver, ProcessSession
from canary.verdicts import Miss
from engine.errors import InfrastructureFault
from engine.git.removal import remove_tree
from engine.models.flow import Click

if TYPE_CHECKING:
    from playwright.async_api import (
        BrowserContext,
        ConsoleMessage,
        Page,
        Playwright,
        Request,
        Route,
        WebSocketRoute,
    )

T = TypeVar("T")

WIDTH, HEIGHT = 1280, 720
HOST = "127.0.0.1"
START_S = 30.0
CALL_S = 5.0
"""For one thing that is asked of the page."""
LOOK_S = 0.1
"""How often a page is looked at while something is waited for."""
CLOSE_S = 3.0
SHOTS_MOST = 6
"""Until two of them are the same."""
TEXT_CHARS = 200_000
MESSAGE_CHARS = 2_000
REFUSED_SAID = 100
"""Requests that are named in the log; all are counted."""


class BrowserDriver(ProcessDriver):
    """Implements `canary.drivers.driver.Driver` for programs that serve pages."""

    async def start(self, launch: Launch) -> Session:
        """Start program and browser. Raises Miss (INCONCLUSIVE) when Playwright or a Chromium is not installed."""
        try:
            import playwright.async_api  # noqa: F401  # that it is there
        except ImportError as error:
            raise Miss(
                "INCONCLUSIVE",
                "browser flows need Playwright, which is not installed: pip install 'swarm-tui[browser]'",
            ) from error
        program = await asyncio.to_thread(find_chromium)
        session = await super().start(launch)
        assert isinstance(session, BrowserSession)
        try:
            async with asyncio.timeout(START_S):
                await session.begin(program)
        except BaseException as error:
            await asyncio.shield(session.kill())
            if isinstance(error, TimeoutError):
                raise InfrastructureFault(f"{program.name} did not start within {START_S:g} s") from error
            if isinstance(error, asyncio.CancelledError) or not isinstance(error, Exception):
                raise
            raise InfrastructureFault(
                f"{program.name} could not be started: {_first_line(error)}{_last_words(error)}"
            ) from error
        return session

    def session(self, loop: asyncio.AbstractEventLoop, launch: Launch) -> BrowserSession:
        return BrowserSession(loop, launch)


class BrowserSession(ProcessSession):
    """Implements `canary.drivers.driver.Session` and `Screen`. `refused`: requests that were not to the program."""

    def __init__(self, loop: asyncio.AbstractEventLoop, launch: Launch) -> None:
        super().__init__(loop, launch)
        self.refused = 0
        self._launch = launch
        self._hosts = frozenset(f"{HOST}:{port}" for port in launch.ports.values())
        self._base = f"http://{HOST}:{next(iter(launch.ports.values()), 80)}"
        self._steering: asyncio.Task[Playwright] | None = None
        self._context: BrowserContext | None = None
        self._page: Page | None = None
        self._nowhere: socket.socket | None = None
        self._profile: Path | None = None
        self._opened = False
        self._looked_at = False
        self._text = ""

    async def begin(self, program: Path) -> None:
        """Start the browser with an empty page."""
        from playwright.async_api import async_playwright

        launch = self._launch
        self._nowhere = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._nowhere.bind((HOST, 0))  # nobody else gets it, and nobody listens
        # Neither in the flow's home nor in its temporary folder: what the program could write there would be obeyed out
        # here. And short, because Chromium binds a socket in it.
        self._profile = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="swarm-"))
        own = dict.fromkeys(("HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), str(self._profile))
        w, h = launch.size or (WIDTH, HEIGHT)
        root = is_root()
        if root:
            self._say("the browser runs without its own sandbox, because the engine runs as root")
        # Shielded: when this is cancelled, there is still something to stop.
        self._steering = self._loop.create_task(async_playwright().start())
        playwright = await asyncio.shield(self._steering)
        self._context = await playwright.chromium.launch_persistent_context(
            self._profile,
            executable_path=program,
            headless=True,
            chromium_sandbox=not root,
            args=flags(list(launch.ports.values()), self._nowhere.getsockname()[1], root=root),
            env={**launch.env, **own},
            viewport={"width": w, "height": h},
            device_scale_factor=1,
            locale="en-US",
            timezone_id="UTC",
            color_scheme="light",
            reduced_motion="reduce",
            accept_downloads=False,
            service_workers="block",
            timeout=START_S * 1000,
        )
        self._context.set_default_timeout(CALL_S * 1000)
        await self._context.route("**/*", self._route)
        await self._context.route_web_socket("**/*", self._route_socket)
        self._context.on("console", self._console)
        self._context.on("weberror", lambda error: self._say(f"page error: {error.error}"))
        self._context.on("requestfailed", self._failed)
        pages = self._context.pages
        self._page = pages[0] if pages else await self._context.new_page()

    # ---- what the flow does

    def screen_text(self) -> str:
        self._looked_at = True
        return self._text

    async def open(self, url: str) -> None:
        whole = url if "://" in url else f"{self._base}/{url.removeprefix('/')}"
        if not self._is_own(whole):
            raise Miss("INCONCLUSIVE", f"{url[:200]} is not the program's own: a flow's browser reaches nothing else")
        await self._ask(self._there().goto(whole, wait_until="load"), f"expected the page {url[:200]}")
        self._opened = True

    async def press(self, keys: Sequence[str]) -> None:
        page = await self._shown()
        for key in keys:
            pressed = page_key(key)
            if pressed is None:
                raise Miss("INCONCLUSIVE", f'there is no key "{key[:40]}": write text as send = {{ text = "…" }}')
            await self._ask(page.keyboard.press(pressed), f"expected it to take the key {key}")

    async def type(self, text: str) -> None:
        page = await self._shown()
        await self._ask(page.keyboard.type(text), "expected it to take the text")

    async def click(self, click: Click) -> None:
        page = await self._shown()
        if click.selector:
            done = page.locator(click.selector).click(button=click.button)
            await self._ask(done, f"expected {click.selector[:200]} to be there for a click")
        elif click.x is not None and click.y is not None:
            done = page.mouse.click(click.x, click.y, button=click.button)
            await self._ask(done, f"expected it to take a click at {click.x}, {click.y}")

    async def resize(self, w: int, h: int) -> None:
        size = self._there().set_viewport_size({"width": w, "height": h})
        await self._ask(size, f"expected it to take the size {w}x{h}")

    async def shot(self) -> Picture:
        """When two pictures in a row are the same, and the last one in any case."""
        page = await self._shown()
        taken = b""
        for _ in range(SHOTS_MOST):
            before = taken
            taken = await self._ask(
                page.screenshot(type="png", animations="disabled", caret="hide", scale="css"),
                "expected a picture of the page",
            )
            if taken == before:
                break
            await asyncio.sleep(LOOK_S)
        return Picture("png", taken)

    async def element(self, selector: str) -> bool:
        page = await self._shown()
        return await self._ask(page.locator(selector).first.is_visible(), f"expected the selector {selector[:200]}")

    async def settle(self) -> None:
        await super().settle()
        await self._refresh(CALL_S)

    async def until(self, look: Callable[[], T | None], within_s: float) -> T | None:
        deadline = self._loop.time() + within_s
        while True:
            self._changed.clear()
            if self._opened or self._looked_at:  # a wait for a line opens nothing
                await self._refresh(max(LOOK_S, deadline - self._loop.time()))
            if (found := look()) is not None:
                return found
            left = deadline - self._loop.time()
            if self._ended or self._overflow or left <= 0:
                return None
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(left, LOOK_S)):
                    await self._changed.wait()

    async def kill(self) -> int:
        """The browser first: it would not outlive its steering for long."""
        context, steering = self._context, self._steering
        self._context = self._steering = self._page = None
        if self.refused:
            self._say(f"refused: {self.refused} requests in all that were not to the program")
        for close in (context.close() if context else None, _stopped(steering) if steering else None):
            if close is not None:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(CLOSE_S):
                        await close
        killed = await super().kill()
        if self._nowhere is not None:
            self._nowhere.close()
        if self._profile is not None:
            await asyncio.to_thread(remove_tree, self._profile)
        return killed

    # ---- the page

    def _there(self) -> Page:
        if self._page is None or self._page.is_closed():
            raise ProgramFault("its page is closed")
        return self._page

    async def _shown(self) -> Page:
        """The page; when none was opened, that at the program's own address."""
        if not self._opened:
            await self.open("/")
        return self._there()

    async def _refresh(self, within_s: float) -> None:
        """Look at the page's text anew. A page that does not answer keeps its last one."""
        if self._page is None or self._page.is_closed() or self._ended:
            return
        try:
            async with asyncio.timeout(min(within_s, CALL_S)):
                if not self._opened:
                    await self._page.goto(self._base, wait_until="load")
                    self._opened = True
                # Cut in there: a page may hold more text than this process has memory.
                text = await self._page.locator("body").evaluate(f"body => body.innerText.slice(0, {TEXT_CHARS})")
        except Exception:  # nobody listens yet, or a page is just being left
            return
        self._text = "\n".join(line.rstrip() for line in str(text).split("\n"))

    async def _ask(self, asked: Awaitable[T], expected: str) -> T:
        """Playwright's answer. Raises ProgramFault when none comes, or a no."""
        from playwright.async_api import Error

        try:
            async with asyncio.timeout(CALL_S + 1):
                return await asked
        except TimeoutError as error:
            raise ProgramFault(f"{expected}, saw no answer of its page") from error
        except Error as error:
            if "selector" in error.message and "pars" in error.message:
                raise Miss("INCONCLUSIVE", f"{expected} to be one, saw {_first_line(error)}") from error
            raise ProgramFault(f"{expected}, saw {_first_line(error)}") from error

    # ---- what the page does

    def _is_own(self, url: str) -> bool:
        scheme, _, rest = url.partition("://")
        return scheme in ("http", "ws") and rest.partition("/")[0].partition("?")[0].partition("#")[0] in self._hosts

    async def _route(self, route: Route, request: Request) -> None:
        with contextlib.suppress(Exception):  # the page is gone
            if self._is_own(request.url) or request.url.startswith(("data:", "blob:")):
                await route.continue_()
            else:
                self._refuse(request.url)
                await route.abort("accessdenied")

    async def _route_socket(self, socket: WebSocketRoute) -> None:
        with contextlib.suppress(Exception):
            if self._is_own(socket.url):
                socket.connect_to_server()
            else:
                self._refuse(socket.url)
                await socket.close()

    def _failed(self, request: Request) -> None:
        # Redirects never come by `_route`; they meet the proxy that is none.
        if request.redirected_from is not None and not self._is_own(request.url):
            self._refuse(request.url)

    def _refuse(self, url: str) -> None:
        self.refused += 1
        if self.refused <= REFUSED_SAID:
            self._say(f"refused: {url[:MESSAGE_CHARS]}")

    def _console(self, message: ConsoleMessage) -> None:
        text = message.text
        raw = text.encode("utf-8", "replace")
        self._read_bytes += len(raw)
        if self._read_bytes > OUTPUT_CAP_BYTES and not self._overflow:
            self._stop_reading(f"it printed more than {OUTPUT_CAP_BYTES // 1_000_000} MB")
        is_short = len(raw) <= LINE_CAP_BYTES
        if message.type == "log" and is_short and not self._overflow and (fields := event_of(raw)):
            self._events.append(SeenEvent(self._loop.time() - self._started, fields))
            if len(self._events) > EVENT_CAP:
                self._stop_reading(f"it reported more than {EVENT_CAP} events")
        self._say(f"console {message.type}: {text[:MESSAGE_CHARS]}")

    def _say(self, text: str) -> None:
        if self._overflow:
            return
        at = self._loop.time() - self._started
        self._log.append(LogLine(at, "err", " ".join(text.split("\n"))))
        if len(self._log) > LOG_CAP:
            self._stop_reading(f"it printed more than {LOG_CAP} lines")
        self._changed.set()


async def _stopped(steering: asyncio.Task[Playwright]) -> None:
    await (await asyncio.shield(steering)).stop()


def _first_line(error: Exception) -> str:
    """Of Playwright's message, without its own stack and call log."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0][:300] if lines else type(error).__name__


def _last_words(error: Exception) -> str:
    """What the browser itself said, from Playwright's call log."""
    said = [line.partition("[err]")[2].strip() for line in str(error).splitlines() if "[err]" in line]
    return f", saw {said[-1][:300]}" if said else ""
