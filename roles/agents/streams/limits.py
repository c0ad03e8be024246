"""Whether an error says that a provider's limit is reached, and until when.

The words and times are those that were seen of the programs named in this folder's files, of their documentation, and
of the errors of Anthropic's, OpenAI's and Google's APIs, which they pass on.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

AHEAD_MAX_S = 32 * 86_400.0
"""The longest limit that is known is a month's. What lies further ahead is no time of a reset."""
READ_MAX = 4_000
"""Characters of an error that are looked at."""

_CODES = frozenset({429, 529})
_LIMIT = re.compile(
    r"(?:^|status|http|error|code|\()\W{0,4}(?:429|529)\b|rate.?limit|too many requests|usage limit|spend limit"
    r"|hit your (?:\w+ ){0,3}limit|(?<!disk )quota|resource.?exhausted|overloaded|out of (?:extra )?usage"
    r"|credit balance is too low|insufficient.(?:credits|funds|balance)",
    re.IGNORECASE,
)
_EPOCH = re.compile(r"limit reached\|(\d{10})\b")
_ISO = re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d:?\d\d)")
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SPAN = r"\d{1,9}(?:\.\d{1,9})?\s{0,3}(?:ms|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?)"
_IN = re.compile(
    rf"(?:\bin|\bafter|\bwait|retry.?after|retry.?delay)\W{{1,6}}((?:{_SPAN}(?![a-z])[\s,]{{0,3}}(?:and\s)?){{1,5}})",
    re.IGNORECASE,
)
_ONE = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|milli|[smhd])", re.IGNORECASE)
_AFTER = re.compile(r"retry.?after\W{1,6}(\d{1,9}(?:\.\d{1,9})?)(?![\d.]*\s?[a-z])", re.IGNORECASE)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_CLOCK = re.compile(
    rf"(?:resets?|again|until)(?: (?:at|on))?\s+"
    rf"(?:(?P<month>{'|'.join(_MONTHS)})[a-z]*\.?\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?:(?P<year>\d{{4}}),?\s+)?"
    rf"(?:at\s+)?)?(?P<hour>\d{{1,2}})(?::(?P<minute>\d\d))?\s?(?P<half>[ap]\.?m\b)?(?:\s*\((?P<zone>[\w/+-]{{1,40}})\))?",
    re.IGNORECASE,
)


def is_limit(text: str, status: int | None = None) -> bool:
    """Whether an error with these words, or with this HTTP status, is about a limit of the provider."""
    return status in _CODES or _LIMIT.search(text[:READ_MAX]) is not None


def resets_at(text: str, now: float) -> float | None:
    """When the limit ends, in seconds since the epoch like `now`; None when the text names no time that can be one.

    Times of day without a zone are this machine's, since the program that made them runs here.
    """
    text = text[:READ_MAX]
    if found := _EPOCH.search(text):
        return plausible(float(found[1]), now)
    if found := _ISO.search(text):
        return plausible(_iso(found[0]), now)
    if found := _CLOCK.search(text):
        at = plausible(_clock(found, now), now)
        if at is not None:
            return at
    if found := _IN.search(text):
        seconds = sum(float(number) * _unit(unit) for number, unit in _ONE.findall(found[1]))
        return plausible(now + seconds, now)
    if found := _AFTER.search(text):
        return plausible(now + float(found[1]), now)
    return None


def plausible(at: object, now: float) -> float | None:
    """A time as somebody gave it, in seconds or milliseconds; None for one that is over or too far ahead."""
    if isinstance(at, bool) or not isinstance(at, int | float):
        return None
    try:
        seconds = float(at)
    except OverflowError:
        return None
    seconds = seconds / 1000 if seconds > 1e11 else seconds
    return seconds if math.isfinite(seconds) and now < seconds <= now + AHEAD_MAX_S else None


def _unit(word: str) -> float:
    return _UNITS["ms" if word.lower().startswith(("ms", "milli")) else word.lower()]


def _iso(text: str) -> float | None:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError):
        return None


def _clock(found: re.Match[str], now: float) -> float | None:
    """The next time that a clock shows this; of a date without a year, the next one."""
    hour, minute = int(found["hour"]), int(found["minute"] or 0)
    if found["half"] is None and found["minute"] is None:
        return None
    if found["half"]:
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if found["half"].lower().startswith("p") else 0)
    try:
        zone: tzinfo | None = ZoneInfo(found["zone"]) if found["zone"] else None
        here = datetime.fromtimestamp(now, UTC).astimezone(zone)
        at = here.replace(hour=hour, minute=minute, second=0, microsecond=0, tzinfo=zone)
        if found["month"]:
            month, day = _MONTHS.index(found["month"].lower()) + 1, int(found["day"])
            at = at.replace(year=int(found["year"] or here.year), month=month, day=day)
            if not found["year"] and at.timestamp() <= now:
                at = at.replace(year=at.year + 1)
        elif at.timestamp() <= now:
            at += timedelta(days=1)
        return at.timestamp()
    except (ValueError, OverflowError, OSError, LookupError):
        return None
