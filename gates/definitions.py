"""Gate definitions: their digests, their order, their selection, and what is suspicious about them.

Definitions come from the base commit or the settings, never from the change under test.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import Literal

from engine.errors import UserError
from engine.models.problem import Problem
from engine.models.settings import Gate
from gates.results.table import problem_with
from gates.strength import SHELLS, gate_weakness, program_name
from gates.strict_json import digest

_SHELL_SYNTAX = re.compile(r"^(\|\|?|&&?|;|[0-9]?>>?|<|2>&1)$")
_ALWAYS_ZERO = re.compile(r"\|\|\s*(true|:|exit 0)")


def gate_digest(gate: Gate) -> str:
    """`sha256:<hex>` of everything that a gate's definition says."""
    return digest(gate.model_dump(mode="json"))


def in_order(gates: Sequence[Gate]) -> tuple[Gate, ...]:
    """The gates, each after those of them that it needs, else as written. Raises UserError on doubles and cycles."""
    by_name = {gate.name: gate for gate in gates}
    if len(by_name) != len(gates):
        twice = next(gate.name for gate in gates if [other.name for other in gates].count(gate.name) > 1)
        raise UserError(f'two gates are called "{twice}": give one of them another name in swarm.toml.')
    needs = {gate.name: [need for need in gate.needs if need in by_name] for gate in gates}
    sorter = TopologicalSorter(needs)
    try:
        sorter.prepare()
    except CycleError as error:
        circle = " -> ".join(reversed(error.args[1]))
        raise UserError(f"gates need each other in a circle ({circle}): take one need out of swarm.toml.") from error
    ordered: list[Gate] = []
    rank = {gate.name: at for at, gate in enumerate(gates)}
    ready: list[str] = []
    while sorter.is_active():
        ready = sorted([*ready, *sorter.get_ready()], key=rank.__getitem__)
        name = ready.pop(0)
        ordered.append(by_name[name])
        sorter.done(name)
    return tuple(ordered)


def groups(gates: Sequence[Gate]) -> tuple[tuple[Gate, ...], ...]:
    """The gates in order, those that need each other (over any number of steps) together. Raises like `in_order`.

    A group shares one checkout, so that a gate finds what the gates that it needs have built; no other gate finds it.
    """
    ordered = in_order(gates)
    group_of = {gate.name: gate.name for gate in ordered}
    for gate in ordered:
        for need in gate.needs:
            if need in group_of:
                old, new = group_of[gate.name], group_of[need]
                group_of = {name: new if group == old else group for name, group in group_of.items()}
    return tuple(
        tuple(gate for gate in ordered if group_of[gate.name] == group) for group in dict.fromkeys(group_of.values())
    )


def needed_by(gates: Sequence[Gate], name: str) -> tuple[Gate, ...]:
    """All of `gates` (which are in order) that this gate needs, over any number of steps, in order."""
    by_name = {gate.name: gate for gate in gates}
    todo, needed = [name], set[str]()
    while todo:
        for need in by_name[todo.pop()].needs:
            if need in by_name and need not in needed:
                needed.add(need)
                todo.append(need)
    return tuple(gate for gate in gates if gate.name in needed)


def select(
    gates: Sequence[Gate], names: Iterable[str] = (), when: Literal["land", "canary"] = "land"
) -> tuple[Gate, ...]:
    """These gates and all that they need; no names: the gates of `when`. Raises UserError on unknown names."""
    by_name = {gate.name: gate for gate in gates}
    todo = list(names) or [gate.name for gate in gates if when in gate.when]
    chosen: set[str] = set()
    while todo:
        name = todo.pop()
        if name not in by_name:
            known = ", ".join(by_name) or "none"
            raise UserError(f'there is no gate "{name}" in swarm.toml: name one of {known}.')
        if name not in chosen:
            chosen.add(name)
            todo.extend(by_name[name].needs)
    return in_order([gate for gate in gates if gate.name in chosen])


def problems(gate: Gate) -> tuple[Problem, ...]:
    """What is wrong or weak about a gate, for `swarm check`. The runner refuses gates with a problem of level error."""
    found: list[Problem] = []

    def add(level: Literal["error", "warning"], what: str, do: str) -> None:
        found.append(Problem(where=f"gate {gate.name}", what=what, do=do, level=level))

    if gate.flow:
        if gate.inputs or gate.results != "none":
            add("error", "a gate with a flow has neither inputs nor results", "take them out")
        return tuple(found)
    if not gate.shell and (words := _shell_words(gate.run)):
        what = f"its command uses a shell or its syntax ({words}), which can hide a failure"
        add("error", what, "write a plain argv, or set shell = true, which reports then say")
    if problem := problem_with(gate.results, gate.run):
        add("error", problem, "change run or results in swarm.toml")
    if not found and (weak := gate_weakness(gate)):
        # A person who writes shell = true is taken at his word, and the report says so.
        found.append(weak.model_copy(update={"level": "warning"}) if gate.shell else weak)
    return tuple(found)


def _shell_words(argv: Sequence[str]) -> str:
    program = program_name(argv[0])
    if program in SHELLS:
        return argv[0]
    if program == "env" and len(argv) > 1:
        rest = [word for word in argv[1:] if "=" not in word and not word.startswith("-")]
        return _shell_words(rest) if rest else ""
    if len(argv) == 1 and re.search(r"\s(\|\|?|&&|;)\s", argv[0]):
        return argv[0]
    return next((word for word in argv[1:] if _SHELL_SYNTAX.match(word) or _ALWAYS_ZERO.search(word)), "")
