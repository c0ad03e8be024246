"""A trace held against the golden that counts for this system and renderer."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from canary.golden import GoldenError, compare, parse_trace
from canary.golden_files import keyed, lookups, renderer_of
from canary.verdicts import Finding
from engine.errors import InfrastructureFault
from engine.models.flow import Judge

ReadGolden = Callable[[str], bytes | None]
"""The file of this path in the commit's tree; None when it is not there. Blocks. Raises InfrastructureFault."""


@dataclass(frozen=True)
class Held:
    """finding: None when the trace is as the golden says. path: of the golden that counted, or where one is missing;
    keyed: the one for this system and renderer alone. was: digest of the golden, "" without one. difference: unified.

    asks: whether a person could accept the trace instead: not when the golden could not be read.
    """

    finding: Finding | None
    path: str
    keyed: str
    was: str = ""
    difference: str = ""
    asks: bool = False


def hold(judge: Judge, golden: str, trace: Sequence[Mapping[str, Any]], read: ReadGolden) -> Held:
    """Compare with the first of the golden's paths that is there."""
    renderer = renderer_of(trace)
    own = keyed(golden, renderer)
    path = golden
    try:
        found = next(((each, raw) for each in lookups(golden, renderer) if (raw := read(each)) is not None), None)
        if found is None:
            return Held(_missing(golden), golden, own, asks=bool(trace))
        path, raw = found
        was = f"sha256:{hashlib.sha256(raw).hexdigest()}"
        told = compare(parse_trace(raw), trace, judge.mask, judge.order, judge.tolerances)
    except GoldenError as error:
        return Held(Finding("INCONCLUSIVE", f"the golden {path} cannot be read: {error}"), path, own)
    except InfrastructureFault as error:
        return Held(Finding("ENVIRONMENT", f"the golden {path} could not be read: {error}"), path, own)
    if told is None:
        return Held(None, path, own, was)
    return Held(Finding("FAIL", f"golden {path}: {told.first}"), path, own, was, told.text, asks=bool(trace))


def _missing(golden: str) -> Finding:
    return Finding("INCONCLUSIVE", f"expected the golden {golden}, saw no such file")
