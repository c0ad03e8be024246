"""Requests to the program under test, each on a connection of its own, and what was answered: bounded and kept."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from canary.drivers.inward import HOST
from engine.models.flow import HttpCall

BODY_CAP_BYTES = 1_000_000
"""No more of an answer is read."""
KEPT_CHARS = 4_000
"""Of a body in the record."""
KEPT_EXCHANGES = 2_000
SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key"})


@dataclass(frozen=True)
class Exchange:
    """A request and its answer. `status` is None when none came, and `trouble` says why. `took_ms`: to the answer's
    last byte. `cut`: the answer is longer than what was read of it."""

    call: HttpCall
    at_s: float
    took_ms: float
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    cut: bool = False
    trouble: str = ""

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", errors="replace")

    def row(self) -> dict[str, Any]:
        """For the record: headers with secrets hidden, bodies cut."""
        call = self.call
        sent = call.text if call.json_ is None else json.dumps(call.json_)
        return {
            "at": round(self.at_s, 6),
            "request": {
                "method": call.method,
                "path": call.path,
                "port": call.port,
                "headers": _shown(call.headers),
                "body": (sent or "")[:KEPT_CHARS],
            },
            "status": self.status,
            "took_ms": round(self.took_ms, 3),
            "headers": _shown(self.headers),
            "body": self.text[:KEPT_CHARS],
            "bytes": len(self.body),
            "cut": self.cut,
            "trouble": self.trouble,
        }


class Http:
    """Speaks to a program's ports. `exchanges`: all answers and missing answers that a step asked for, in order."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self.exchanges: list[Exchange] = []
        self._ports = ports
        self._began = time.perf_counter()
        # A connection that is used again may be closed by the server at that moment: a red that nobody caused.
        limits = httpx.Limits(max_keepalive_connections=0)
        self._client = httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=None, limits=limits)

    async def call(self, call: HttpCall) -> Exchange:
        """One request; never raises for what the program does."""
        exchange = await self._exchange(call)
        self.exchanges.append(exchange)
        del self.exchanges[:-KEPT_EXCHANGES]
        return exchange

    async def probe(self, path: str, within_s: float) -> bool:
        """Whether an answer below 400 comes to a GET of `path` at the first port. Not kept."""
        exchange = await self._exchange(HttpCall.model_validate({"path": path, "within": within_s}))
        return exchange.status is not None and exchange.status < 400

    def rows(self) -> Iterator[dict[str, Any]]:
        return (exchange.row() for exchange in self.exchanges)

    async def close(self) -> None:
        await self._client.aclose()

    async def _exchange(self, call: HttpCall) -> Exchange:
        port = self._ports[call.port] if call.port else next(iter(self._ports.values()))
        content = call.text if call.json_ is None else json.dumps(call.json_)
        kind = {} if call.json_ is None else {"content-type": "application/json"}
        # What is not encoded cannot unpack to more than was read.
        headers = {"accept-encoding": "identity"} | kind | call.headers
        began = time.perf_counter()
        body = bytearray()
        try:
            async with (
                asyncio.timeout(call.within),
                self._client.stream(
                    call.method, f"http://{HOST}:{port}{call.path}", headers=headers, content=content
                ) as response,
            ):
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > BODY_CAP_BYTES:
                        break
        except TimeoutError:
            return self._none(call, began, "no whole answer")
        except httpx.ConnectError:
            return self._none(call, began, "that nobody listens")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return self._none(call, began, f"a broken connection ({type(error).__name__})")
        took_ms = (time.perf_counter() - began) * 1000
        said = {name: value for name, value in response.headers.items()}  # noqa: C416
        cut = len(body) > BODY_CAP_BYTES
        return Exchange(
            call, began - self._began, took_ms, response.status_code, said, bytes(body[:BODY_CAP_BYTES]), cut
        )

    def _none(self, call: HttpCall, began: float, trouble: str) -> Exchange:
        took_ms = (time.perf_counter() - began) * 1000
        return Exchange(call, began - self._began, took_ms, trouble=trouble)


def _shown(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: "[hidden]" if name.lower() in SECRET_HEADERS else value for name, value in headers.items()}
