"""What can be wrong in `[guards]`: a rule that cannot mean what it says guards nothing."""

from __future__ import annotations

from collections.abc import Sequence

from engine.models.problem import Problem
from engine.models.settings import Settings
from engine.scope import fault, overlaps
from engine.toml_lines import Loc
from engine.wording import Locate, closest, quoted


def guard_problems(settings: Settings, at: Locate) -> list[Problem]:
    """Errors where a rule has no meaning, warnings where it has hardly any."""
    guards = settings.guards
    problems = _globs(guards.protected, ("guards", "protected"), at)
    for index, entry in enumerate(guards.dependencies.allow):
        if reason := _entry_fault(entry):
            here = ("guards", "dependencies", "allow", index)
            do = 'write "name", "name@version" or "name@source"'
            problems.append(Problem(where=at(here), what=f"the entry {quoted(entry)} {reason}", do=do))
    for index, rule in enumerate(guards.boundaries):
        here: Loc = ("guards", "boundaries", index)
        problems += [
            *glob_problem(rule.from_, (*here, "from"), at),
            *glob_problem(rule.may_not, (*here, "may_not"), at),
        ]
    for index, made in enumerate(guards.generated):
        here = ("guards", "generated", index)
        for key, globs in (("paths", made.paths), ("sources", made.sources)):
            problems += _globs(globs, (*here, key), at)
            if not globs:
                what = f"generated files without {key} are never looked at"
                problems.append(Problem(where=at((*here, key)), what=what, do=f"write {key} = [...]"))
        if overlaps(made.paths, made.sources):
            what = "some files could be generated and sources at once: they do not count as sources"
            do = "keep paths and sources apart"
            problems.append(Problem(where=at((*here, "sources")), what=what, do=do, level="warning"))
    return [*problems, *_coverage(settings, at)]


def glob_problem(glob: str, loc: Loc, at: Locate) -> list[Problem]:
    """Why this glob cannot mean what it says, if so."""
    if not (reason := fault(glob)):
        return []
    what, _, do = reason.partition("; ")
    return [Problem(where=at(loc), what=f"the glob {quoted(glob)} {what}", do=do or "remove it")]


def _globs(globs: Sequence[str], loc: Loc, at: Locate) -> list[Problem]:
    return [problem for n, glob in enumerate(globs) for problem in glob_problem(glob, (*loc, n), at)]


def _entry_fault(entry: str) -> str:
    if not entry or entry != entry.strip() or not entry.isprintable():
        return "is empty, or has spaces or other signs that nobody sees"
    if set(entry) <= set("*?@"):
        return "allows nothing: names are compared letter by letter, without wildcards"
    if entry.endswith("@"):
        return "ends in @"
    return ""


def _coverage(settings: Settings, at: Locate) -> list[Problem]:
    coverage = settings.guards.coverage
    if coverage is None:
        return []
    problems: list[Problem] = []
    gates = {gate.name for gate in settings.gate}
    if coverage.gate not in gates:
        what = f'the coverage is measured by the gate "{coverage.gate}", which does not exist'
        where = at(("guards", "coverage", "gate"))
        problems.append(Problem(where=where, what=what, do=closest(coverage.gate, gates)))
    elif any(gate.flow for gate in settings.gate if gate.name == coverage.gate):
        what = f"the gate {coverage.gate} runs a flow, which leaves no coverage report"
        problems.append(Problem(where=at(("guards", "coverage", "gate")), what=what, do="name a gate with run"))
    if (reason := fault(coverage.report)) or "*" in coverage.report or "?" in coverage.report:
        what = f"the report {quoted(coverage.report)} {(reason or 'has wildcards').partition('; ')[0]}"
        do = "write its path, relative to the repository"
        problems.append(Problem(where=at(("guards", "coverage", "report")), what=what, do=do))
    return problems
