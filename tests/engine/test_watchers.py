"""What watches beside the loop goes on whatever one of its looks comes to."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from engine.errors import SwarmError
from engine.host import Host


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (None, ""),
        (SwarmError("no room"), "could not look: no room"),
        (OSError("gone"), "could not look: gone"),
        (ValueError("inf is no JSON"), "could not look: ValueError('inf is no JSON')"),
    ],
)
async def test_a_look_that_fails_is_written_down_and_is_not_the_last(error: Exception | None, said: str) -> None:
    logged: list[str] = []

    async def look() -> None:
        if error is not None:
            raise error

    site: Any = SimpleNamespace(log=SimpleNamespace(error=lambda _category, text, **more: logged.append(text)))
    unused: Any = None
    host = Host(unused, unused, unused, _site=site)
    await host._survive("look", look())  # pyright: ignore[reportPrivateUsage]
    assert logged == [said] * bool(said)
