"""What GitHub and Gitea have alike: pull requests below `/repos/owner/name`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar
from urllib.parse import quote

from engine.forge.forge import Ci, Request, Status, part
from engine.forge.http import ForgeFault, Http


class Pulls(ABC):
    """Pull requests of `owner/name` into the branch `base`."""

    name: ClassVar[str]

    def __init__(self, http: Http, repository: str, base: str) -> None:
        self._http, self._base = http, base
        self._owner, _, name = repository.partition("/")
        self._at = f"/repos/{quote(self._owner, safe='')}/{quote(name, safe='')}"

    @abstractmethod
    async def find(self, branch: str) -> Request | None: ...

    @abstractmethod
    async def _ci(self, commit: str) -> Ci: ...

    @abstractmethod
    def _is_there(self, fault: ForgeFault) -> bool:
        """Whether it refuses to open one because there is one of this branch."""

    async def create(self, branch: str, title: str, body: str) -> Request:
        asked = {"title": title, "body": body, "head": branch, "base": self._base}
        try:
            return self._request((await self._http.call("POST", f"{self._at}/pulls", json=asked)).object())
        except ForgeFault as fault:
            if self._is_there(fault) and (known := await self.find(branch)):
                return known
            raise

    async def look(self, number: int) -> Request:
        row = (await self._http.call("GET", f"{self._at}/pulls/{number}")).object()
        request = self._request(row)
        return self._request(row, await self._ci(request.head)) if request.status == "open" else request

    async def comment(self, number: int, text: str) -> None:
        await self._http.call("POST", f"{self._at}/issues/{number}/comments", json={"body": text}, repeat=False)

    async def close(self, number: int) -> None:
        await self._http.call("PATCH", f"{self._at}/pulls/{number}", json={"state": "closed"})

    async def end(self) -> None:
        await self._http.end()

    def _request(self, row: dict[str, Any], ci: Ci = "") -> Request:
        try:
            merged = bool(row.get("merged") or row.get("merged_at"))  # GitHub's lists have the time alone
            status: Status = "merged" if merged else "open" if row["state"] == "open" else "closed"
            head = part(row, "head")
            return Request(
                int(row["number"]), str(row["html_url"]), status, str(head.get("ref", "")), str(head.get("sha", "")),
                str(row.get("title", "")), ci,
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as error:
            raise ForgeFault("failed", f"{self.name}'s answer lacks {error}: it is no pull request.") from error
