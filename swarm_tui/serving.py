"""`swarm serve`: the room in a browser of this machine, or of another one through an ssh tunnel."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import stat
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UserError
from engine.text.sanitise import sanitise_line
from swarm_tui.place import find_folders

if TYPE_CHECKING:
    from swarm_tui.web.server import RoomServer

LEAST_TOKEN = 20
SHUTDOWN_S = 8.0
"""For rooms to end; longer than one takes at most."""
_SIGNALS = ("SIGTERM", "SIGHUP")


def run_serve(
    repo: Path | None, state: Path | None, *, port: int, allow_commands: bool, token_file: Path | None
) -> int:
    """Serve until a signal; 128 and its number. Raises KeyboardInterrupt for ctrl+c, UserError."""
    if find_spec("textual_serve") is None:
        raise UserError('the room in a browser needs an extra: install "swarm-tui[web]"')
    from engine.git.user_repository import root_of
    from swarm_tui.web.server import Rooms, RoomServer

    root = root_of((repo or Path.cwd()).resolve())
    folders = find_folders(repo, state)
    if not folders.journal.is_file():
        raise UserError("nothing has run in this repository yet, so there is nothing to show: start with `swarm`")
    token = _token(allow_commands, token_file)
    # -P: a repository may have packages of our packages' names.
    commanding = [sys.executable, "-P", "-m", "swarm_tui.cli", "--repo", str(root), "--state", str(folders.root)]
    rooms = Rooms([*commanding, "--read-only"], [*commanding, "--attach"])
    server = RoomServer(f"swarm · {sanitise_line(root.name)}", rooms, token, _tell)
    return asyncio.run(_serve(server, port, show_token=token_file is None))


def _token(allow_commands: bool, token_file: Path | None) -> str:
    """The token of a file, or a new one; "" when nobody may command. Raises UserError for a file that cannot serve."""
    if token_file is None:
        return secrets.token_urlsafe(32) if allow_commands else ""
    try:
        if sys.platform != "win32" and stat.S_IMODE(token_file.stat().st_mode) & 0o077:
            raise UserError(f"{token_file} can be read by others: chmod 600 it")
        token = token_file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the token cannot be read from {token_file}: {error}") from error
    if len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        raise UserError(f"{token_file} must hold one token of at least {LEAST_TOKEN} letters and digits")
    return token


async def _serve(server: RoomServer, port: int, *, show_token: bool) -> int:
    from aiohttp import web

    from swarm_tui.web.server import ADDRESS

    runner = web.AppRunner(server.application(), access_log=None, shutdown_timeout=SHUTDOWN_S)
    await runner.setup()
    ended: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    if sys.platform != "win32":
        for name in _SIGNALS:
            number = getattr(signal, name)
            asyncio.get_running_loop().add_signal_handler(number, _end, ended, 128 + number)
    try:
        site = web.TCPSite(runner, ADDRESS, port)
        try:
            await site.start()
        except OSError as error:
            raise UserError(
                f"port {port} of {ADDRESS} cannot be used ({os.strerror(error.errno or 0)}): name another with --port"
            ) from error
        taken: int = runner.addresses[0][1]
        _announce(server, f"http://{ADDRESS}:{taken}/", taken, show_token=show_token)
        return await ended
    finally:
        await runner.cleanup()


def _end(ended: asyncio.Future[int], code: int) -> None:
    if not ended.done():
        ended.set_result(code)


def _announce(server: RoomServer, url: str, port: int, *, show_token: bool) -> None:
    _tell(f"read-only room: {url}")
    if server.token and show_token:
        _tell(f"commanding room: {url}?token={server.token}")
    elif server.token:
        _tell(f"commanding room: {url}?token=… with the token of your file")
    _tell(f"only this machine reaches it; from another one: ssh -L {port}:127.0.0.1:{port} this-machine")
    _tell("ctrl+c ends it")


def _tell(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
