"""One call of a forge's API: with an end, with patience, and with a sentence (without the token) when it fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Literal, cast
from urllib.parse import urlsplit

import httpx

from engine.errors import SwarmError
from engine.publish_checks import url_problem
from engine.text.sanitise import sanitise_line

Why = Literal["login", "forbidden", "missing", "invalid", "limited", "moved", "unreachable", "failed"]

ATTEMPTS = 3
PATIENCE_S = 30.0
"""A forge that asks for a longer pause gets it by a later round."""
ANSWER_S = 60.0
MAX_PAGES = 20
USER_AGENT = "swarm-tui"

_OK = (200, 201, 202, 204)


class ForgeFault(SwarmError):
    """The forge did not do it. `str()` is one sentence; `after_s`: how long it asked to be left alone; `said`: its own
    words, sanitised."""

    def __init__(self, why: Why, sentence: str, *, status: int = 0, said: str = "", after_s: float = 0.0) -> None:
        super().__init__(sanitise_line(sentence))
        self.why: Why = why
        self.status, self.said, self.after_s = status, said, after_s


@dataclass(frozen=True)
class Answer:
    """`body`: what the JSON says, None without any."""

    status: int
    body: object
    headers: Mapping[str, str]

    def object(self) -> dict[str, Any]:
        """The body, which is an object. Raises ForgeFault."""
        body = self.body
        if isinstance(body, dict):
            return cast("dict[str, Any]", body)
        raise ForgeFault("failed", "The forge answered something else than its documentation says.", status=self.status)

    def rows(self) -> list[dict[str, Any]]:
        """The body, which is a list of objects. Raises ForgeFault."""
        body = self.body
        if isinstance(body, list):
            rows = cast("list[Any]", body)
            return [cast("dict[str, Any]", row) for row in rows if isinstance(row, dict)]
        raise ForgeFault("failed", "The forge answered something else than its documentation says.", status=self.status)


@dataclass
class Http:
    """Calls below one address. `headers` hold the token, so they are never shown.

    transport: for tests. sleep, now: the clock it waits by.
    """

    base: str
    headers: Mapping[str, str] = field(repr=False)
    transport: httpx.AsyncBaseTransport | None = None
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    now: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        if problem := url_problem(self.base):
            raise ForgeFault("failed", f"The forge's address {problem}: mend project.forge_url in swarm.toml.")
        self.host = urlsplit(self.base).hostname or ""
        self._client = httpx.AsyncClient(
            headers={"User-Agent": USER_AGENT, **self.headers},
            timeout=httpx.Timeout(30.0, connect=15.0),
            transport=self.transport,
            follow_redirects=False,  # a token goes to the host that was named, and nowhere else
        )

    async def end(self) -> None:
        """Close what is open."""
        await self._client.aclose()

    async def call(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        json: Mapping[str, Any] | None = None,
        repeat: bool = True,
    ) -> Answer:
        """One request, tried again after faults of the line or the server. Raises ForgeFault.

        repeat: whether doing it twice does no harm; without it only a refusal for its rate is tried again.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._once(method, path, params, json)
            except ForgeFault as fault:
                passing = fault.why == "limited" or (repeat and fault.why == "unreachable")
                wait_s = max(fault.after_s, 2.0**attempt / 2)
                if not passing or attempt == ATTEMPTS or wait_s > PATIENCE_S:
                    raise
                await self.sleep(wait_s)
        raise AssertionError("the last attempt raises")

    async def pages(self, path: str, params: Mapping[str, str | int]) -> AsyncIterator[list[dict[str, Any]]]:
        """Page after page of a list, by the `Link` header that all of these forges send; at most MAX_PAGES."""
        asked = dict(params)
        for page in range(1, MAX_PAGES + 1):
            answer = await self.call("GET", path, params={**asked, "page": page})
            rows = answer.rows()
            yield rows
            if not rows or 'rel="next"' not in answer.headers.get("link", ""):
                return

    async def _once(
        self, method: str, path: str, params: Mapping[str, str | int] | None, json: Mapping[str, Any] | None
    ) -> Answer:
        try:
            async with asyncio.timeout(ANSWER_S):
                response = await self._client.request(
                    method,
                    f"{self.base.rstrip('/')}{path}",
                    params=params,
                    json=dict(json) if json is not None else None,
                )
        except TimeoutError as error:
            raise ForgeFault("unreachable", f"{self.host} gave no answer within {ANSWER_S:g} s.") from error
        except httpx.TimeoutException as error:
            raise ForgeFault("unreachable", f"{self.host} gave no answer in time.") from error
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise ForgeFault("unreachable", f"{self.host} cannot be reached ({type(error).__name__}).") from error
        body = _json(response)
        if response.status_code not in _OK:
            raise self._fault(response, body)
        return Answer(response.status_code, body, response.headers)

    def _fault(self, response: httpx.Response, body: Any) -> ForgeFault:
        status, said = response.status_code, _said(body)
        told = f" ({said})" if said else ""
        if (after_s := self._pause(response, said)) is not None:
            sentence = f"{self.host} asks for a pause{told}: the swarm goes on in {max(1, round(after_s))} s."
            return ForgeFault("limited", sentence, status=status, said=said, after_s=after_s)
        why, sentence = _MEANINGS.get(status, ("failed", "answered {status}{told}: see what it says about it."))
        if status >= 500:
            why, sentence = "unreachable", "has trouble of its own ({status}): the swarm tries again."
        return ForgeFault(why, f"{self.host} {sentence.format(status=status, told=told)}", status=status, said=said)

    def _pause(self, response: httpx.Response, said: str) -> float | None:
        """Seconds to wait when this is about the rate of requests, else None."""
        status, headers = response.status_code, response.headers
        spent = headers.get("x-ratelimit-remaining", headers.get("ratelimit-remaining")) == "0"
        secondary = "rate limit" in said.lower()
        asked = headers.get("retry-after", "")
        if status != 429 and not (status == 403 and (spent or secondary or asked)) and not (status == 503 and asked):
            return None
        if asked.isdecimal():
            return float(asked)
        if asked:
            try:
                return max(0.0, parsedate_to_datetime(asked).timestamp() - self.now())
            except ValueError:
                return 60.0
        reset = headers.get("x-ratelimit-reset", headers.get("ratelimit-reset", ""))
        return max(1.0, float(reset) - self.now()) if spent and reset.isdecimal() else 60.0


