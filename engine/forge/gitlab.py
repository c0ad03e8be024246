"""GitLab: https://docs.gitlab.com/api/merge_requests (API version 4)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from engine.forge.forge import Ci, Request, Status, part
from engine.forge.http import ForgeFault, Http

_PIPELINE: dict[str, Ci] = {
    "success": "green",
    "skipped": "green",
    "failed": "red",
    "canceled": "red",
    **dict.fromkeys(
        ("created", "waiting_for_resource", "preparing", "pending", "running", "manual", "scheduled", "canceling"),
        "pending",
    ),
}


def headers(token: str) -> dict[str, str]:
    return {"PRIVATE-TOKEN": token}


class GitLab:
    """Merge requests of `group/…/name`."""

    def __init__(self, http: Http, repository: str, base: str) -> None:
        self._http, self._base = http, base
        self._at = f"/projects/{quote(repository, safe='')}/merge_requests"

    async def find(self, branch: str) -> Request | None:
        params = {"source_branch": branch, "target_branch": self._base, "state": "all", "per_page": 100}
        async for rows in self._http.pages(self._at, params):
            for row in rows:
                if row.get("source_branch") == branch and row.get("source_project_id") == row.get("target_project_id"):
                    return _request(row)
        return None

    async def create(self, branch: str, title: str, body: str) -> Request:
        asked = {"source_branch": branch, "target_branch": self._base, "title": title, "description": body}
        try:
            return _request((await self._http.call("POST", self._at, json=asked)).object())
        except ForgeFault as fault:
            if fault.status == 409 and (known := await self.find(branch)):
                return known
            raise

    async def look(self, number: int) -> Request:
        return _request((await self._http.call("GET", f"{self._at}/{number}")).object())

    async def comment(self, number: int, text: str) -> None:
        await self._http.call("POST", f"{self._at}/{number}/notes", json={"body": text}, repeat=False)

    async def close(self, number: int) -> None:
        await self._http.call("PUT", f"{self._at}/{number}", json={"state_event": "close"})

    async def end(self) -> None:
        await self._http.end()


def _request(row: dict[str, Any]) -> Request:
    try:
        states: dict[str, Status] = {"opened": "open", "locked": "open", "merged": "merged"}
        pipeline = part(row, "head_pipeline")
        return Request(
            int(row["iid"]), str(row["web_url"]), states.get(row["state"], "closed"), str(row["source_branch"]),
            str(row.get("sha") or ""), str(row.get("title", "")), _PIPELINE.get(str(pipeline.get("status", "")), ""),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise ForgeFault("failed", f"GitLab's answer lacks {error}: it is no merge request.") from error
