"""Guard "coverage": of the lines that a change adds, enough are run by a gate. It speaks after the gates."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from engine.git.hub import Hub
from engine.models.report import GuardResult
from engine.models.settings import Coverage, Guards
from engine.ports import GuardRequest
from gates.guards.coverage_reports import UnreadableReport, files_of, read_report
from gates.guards.guard import GITLINK, SYMLINK, Row, printable, shown
from gates.guards.judging import judged

RULE = "coverage"
_MAX_PAIRS = 4_000_000
_PLACES = 8


def judge_coverage(settings: Coverage, report: bytes | None, changed: Mapping[str, Collection[int]]) -> GuardResult:
    """Whether at least `settings.min` percent of the changed lines were run. `report`: the bytes that the gate left
    (None: it left none). `changed`: numbers, from 1, of the added lines of each path.

    Lines that the report does not know hold no code and do not count. Files that it does not know do not count either,
    and are named. `paths` of the result are those with lines that were not run, even when it is green.
    """
    wanted = {path: set(lines) for path, lines in changed.items() if lines}
    where = f"the coverage report {printable(settings.report)} of gate {settings.gate}"
    if report is None:
        return _denied(f"{where} is missing: let the gate write it, or mend guards.coverage in swarm.toml.")
    try:
        known = read_report(report)
    except UnreadableReport as error:
        return _denied(f"{where} cannot be read, because {error}: let the gate write Cobertura XML or lcov.")
    if not any(known.values()):
        return _denied(f"{where} knows no line of code: see that the gate runs with coverage switched on.")
    names = files_of(known, wanted)
    covered = total = 0
    missed: dict[str, list[int]] = {}
    for path, name in names.items():
        lines = {number: run for number, run in known[name].items() if number in wanted[path]}
        total, covered = total + len(lines), covered + sum(lines.values())
        if misses := sorted(number for number, run in lines.items() if not run):
            missed[path] = misses
    unknown = _unknown(wanted, names, known)
    aside = f" Not in the report: {shown(unknown)}." if unknown else ""
    if total == 0:
        return GuardResult(rule=RULE, ok=True, reason=f"no added line is one that the report knows.{aside}")
    percent = 100 * covered / total
    told = f"{covered} of {total} added lines with code are run ({percent:.1f} %, asked for {settings.min:g} %)"
    places = [f"{printable(path)}:{span}" for path, numbers in missed.items() for span in _spans(numbers)]
    first = ", ".join(places[:_PLACES]) + (f" and {len(places) - _PLACES} more" if len(places) > _PLACES else "")
    if percent < settings.min:
        return GuardResult(
            rule=RULE, ok=False, reason=f"{told}: write tests that run {first}.{aside}", paths=list(missed)
        )
    return GuardResult(rule=RULE, ok=True, reason=f"{told}.{aside}", paths=list(missed))


def added_lines(
    read: Callable[[str, str], bytes | None], rows: Sequence[Row], base_tree: str, tree: str
) -> dict[str, set[int]]:
    """Numbers, from 1, of the lines that each file has in `tree` and had not in `base_tree`, whose `read(tree, path)`
    gives the bytes. Binary files have none. In very large changes of one file a line that moved counts as added."""
    found: dict[str, set[int]] = {}
    for row in rows:
        if row.gone or row.new_mode in (SYMLINK, GITLINK):
            continue
        new = read(tree, row.path) or b""
        old = b"" if row.added or row.old_mode in (SYMLINK, GITLINK) else read(base_tree, row.path) or b""
        if b"\0" not in new[:8192] and (numbers := _added(old.splitlines(), new.splitlines())):
            found[row.path] = numbers
    return found


def changed_lines(hub: Hub, base_tree: str, tree: str) -> dict[str, set[int]]:
    """`added_lines` between two trees of the hub. Raises GitError."""
    change = judged(hub, GuardRequest(tree, base_tree, (), (), Guards(), ""))
    return added_lines(change.read, change.rows, base_tree, tree)


def _added(old: list[bytes], new: list[bytes]) -> set[int]:
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    before, after = old[start : len(old) - end], new[start : len(new) - end]
    if not before or len(before) * len(after) > _MAX_PAIRS:
        return set(range(start + 1, start + len(after) + 1))
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    return {
        start + at + 1
        for kind, _, _, first, last in matcher.get_opcodes()
        if kind in ("replace", "insert")
        for at in range(first, last)
    }


def _unknown(wanted: Iterable[str], names: Collection[str], known: Iterable[str]) -> list[str]:
    """Changed files that the report should know by their ending, and does not."""
    endings = {name.rpartition(".")[2] for name in known if "." in name}
    return sorted(path for path in wanted if path not in names and "." in path and path.rpartition(".")[2] in endings)


def _spans(numbers: Sequence[int]) -> list[str]:
    """`12-14` for lines that follow each other."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and number == spans[-1][1] + 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return [str(first) if first == last else f"{first}-{last}" for first, last in spans]


def _denied(reason: str) -> GuardResult:
    return GuardResult(rule=RULE, ok=False, reason=reason)