_MEANINGS: dict[int, tuple[Why, str]] = {
    401: ("login", "does not know the token{told}: make a new one, and start the swarm with it."),
    403: ("forbidden", "does not let the token do this{told}: give it write access to pull requests and contents."),
    404: ("missing", "has no such repository or pull request, or the token may not see it{told}: see both."),
    409: ("invalid", "refuses{told}."),
    422: ("invalid", "refuses{told}."),
    **dict.fromkeys(
        (301, 302, 307, 308), ("moved", "says that the repository has moved: set the remote's new address with git.")
    ),
}


def _json(response: httpx.Response) -> Any:
    try:
        return response.json() if response.content else None
    except ValueError:
        return None


def _said(body: Any) -> str:
    """The forge's own words, in one line: `message` with the messages of `errors` (GitHub), or a list (GitLab)."""
    if not isinstance(body, dict):
        return ""
    told = cast("dict[str, Any]", body)
    parts = [_words(told.get("message") or told.get("error") or "")]
    errors = told.get("errors")
    parts += [_words(error) for error in cast("list[Any]", errors)] if isinstance(errors, list) else []
    return sanitise_line("; ".join(part for part in parts if part))[:300]


def _words(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_words(each) for each in cast("list[Any]", value))
    if isinstance(value, dict):
        told = cast("dict[str, Any]", value)
        return _words(told["message"]) if "message" in told else ", ".join(f"{k} {_words(v)}" for k, v in told.items())
    return str(value)
