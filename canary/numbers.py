"""The numbers that a flow samples, and the hard bounds that some of them have."""

from __future__ import annotations

import json
import math
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from canary.drivers.driver import SeenEvent
from canary.places import real_place
from canary.verdicts import Finding
from canary.wording import as_json
from engine.models.flow import Budget, Sample

FILE_CAP_BYTES = 16_000_000


class Missing(Exception):
    """What a sample should be made of is not there. The message is half a sentence."""


def numbers_of(sample: Sample, events: Sequence[SeenEvent], took_ms: Sequence[float], home: Path | None) -> list[float]:
    """The sample's values in order. took_ms: of each HTTP answer. home: where its file lies. Raises Missing."""
    if sample.from_ == "http":
        if not took_ms:
            raise Missing("expected HTTP answers, saw none")
        return list(took_ms)
    if sample.from_:
        rows: Iterator[Any] = _rows(home, sample.from_)
        none = f"expected lines in {sample.from_}, saw none"
    else:
        rows = (event.fields for event in events if event.kind == sample.event)
        none = f'expected events "{sample.event}", saw none'
    values = [_number(row, sample.path) for row in rows]
    if not values:
        raise Missing(none)
    return values


def over_budget(budgets: Sequence[Budget], samples: Mapping[str, Sequence[float]]) -> Iterator[Finding]:
    """The hard bounds (`max`, `min`) that the medians of one run do not keep. A share of last good's is not judged
    here: one run knows nothing of last good."""
    for budget in budgets:
        if budget.max is None and budget.min is None:
            continue
        values = samples.get(budget.sample)
        if not values:
            yield Finding("INCONCLUSIVE", f"the budget of {budget.sample} has no sample to go by")
            continue
        seen = median(values)
        over = budget.max is not None and seen > budget.max
        under = budget.min is not None and seen < budget.min
        if over or under:
            wanted = f"at most {budget.max:g}" if over else f"at least {budget.min:g}"
            yield Finding(
                "FAIL",
                f"expected the median of {budget.sample} to be {wanted}, saw {seen:.4g} over {len(values)} values",
            )


def _number(row: Any, path: str) -> float:
    value = row
    for name in path.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    try:
        if not isinstance(value, bool) and isinstance(value, (int, float)) and math.isfinite(value):
            return float(value)
    except OverflowError:  # of a whole number with hundreds of digits
        pass
    raise Missing(f'"{path}" of {as_json(row)} is not a number')


def _rows(home: Path | None, name: str) -> Iterator[Any]:
    """Each line of a file of JSON lines. Raises Missing."""
    for number, line in enumerate(_text(home, name).split("\n"), 1):
        if line.strip():
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                raise Missing(f"line {number} of {name} is not JSON") from error


def _text(home: Path | None, name: str) -> str:
    """The program wrote it: a link that leads elsewhere, or what would keep us waiting, is not read."""
    if home is None or real_place(home / name, home) is None:
        raise Missing(f"expected the file {name} in its home, saw none")
    try:
        flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(home / name, flags), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise Missing(f"{name} in its home is not a file")
            raw = file.read(FILE_CAP_BYTES + 1)
    except OSError as error:
        raise Missing(f"expected the file {name} in its home, saw: {error.strerror}") from error
    if len(raw) > FILE_CAP_BYTES:
        raise Missing(f"{name} is larger than {FILE_CAP_BYTES // 1_000_000} MB")
    return raw.decode("utf-8", errors="replace")
