"""GitHub, and GitHub Enterprise Server: https://docs.github.com/rest/pulls (version 2022-11-28)."""

from __future__ import annotations

from typing import Any

from engine.forge.forge import Ci, Request, part, worst
from engine.forge.http import Answer, ForgeFault
from engine.forge.pulls import Pulls

_GREEN = ("success", "neutral", "skipped")


def headers(token: str) -> dict[str, str]:
    return {
        "Accept": "application/vnd.github+json",
        "X-GitHub-Api-Version": "2022-11-28",
        "Authorization": f"Bearer {token}",
    }


class GitHub(Pulls):
    name = "GitHub"

    async def find(self, branch: str) -> Request | None:
        params = {"head": f"{self._owner}:{branch}", "base": self._base, "state": "all", "per_page": 100}
        async for rows in self._http.pages(f"{self._at}/pulls", params):
            for row in rows:
                if _branch(row) == branch:
                    return self._request(row)
        return None

    def _is_there(self, fault: ForgeFault) -> bool:
        return fault.status == 422 and "already exists" in fault.said

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
