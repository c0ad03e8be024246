"""How a state is shown: a glyph and a word for each, and a tone that colour may repeat but never carries alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from engine.text.sizes import size_words

Clean = Callable[[str], str]
"""Makes text from outside safe to draw."""


class Sign(NamedTuple):
    """`tone`: good, bad, attention, busy, quiet or plain; a theme has a colour for each."""

    glyph: str
    word: str
    tone: str


NEAR_S = 20 * 3_600.0
"""A time of day alone cannot be mistaken for another day's."""
UNKNOWN = Sign("?", "unknown", "attention")

PROPOSAL = Sign("+", "proposal", "attention")
AT_LIMIT = Sign("‖", "at limit", "attention")

PHASES: dict[str, Sign] = {
    "draft": Sign("·", "draft", "quiet"),
    "ready": Sign("○", "ready", "plain"),
    "running": Sign("▶", "running", "busy"),
    "proposed": Sign("⇡", "proposed", "busy"),
    "verifying": Sign("◇", "verifying", "busy"),
    "queued": Sign("≡", "queued", "busy"),
    "landed": Sign("⬇", "landed", "good"),
    "healthy": Sign("♥", "healthy", "good"),
    "rejected": Sign("✘", "rejected", "bad"),
    "parked": Sign("P", "parked", "attention"),
    "reverted": Sign("↩", "reverted", "bad"),
    "cancelled": Sign("×", "cancelled", "quiet"),
}

HEALTH: dict[str, Sign] = {
    "green": Sign("✔", "green", "good"),
    "red": Sign("✘", "red", "bad"),
    "unknown": UNKNOWN,
    "frozen": Sign("❄", "frozen", "bad"),
}

GATES: dict[str, Sign] = {
    "": Sign("▶", "running", "busy"),
    "green": Sign("✔", "green", "good"),
    "red": Sign("✘", "red", "bad"),
    "timeout": Sign("◷", "timeout", "bad"),
    "error": Sign("!", "error", "bad"),
    "skipped": Sign("–", "skipped", "quiet"),
    "superseded": Sign("»", "superseded", "quiet"),
    "interrupted": Sign("·", "interrupted", "quiet"),
    "waiting": Sign("·", "waiting", "quiet"),
}

VERDICTS: dict[str, Sign] = {
    "": Sign("▶", "running", "busy"),
    "PASS": Sign("♥", "PASS", "good"),
    "FAIL": Sign("✘", "FAIL", "bad"),
    "INCONCLUSIVE": Sign("?", "INCONCLUSIVE", "attention"),
    "ENVIRONMENT": Sign("!", "ENVIRONMENT", "attention"),
    "interrupted": Sign("·", "interrupted", "quiet"),
}

RUNS: dict[str, Sign] = {
    "": Sign("▶", "running", "busy"),
    "done": Sign("✔", "done", "good"),
    "failed": Sign("✘", "failed", "bad"),
    "timeout": Sign("◷", "timeout", "bad"),
    "idle": Sign("◷", "idle", "bad"),
    "quota": Sign("!", "over quota", "bad"),
    "limit": AT_LIMIT,
    "asked": Sign("?", "asks you", "attention"),
    "aborted": Sign("×", "gave up", "bad"),
    "interrupted": Sign("·", "interrupted", "quiet"),
}

TESTS: dict[str, Sign] = {
    "passed": Sign("✔", "passed", "good"),
    "failed": Sign("✘", "failed", "bad"),
    "skipped": Sign("–", "skipped", "quiet"),
    "lost": Sign("!", "lost", "bad"),
}


def sign(table: dict[str, Sign], key: str) -> Sign:
    """The sign of a key; one that is not in the table is shown by its own name, never hidden."""
    return table.get(key) or Sign("?", key or "unknown", "attention")


def run_sign(result: str, reason: str) -> Sign:
    """The sign of a run. One that went round in circles is stuck, and not silent, though both end as idle."""
    if result == "idle" and "stuck" in reason.partition(";")[0]:
        return Sign("↻", "stuck", "bad")
    return sign(RUNS, result)


def age(seconds: float) -> str:
    """How long something has been so, in at most four characters: <1m, 12m, 3h, 2d. Calm: it changes by the minute."""
    seconds = max(0.0, seconds)
    if seconds < 60:
        return "<1m"
    if seconds < 6_000:
        return f"{seconds / 60:.0f}m"
    return f"{seconds / 3600:.0f}h" if seconds < 360_000 else f"{seconds / 86_400:.0f}d"


def moment(at: float, now: float) -> str:
    """A moment to come, both in UTC seconds, as a local time of day; with its date where that is not plain."""
    form = "%H:%M" if at - now < NEAR_S else "%d %b %H:%M"
    return time.strftime(form, time.localtime(at))


def clock(seconds: float) -> str:
    """A duration as h:mm:ss or m:ss."""
    whole = int(max(0.0, seconds))
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def took(seconds: float, *, still: bool = False) -> str:
    """How long something took, in at most five characters: 0.3s, 42s, 3:05, 1:02h. `still`: it goes on, and is told
    in whole seconds."""
    seconds = max(0.0, seconds)
    if still and seconds < 60:
        return f"{int(seconds)}s"
    if seconds < 60:
        return f"{seconds:.1f}s" if seconds < 9.95 else f"{seconds:.0f}s"
    whole = int(seconds)
    if whole < 6_000:
        return f"{whole // 60}:{whole % 60:02d}"
    return f"{whole // 3600}:{whole // 60 % 60:02d}h"


def amount(number: float) -> str:
    """A count in at most five characters: 950, 12.3k, 4.5M."""
    for limit, divisor, unit in ((1_000, 1, ""), (1e6, 1e3, "k"), (1e9, 1e6, "M"), (float("inf"), 1e9, "G")):
        if abs(number) < limit:
            scaled = number / divisor
            return f"{scaled:.0f}{unit}" if divisor == 1 or scaled >= 100 else f"{scaled:.1f}{unit}"
    return "?"


size = size_words


def bar(done: float, total: float, width: int) -> str:
    """A progress bar of `width` cells as text. Without a total it is all `░`: how far it is, is unknown."""
    if total <= 0:
        return "░" * width
    full = min(width, int(width * done / total))
    return "▓" * full + "░" * (width - full)
