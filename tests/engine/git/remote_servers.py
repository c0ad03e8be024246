"""Real git servers on loopback: `git http-backend` behind a small CGI server, `git daemon`, and some that misbehave."""

from __future__ import annotations

import base64
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

from tests.serving import serving

LOGIN = ("ada", "correct horse")


def bare_repository(path: Path, source: Path | None = None) -> Path:
    """A bare repository that takes pushes over http and git://, with the history of `source`."""
    env = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1"}
    made = (
        ["git", "clone", "-q", "--bare", str(source), str(path)]
        if source
        else ["git", "init", "-q", "--bare", str(path)]
    )
    subprocess.run(made, check=True, env=env, capture_output=True)
    for key in ("http.receivepack", "daemon.receivepack"):
        subprocess.run(["git", "-C", str(path), "config", key, "true"], check=True, env=env)
    (path / "git-daemon-export-ok").touch()
    return path


def refuse_pushes(repository: Path, words: str) -> None:
    """A pre-receive hook that says no, with these words."""
    hook = repository / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\necho '{words}' >&2\nexit 1\n", encoding="utf-8")
    hook.chmod(0o755)


def ref(repository: Path, name: str) -> str:
    """What a ref of a repository points at, or ""."""
    done = subprocess.run(
        ["git", "-C", str(repository), "rev-parse", "--verify", "--quiet", name], capture_output=True, text=True
    )
    return done.stdout.strip()


class _Cgi(BaseHTTPRequestHandler):
    """One request through `git http-backend`."""

    protocol_version = "HTTP/1.1"
    root: Path
    login: tuple[str, str] | None = None
    asked: list[str]

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def _serve(self) -> None:
        type(self).asked.append(f"{self.command} {self.path}")
        body = self._body()
        if self.login is not None:
            expected = "Basic " + base64.b64encode(":".join(self.login).encode()).decode()
            if self.headers.get("Authorization") != expected:
                self._answer(
                    401, {"WWW-Authenticate": 'Basic realm="git"', "Content-Type": "text/plain"}, b"who are you?"
                )
                return
        url = urlsplit(self.path)
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": url.path,
            "QUERY_STRING": url.query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "REMOTE_USER": self.login[0] if self.login else "",
            "REMOTE_ADDR": "127.0.0.1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers: dict[str, str] = {}
        for line in head.decode("latin-1").split("\r\n"):
            name, _, value = line.partition(":")
            headers[name] = value.strip()
        status = int(headers.pop("Status", "200").split()[0])
        self._answer(status, headers, content)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def http_server(root: Path, login: tuple[str, str] | None = None) -> Iterator[tuple[str, list[str]]]:
    """`git http-backend` over everything below `root`: its address without the last slash, and what it was asked."""
    asked: list[str] = []
    handler = type("Handler", (_Cgi,), {"root": root, "login": login, "asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    with serving(server):
        yield f"http://127.0.0.1:{server.server_port}", asked


@contextmanager
def git_daemon(root: Path) -> Iterator[str]:
    """`git daemon` over everything below `root`, which takes pushes."""
    port = free_port()
    process = subprocess.Popen(
        ["git", "daemon", "--reuseaddr", "--listen=127.0.0.1", f"--port={port}", f"--base-path={root}", str(root)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        _await_port(port, process)
        yield f"git://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@contextmanager
def silent_server() -> Iterator[str]:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up:
        assert process.poll() is None, "git daemon ended"
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("git daemon does not listen")
