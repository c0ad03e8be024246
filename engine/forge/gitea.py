"""Gitea and Forgejo (Codeberg): https://docs.gitea.com/api (version 1; Forgejo kept it)."""

from __future__ import annotations

from engine.forge.forge import Ci, Request, part
from engine.forge.http import ForgeFault
from engine.forge.pulls import Pulls

_STATES: dict[str, Ci] = {
    "success": "green",
    "warning": "green",
    "pending": "pending",
    "error": "red",
    "failure": "red",
}


def headers(token: str) -> dict[str, str]:
    return {"Accept": "application/json", "Authorization": f"token {token}"}


class Gitea(Pulls):
    name = "Gitea"

    async def find(self, branch: str) -> Request | None:
        # The list cannot be asked for a branch. What we look for is recent, and the newest come first.
        params = {"state": "all", "sort": "recentupdate", "limit": 50}
        async for rows in self._http.pages(f"{self._at}/pulls", params):
            for row in rows:
                head, base = part(row, "head"), part(row, "base")
                ours = head.get("repo_id") == base.get("repo_id")
                if ours and head.get("ref") == branch and base.get("ref") == self._base:
                    return self._request(row)
        return None

    def _is_there(self, fault: ForgeFault) -> bool:
        return fault.status == 409

    async def _ci(self, commit: str) -> Ci:
        try:
            told = (await self._http.call("GET", f"{self._at}/commits/{commit}/status")).object()
        except ForgeFault as fault:
            if fault.why in ("forbidden", "missing"):
                return ""
            raise
        return _STATES.get(str(told.get("state", "")), "") if told.get("total_count") else ""
