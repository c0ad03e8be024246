"""Gitea and Forgejo (Codeberg): https://docs.gitea.com/api (version 1; Forgejo kept it)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from engine.forge.forge import Ci, Request, Status, part
from engine.forge.http import ForgeFault, Http

_STATES: dict[str, Ci] = {
    "success": "green",
    "warning": "green",
    "pending": "pending",
    "error": "red",
    "failure": "red",
}


def headers(token: str) -> dict[str, str]:
    return {"Accept": "application/json", "Authorization": f"token {token}"}


class Gitea:
    """Pull requests of `owner/name`."""

    def __init__(self, http: Http, repository: str, base: str) -> None:
        self._http, self._base = http, base
        owner, _, name = repository.partition("/")
        self._at = f"/repos/{quote(owner, safe='')}/{quote(name, safe='')}"

    async def find(self, branch: str) -> Request | None:
        # The list cannot be asked for a branch. What we look for is recent, and the newest come first.
        params = {"state": "all", "sort": "recentupdate", "limit": 50}
        async for rows in self._http.pages(f"{self._at}/pulls", params):
            for row in rows:
                head, base = part(row, "head"), part(row, "base")
                ours = head.get("repo_id") == base.get("repo_id")
                if ours and head.get("ref") == branch and base.get("ref") == self._base:
                    return _request(row)
        return None

    async def create(self, branch: str, title: str, body: str) -> Request:
        asked = {"head": branch, "base": self._base, "title": title, "body": body}
        try:
            return _request((await self._http.call("POST", f"{self._at}/pulls", json=asked)).object())
        except ForgeFault as fault:
            if fault.status == 409 and (known := await self.find(branch)):
                return known
            raise

    async def update(self, number: int, title: str, body: str) -> None:
        await self._http.call("PATCH", f"{self._at}/pulls/{number}", json={"title": title, "body": body})

    async def look(self, number: int) -> Request:
        row = (await self._http.call("GET", f"{self._at}/pulls/{number}")).object()
        request = _request(row)
        return _request(row, await self._ci(request.head)) if request.status == "open" else request

    async def comment(self, number: int, text: str) -> None:
        await self._http.call("POST", f"{self._at}/issues/{number}/comments", json={"body": text}, repeat=False)

    async def close(self, number: int) -> None:
        await self._http.call("PATCH", f"{self._at}/pulls/{number}", json={"state": "closed"})

    async def end(self) -> None:
        await self._http.end()

    async def _ci(self, commit: str) -> Ci:
        try:
            told = (await self._http.call("GET", f"{self._at}/commits/{commit}/status")).object()
        except ForgeFault as fault:
            if fault.why in ("forbidden", "missing"):
                return ""
            raise
        return _STATES.get(str(told.get("state", "")), "") if told.get("total_count") else ""


def _request(row: dict[str, Any], ci: Ci = "") -> Request:
    try:
        status: Status = "merged" if row.get("merged") else "open" if row["state"] == "open" else "closed"
        head = part(row, "head")
        return Request(
            int(row["number"]), str(row["html_url"]), status, str(head.get("ref", "")), str(head.get("sha", "")),
            str(row.get("title", "")), ci,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise ForgeFault("failed", f"Gitea's answer lacks {error}: it is no pull request.") from error
