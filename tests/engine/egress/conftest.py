from __future__ import annotations

from collections.abc import Iterator

import pytest
from egress.servers import Web

from tests.serving import serving


@pytest.fixture
def web() -> Iterator[Web]:
    with serving(Web()) as server:
        yield server


@pytest.fixture
def evil() -> Iterator[Web]:
    """A server that no policy names."""
    with serving(Web()) as server:
        yield server
