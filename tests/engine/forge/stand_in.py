"""A forge in one object: the calls that we make of GitHub, GitLab and Gitea, with the shapes of their documentation.

As an ASGI application (`application`) for clients in the same loop, or served on loopback (`served`) for whole engines.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.serving import serving

Headers = dict[str, str]
Reply = tuple[int, Headers, Any]
TOKEN = "the-token-of-ada-0123456789"
OWNER, NAME = "ada", "engine"


@dataclass
class Pull:
    number: int
    branch: str
    base: str
    title: str
    body: str
    sha: str = "0" * 40
    state: str = "open"
    merged: bool = False
    comments: list[str] = field(default_factory=list[str])


@dataclass
class StandIn:
    """`kind`: github, gitlab or gitea. `trouble`: replies that come first, one a request, whatever is asked.

    seen: (method, path with query, headers, JSON) of every request. page: rows a page, whatever is asked for.
    """

    kind: str
    trouble: list[Reply] = field(default_factory=list[Reply])
    pulls: list[Pull] = field(default_factory=list[Pull])
    seen: list[tuple[str, str, Headers, Any]] = field(default_factory=list[tuple[str, str, Headers, Any]])
    ci: str = ""
    page: int = 100
    head_of: Callable[[str], str] = lambda branch: "0" * 40
    lose_answers: bool = False
    """Make what is asked for, and answer 502."""
    base: str = ""

    def handle(self, method: str, target: str, headers: Headers, body: bytes) -> Reply:
        asked = json.loads(body) if body else None
        self.seen.append((method, target, headers, asked))
        if self.trouble:
            return self.trouble.pop(0)
        known = {
            "github": headers.get("authorization") == f"Bearer {TOKEN}",
            "gitlab": headers.get("private-token") == TOKEN,
            "gitea": headers.get("authorization") == f"token {TOKEN}",
        }
        if not known[self.kind]:
            return 401, {}, {"message": "Bad credentials" if self.kind == "github" else "401 Unauthorized"}
        url = urlsplit(target)
        params = dict(parse_qsl(url.query))
        reply = getattr(self, f"_{self.kind}")(method, url.path, params, asked)
        if self.lose_answers and method == "POST" and reply[0] == 201:
            return 502, {}, None
        return reply

    # ---- the three

    def _github(self, method: str, path: str, params: dict[str, str], asked: Any) -> Reply:
        at = f"/repos/{OWNER}/{NAME}"
        if method == "GET" and path == f"{at}/pulls":
            owner, _, branch = params["head"].partition(":")
            assert owner == OWNER
            rows = [p for p in self._newest(params) if p.branch == branch and p.base == params["base"]]
            return self._paged(path, rows, params, "per_page")
        if method == "POST" and path == f"{at}/pulls":
            if any(p.branch == asked["head"] and p.state == "open" for p in self.pulls):
                message = f"A pull request already exists for {OWNER}:{asked['head']}."
                errors = [{"resource": "PullRequest", "code": "custom", "message": message}]
                return 422, {}, {"message": "Validation Failed", "errors": errors}
            return 201, {}, self._row(self._new(asked["head"], asked["base"], asked["title"], asked["body"]))
        if found := re.fullmatch(rf"{at}/pulls/(\d+)", path):
            return self._one(method, int(found[1]), asked, "body", {"closed": "closed"})
        if found := re.fullmatch(rf"{at}/issues/(\d+)/comments", path):
            return self._comment(int(found[1]), asked)
        if re.fullmatch(rf"{at}/commits/[0-9a-f]+/status", path):
            states = {"red": "failure", "green": "success"}
            statuses = [{"state": states[self.ci], "context": "ci"}] if self.ci in states else []
            told = {"state": states.get(self.ci, "pending"), "total_count": len(statuses), "statuses": statuses}
            return 200, {}, told
        if re.fullmatch(rf"{at}/commits/[0-9a-f]+/check-runs", path):
            run = {"id": 1, "name": "build", "status": "in_progress", "conclusion": None}
            runs = [run] if self.ci == "pending" else []
            return 200, {}, {"total_count": len(runs), "check_runs": runs}
        return 404, {}, {"message": "Not Found"}

    def _gitlab(self, method: str, path: str, params: dict[str, str], asked: Any) -> Reply:
        at = f"/projects/{OWNER}%2F{NAME}/merge_requests"
        if method == "GET" and path == at:
            rows = [
                p
                for p in self._newest(params)
                if p.branch == params["source_branch"] and p.base == params["target_branch"]
            ]
            return self._paged(path, rows, params, "per_page")
        if method == "POST" and path == at:
            if open_ := next((p for p in self.pulls if p.branch == asked["source_branch"] and p.state == "open"), None):
                message = f"Another open merge request already exists for this source branch: !{open_.number}"
                return 409, {}, {"message": [message]}
            made = self._new(asked["source_branch"], asked["target_branch"], asked["title"], asked["description"])
            return 201, {}, self._row(made)
        if found := re.fullmatch(rf"{at}/(\d+)", path):
            if asked and "state_event" in asked:
                asked = {**asked, "state": {"close": "closed"}[asked["state_event"]]}
            return self._one(method, int(found[1]), asked, "description", {"closed": "closed"}, change="PUT")
        if found := re.fullmatch(rf"{at}/(\d+)/notes", path):
            return self._comment(int(found[1]), asked)
        return 404, {}, {"message": "404 Project Not Found"}

    def _gitea(self, method: str, path: str, params: dict[str, str], asked: Any) -> Reply:
        at = f"/repos/{OWNER}/{NAME}"
        if method == "GET" and path == f"{at}/pulls":
            return self._paged(path, self._newest(params), params, "limit")
        if method == "POST" and path == f"{at}/pulls":
            if any(p.branch == asked["head"] and p.state == "open" for p in self.pulls):
                message = "pull request already exists for these targets [id: 1, issue_id: 1, head_repo_id: 1]"
                return 409, {}, {"message": message, "url": "https://example.invalid/api/swagger"}
            return 201, {}, self._row(self._new(asked["head"], asked["base"], asked["title"], asked["body"]))
        if found := re.fullmatch(rf"{at}/pulls/(\d+)", path):
            return self._one(method, int(found[1]), asked, "body", {"closed": "closed"})
        if found := re.fullmatch(rf"{at}/issues/(\d+)/comments", path):
            return self._comment(int(found[1]), asked)
        if re.fullmatch(rf"{at}/commits/[0-9a-f]+/status", path):
            states = {"red": "failure", "green": "success", "pending": "pending", "": ""}
            return 200, {}, {"state": states[self.ci], "total_count": 1 if self.ci else 0, "statuses": None}
        return 404, {}, {"message": "The target couldn't be found.", "url": "https://example.invalid/api/swagger"}

    # ---- what they share

    def _new(self, branch: str, base: str, title: str, body: str) -> Pull:
        made = Pull(len(self.pulls) + 1, branch, base, title, body, self.head_of(branch))
        self.pulls.append(made)
        return made

    def _newest(self, params: dict[str, str]) -> list[Pull]:
        assert params["state"] == "all"
        return self.pulls[::-1]

    def _paged(self, path: str, rows: list[Pull], params: dict[str, str], size: str) -> Reply:
        page, count = int(params.get("page", 1)), min(self.page, int(params[size]))
        part = rows[(page - 1) * count : page * count]
        more = len(rows) > page * count
        link = {"Link": f'<https://example.invalid{path}?page={page + 1}>; rel="next"'} if more else {}
        return 200, link, [self._row(pull, listed=True) for pull in part]

    def _one(
        self, method: str, number: int, asked: Any, body: str, states: dict[str, str], change: str = "PATCH"
    ) -> Reply:
        pull = next((p for p in self.pulls if p.number == number), None)
        if pull is None:
            return 404, {}, {"message": "Not Found"}
        if method == change:
            pull.title, pull.body = asked.get("title", pull.title), asked.get(body, pull.body)
            pull.state = states.get(asked.get("state", ""), pull.state)
        return 200, {}, self._row(pull)

    def _comment(self, number: int, asked: Any) -> Reply:
        self.pulls[number - 1].comments.append(asked["body"])
        return 201, {}, {"id": 1, "body": asked["body"]}

    def _row(self, pull: Pull, *, listed: bool = False) -> dict[str, Any]:
        web = f"https://forge.invalid/{OWNER}/{NAME}"
        if self.kind == "gitlab":
            pipelines = {"green": "success", "red": "failed", "pending": "running"}
            state = "merged" if pull.merged else {"open": "opened"}.get(pull.state, "closed")
            row: dict[str, Any] = {
                "id": 900 + pull.number, "iid": pull.number, "project_id": 5, "title": pull.title,
                "description": pull.body, "state": state, "source_branch": pull.branch, "target_branch": pull.base,
                "source_project_id": 5, "target_project_id": 5, "sha": pull.sha, "merge_commit_sha": None,
                "web_url": f"{web}/-/merge_requests/{pull.number}",
            }  # fmt: skip
            if not listed:  # only a single one tells of its pipeline
                row["head_pipeline"] = {"id": 1, "status": pipelines[self.ci]} if self.ci else None
            return row
        row = {
            "id": 900 + pull.number, "number": pull.number, "title": pull.title, "body": pull.body,
            "state": "closed" if pull.merged else pull.state,
            "merged_at": "2026-01-01T00:00:00Z" if pull.merged else None,
            "html_url": f"{web}/pull/{pull.number}",
            "head": {"label": pull.branch, "ref": pull.branch, "sha": pull.sha, "repo_id": 5},
            "base": {"label": pull.base, "ref": pull.base, "sha": "1" * 40, "repo_id": 5},
        }  # fmt: skip
        if self.kind == "gitea" or not listed:  # GitHub's list does not say whether they are merged
            row["merged"] = pull.merged
        return row

    async def application(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """ASGI."""
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode().lower(): value.decode() for name, value in scope["headers"]}
        query = scope["query_string"].decode()
        target = scope["raw_path"].decode() + (f"?{query}" if query else "")
        status, answered, content = self.handle(scope["method"], target, headers, body)
        raw = b"" if content is None else content if isinstance(content, bytes) else json.dumps(content).encode()
        pairs = [(name.lower().encode(), value.encode()) for name, value in answered.items()]
        await send({"type": "http.response.start", "status": status, "headers": pairs})
        await send({"type": "http.response.body", "body": raw})

    @contextmanager
    def served(self) -> Iterator[str]:
        """On loopback; its address."""
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def _serve(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                status, answered, content = stand_in.handle(self.command, self.path, headers, body)
                raw = json.dumps(content).encode() if content is not None else b""
                self.send_response(status)
                for name, value in {**answered, "Content-Length": str(len(raw))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            do_GET = do_POST = do_PATCH = do_PUT = _serve  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        with serving(server):
            yield f"http://127.0.0.1:{server.server_port}"


def decoded(target: str) -> str:
    """A path as people read it."""
    return unquote(urlsplit(target).path)
