"""GitHub, and GitHub Enterprise Server: https://docs.github.com/rest/pulls (version 2022-11-28)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from engine.forge.forge import Ci, Request, Status, part, worst
from engine.forge.http import Answer, ForgeFault, Http

_GREEN = ("success", "neutral", "skipped")


def headers(token: str) -> dict[str, str]:
    return {
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
        "Authorization": f"Bearer {token}",
    }


class GitHub:
    """Pull requests of `owner/name`."""

    def __init__(self, http: Http, repository: str, base: str) -> None:
        self._http, self._base = http, base
        self._owner, _, name = repository.partition("/")
        self._at = f"/repos/{quote(self._owner, safe='')}/{quote(name, safe='')}"

    async def find(self, branch: str) -> Request | None:
        params = {"head": f"{self._owner}:{branch}", "base": self._base, "state": "all", "per_page": 100}
        async for rows in self._http.pages(f"{self._at}/pulls", params):
            for row in rows:
                if _branch(row) == branch:
                    return _request(row)
        return None

    async def create(self, branch: str, title: str, body: str) -> Request:
        asked = {"title": title, "body": body, "head": branch, "base": self._base}
        try:
            return _request((await self._http.call("POST", f"{self._at}/pulls", json=asked)).object())
        except ForgeFault as fault:
            if fault.status == 422 and "already exists" in fault.said and (known := await self.find(branch)):
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
        """Commit statuses and check runs together: services use the one or the other."""
        try:
            told = (await self._http.call("GET", f"{self._at}/commits/{commit}/status")).object()
            runs = (
                await self._http.call("GET", f"{self._at}/commits/{commit}/check-runs", params={"per_page": 100})
            ).object()
        except ForgeFault as fault:
            if fault.why in ("forbidden", "missing", "invalid"):  # a token that may see pull requests only
                return ""
            raise
        found: list[Ci] = []
        if told.get("total_count") or told.get("statuses"):
            states: dict[str, Ci] = {"success": "green", "pending": "pending"}
            found.append(states.get(str(told.get("state")), "red"))
        for run in Answer(200, runs.get("check_runs") or [], {}).rows():
            done = run.get("status") == "completed"
            found.append("pending" if not done else "green" if run.get("conclusion") in _GREEN else "red")
        return worst(found)


def _branch(row: dict[str, Any]) -> str:
    return str(part(row, "head").get("ref", ""))


def _request(row: dict[str, Any], ci: Ci = "") -> Request:
    try:
        merged = bool(row.get("merged") or row.get("merged_at"))
        status: Status = "merged" if merged else "open" if row["state"] == "open" else "closed"
        head = part(row, "head")
        return Request(
            int(row["number"]), str(row["html_url"]), status, str(head.get("ref", "")), str(head.get("sha", "")),
            str(row.get("title", "")), ci,
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise ForgeFault("failed", f"GitHub's answer lacks {error}: it is no pull request.") from error
