"""The bench is given to every test of gates."""

from pathlib import Path

import pytest

from tests.gates.bench import Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)
