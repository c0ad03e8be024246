"""Sizes for people."""

from __future__ import annotations

import pytest

from engine.text.sizes import size_words


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (12, "12 B"), (1_500, "1.5 kB"), (2e6, "2.0 MB"), (16e9, "16.0 GB"), (3.2e12, "3.2 TB")],
)
def test_sizes_are_said_for_people(count: float, said: str) -> None:
    assert size_words(count) == said
