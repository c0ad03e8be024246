"""From what was seen of one gate to its result: green only if exit code, results and the base's inventory all agree."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from engine.models.report import GateOutcome
from gates.results.adapter import Seen

_SHOWN = 5
_MAX_REASON = 2_000
_BOUNDARY = ".:[/"


@dataclass(frozen=True)
class Judgement:
    """A gate's result; `reason` is one sentence when it is not green. Counts are of tests; skipped ones did not run."""

    result: GateOutcome
    reason: str = ""
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    lost: tuple[str, ...] = ()
    failing: tuple[str, ...] = ()
    quarantined: tuple[str, ...] = ()

    @property
    def executed(self) -> int:
        return self.passed + self.failed


def judge(
    seen: Seen,
    *,
    counts: bool,
    inventory: Sequence[str] = (),
    gone: Sequence[str] = (),
    touched: bool = False,
    quarantined: Collection[str] = (),
) -> Judgement:
    """The judgement on a gate that ran to its end.

    counts: the results name tests, so zero executed is red. inventory: test ids that passed on the base; one that has
    no result now or is skipped is LOST, unless `gone` names it or a prefix of it. touched: tracked files were changed.
    quarantined: test ids whose failures do not count.
    """
    if seen.fault:
        return Judgement("error", printable(seen.fault))
    tally = Counter(seen.outcomes.values())
    failed = sorted(name for name, outcome in seen.outcomes.items() if outcome == "failed")
    excused = tuple(name for name in failed if name in quarantined)
    failing = tuple(name for name in failed if name not in quarantined)
    lost = lost_tests(seen.outcomes, inventory, gone) if counts else ()
    reasons: list[str] = []
    if touched:
        reasons.append("the gate changed the tree that it was to check")
    if failing:
        total = tally["passed"] + tally["failed"]
        reasons.append(f"{len(failing)} of {total} {_tests(total)} failed: {_named(failing)}")
    reasons += seen.problems
    if counts and not tally["passed"] and not tally["failed"] and not seen.problems:
        also = f" ({tally['skipped']} were skipped)" if tally["skipped"] else ""
        reasons.append(f"zero tests were executed{also}")
    if lost:
        reasons.append(f"{len(lost)} {_tests(len(lost))} that passed on the base did not run (LOST): {_named(lost)}")
    return Judgement(
        "red" if reasons else "green",
        printable("; ".join(reasons)) if reasons else "",
        tally["passed"], tally["failed"], tally["skipped"], lost, failing, excused,
    )  # fmt: skip


def lost_tests(outcomes: Mapping[str, str], inventory: Sequence[str], gone: Sequence[str]) -> tuple[str, ...]:
    """Ids of the inventory without a pass or failure now, less those that `gone` names by id or by prefix."""
    missing = (name for name in inventory if outcomes.get(name) not in ("passed", "failed"))
    return tuple(sorted(name for name in missing if not is_named(name, gone)))


def is_named(test: str, names: Sequence[str]) -> bool:
    """Whether a list of a work order names the test: in full, or by module, file, folder or class.

    `tests/test_a.py::Case` and `tests.test_a.Case` are the same name, since people write either. The folders before a
    file may be missing from the id, as after `unittest discover -s tests`.
    """
    dotted = _dotted(test)
    for prefix in (_dotted(form) for name in names for form in (name, _without_folders(name))):
        if prefix and (dotted == prefix or (dotted.startswith(prefix) and dotted[len(prefix)] in _BOUNDARY)):
            return True
    return False


def _without_folders(name: str) -> str:
    file, separator, rest = name.partition("::")
    return file.rpartition("/")[2] + separator + rest if file.endswith(".py") else ""


def _dotted(name: str) -> str:
    head, bracket, parameters = name.partition("[")
    head = re.sub(r"\.py(?=::|$)", "", head.strip().removeprefix("./"))
    return head.replace("::", ".").replace("/", ".").rstrip(".") + bracket + parameters


def _named(tests: Sequence[str]) -> str:
    few = ", ".join(tests[:_SHOWN])
    return few if len(tests) <= _SHOWN else f"{few} and {len(tests) - _SHOWN} more"


def _tests(count: int) -> str:
    return "test" if count == 1 else "tests"


def printable(text: str) -> str:
    """One printable line that ends in a full stop; names of tests are the tree's own words."""
    line = "".join(sign if sign.isprintable() else f"\\x{ord(sign):02x}" for sign in text[:_MAX_REASON]).strip()
    return line if line.endswith(".") else f"{line}."
