"""What the types of a file cannot say: names that lead nowhere, cycles, doubles, and settings that prove nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from graphlib import CycleError, TopologicalSorter
from typing import get_args

from engine.egress.hosts import host_problem
from engine.guard_checks import glob_problem, guard_problems
from engine.models.problem import Problem
from engine.models.roadmap import OrderKind, Roadmap, WorkOrder
from engine.models.settings import Settings
from engine.providers import provider_of
from engine.publish_checks import publish_problems
from engine.scope import matches
from engine.text.sanitise import sanitise_line
from engine.toml_lines import Loc
from engine.wording import Locate, closest

_TEST_KINDS = frozenset({"unit", "integration", "stress"})
_WINDOWS_DEVICES = frozenset(
    {"con", "prn", "aux", "nul", *(f"com{n}" for n in range(1, 10)), *(f"lpt{n}" for n in range(1, 10))}
)


def check_settings(settings: Settings, locate: Locate | None = None) -> list[Problem]:
    """All that is wrong within the settings, errors and warnings. `locate` names the places; without it, the file."""
    at = locate or _in_file("swarm.toml")
    gates = {gate.name for gate in settings.gate}
    flows = {flow.name for flow in settings.canary.flow}
    problems = [
        *_doubles([(("gate", n), gate.name) for n, gate in enumerate(settings.gate)], "gate", at),
        *_doubles([(("canary", "flow", n), flow.name) for n, flow in enumerate(settings.canary.flow)], "flow", at),
    ]
    for index, gate in enumerate(settings.gate):
        here: Loc = ("gate", index)
        problems += _unknown(gate.needs, gates, (*here, "needs"), f"gate {gate.name} needs the gate", at)
        if gate.flow:
            problems += _unknown([gate.flow], flows, (*here, "flow"), f"gate {gate.name} runs the flow", at)
    problems += _cycle(
        {gate.name: gate.needs for gate in settings.gate},
        {gate.name: ("gate", n, "needs") for n, gate in enumerate(settings.gate)},
        at,
    )
    for role, agent in settings.roles.items():
        problems += _unknown(
            [agent], settings.agents.keys(), ("roles", role), f"the role {role} is given to the agent", at
        )
    for name, each in settings.agents.items():
        instead = [each.instead] if each.instead else []
        where = ("agents", name, "instead")
        problems += _unknown(instead, settings.agents.keys(), where, f"the agent {name} has instead of it", at)
    providers = {provider_of(name, each) for name, each in settings.agents.items()}
    for name in settings.providers if settings.agents else ():
        problems += _unknown([name], providers, ("providers", name), "limits are named for the provider", at)
    for index, kind in enumerate(settings.merge.ask_if.kinds):
        problems += _unknown(
            [kind], set(get_args(OrderKind)), ("merge", "ask_if", "kinds", index), "ask_if names the kind", at
        )
    problems += _glob_problems(settings.merge.ask_if.paths, ("merge", "ask_if", "paths"), at)
    problems += guard_problems(settings, at)
    problems += _host_problems(settings, at)
    problems += publish_problems(settings, at)
    return [*problems, *_weaknesses(settings, at)]


def check_roadmap(
    roadmap: Roadmap, settings: Settings | None = None, files: Sequence[str] | None = None, locate: Locate | None = None
) -> list[Problem]:
    """All that is wrong within the roadmap; gates are looked up in `settings`, scopes in `files`, unless None."""
    at = locate or _in_file("roadmap.toml")
    known = _Known(roadmap, settings)
    problems = [
        *_doubles([(("item", n), item.id) for n, item in enumerate(roadmap.item)], "item", at),
        *_doubles([(("work_order", n), order.id) for n, order in enumerate(roadmap.work_order)], "work order", at),
        *_doubles([(("limitation", n), each.id) for n, each in enumerate(roadmap.limitation)], "limitation", at),
    ]
    for index, order in enumerate(roadmap.work_order):
        problems += _order_problems(order, ("work_order", index), known, at)
        if settings is not None and order.role not in ("implementer", *settings.roles):
            problems.append(
                Problem(
                    where=at(("work_order", index, "role")),
                    what=f"work order {order.id} is for the role {order.role}, which no agent has",
                    do=f'add {order.role} = "NAME" under [roles], or take role away',
                    level="warning",
                )
            )
        if (
            files is not None
            and order.allow
            and not order.draft
            and not any(matches(path, order.allow) for path in files)
        ):
            problems.append(
                Problem(
                    where=at(("work_order", index, "allow")),
                    what=f"allow of {order.id} matches no file of the repository",
                    do="mend the globs, unless the order only adds files",
                    level="warning",
                )
            )
    wanted = next((n for n, order in enumerate(roadmap.work_order) if not (order.draft or order.owner)), None)
    if settings is not None and wanted is not None and not (settings.roles or settings.agents):
        problems += _nobody_works(settings, at(("work_order", wanted)))
    problems += _cycle(
        {order.id: order.depends_on for order in roadmap.work_order},
        {order.id: ("work_order", n, "depends_on") for n, order in enumerate(roadmap.work_order)},
        at,
    )
    return problems


class _Known:
    """The names that a work order may use."""

    def __init__(self, roadmap: Roadmap, settings: Settings | None) -> None:
        self.items = {item.id for item in roadmap.item}
        self.orders = {order.id for order in roadmap.work_order}
        self.waiting = {order.id for order in roadmap.work_order if order.draft}
        self.limitations = {each.id for each in roadmap.limitation}
        self.gates = None if settings is None else {gate.name for gate in settings.gate}


def _order_problems(order: WorkOrder, here: Loc, known: _Known, at: Locate) -> list[Problem]:
    problems = _id_problems(order.id, (*here, "id"), at)
    if order.item:
        problems += _unknown(
            [order.item], known.items, (*here, "item"), f"work order {order.id} belongs to the item", at
        )
    problems += _unknown(order.depends_on, known.orders, (*here, "depends_on"), f"work order {order.id} depends on", at)
    problems += _unknown(
        order.resolves, known.limitations, (*here, "resolves"), f"work order {order.id} resolves the limitation", at
    )
    if known.gates is not None:
        problems += _unknown(order.gates, known.gates, (*here, "gates"), f"work order {order.id} asks for the gate", at)
    for key in ("allow", "deny", "touches"):
        problems += _glob_problems(getattr(order, key), (*here, key), at)
    if not order.draft and (drafts := sorted(known.waiting.intersection(order.depends_on))):
        problems.append(
            Problem(
                where=at((*here, "depends_on")),
                what=f"work order {order.id} waits for the draft {drafts[0]}, which is never started",
                do=f"take draft = true away from {drafts[0]}, or the dependency",
                level="warning",
            )
        )
    return problems


def _id_problems(order_id: str, loc: Loc, at: Locate) -> list[Problem]:
    """An id becomes a part of branch and folder names, which git and Windows restrict further."""
    if ".." in order_id or order_id.endswith((".", ".lock")):
        reason = "cannot be part of a branch name"
    elif order_id.split(".")[0] in _WINDOWS_DEVICES:
        reason = "is the name of a device on Windows"
    else:
        return []
    return [Problem(where=at(loc), what=f'the id "{order_id}" {reason}', do="choose another id")]


def _weaknesses(settings: Settings, at: Locate) -> list[Problem]:
    problems: list[Problem] = []
    if not settings.gate:
        problems.append(
            Problem(
                where=at(("gate",)),
                what="there is no gate, so nothing is proved",
                do="add a [[gate]] that can fail",
                level="warning",
            )
        )
    for index, gate in enumerate(settings.gate):
        if gate.kind in _TEST_KINDS and gate.results == "none" and gate.run:
            problems.append(
                Problem(
                    where=at(("gate", index)),
                    what=f"the tests of gate {gate.name} are not counted, so zero tests would be green",
                    do="say with results which runner it is",
                    level="warning",
                )
            )
    if settings.roles or settings.agents:  # who has neither may want the gates alone
        problems += _nobody_works(settings, at(("roles",)))
    return problems


def _host_problems(settings: Settings, at: Locate) -> list[Problem]:
    return [
        Problem(
            where=at(("agents", name, "network", n)),
            what=f"the host {sanitise_line(entry)!a} of agent {name} allows nothing: {wrong}",
            do='write "api.example.com", "api.example.com:8443", "*.example.com" or "localhost:11434"',
        )
        for name, agent in settings.agents.items()
        for n, entry in enumerate(agent.network)
        if (wrong := host_problem(entry))
    ]


def _nobody_works(settings: Settings, where: str) -> list[Problem]:
    if "implementer" in settings.roles:
        return []
    what = "no agent has the role implementer, so no work order can start"
    do = 'add implementer = "NAME" under [roles] and the agent under [agents.NAME]'
    return [Problem(where=where, what=what, do=do, level="warning")]


def _doubles(names: Iterable[tuple[Loc, str]], noun: str, at: Locate) -> list[Problem]:
    names = list(names)
    counts = Counter(name for _, name in names)
    first: dict[str, Loc] = {}
    problems: list[Problem] = []
    for loc, name in names:
        if counts[name] > 1 and name in first:
            problems.append(
                Problem(
                    where=at(loc),
                    what=f'there is another {noun} "{name}" at {at(first[name])}',
                    do="rename one of them",
                )
            )
        first.setdefault(name, loc)
    return problems


def _unknown(names: Iterable[str], known: Set[str], loc: Loc, saying: str, at: Locate) -> list[Problem]:
    return [
        Problem(where=at(loc), what=f'{saying} "{name}", which does not exist', do=closest(name, known))
        for name in names
        if name not in known
    ]


def _glob_problems(globs: Sequence[str], loc: Loc, at: Locate) -> list[Problem]:
    return [problem for n, glob in enumerate(globs) for problem in glob_problem(glob, (*loc, n), at)]


def _cycle(edges: Mapping[str, Sequence[str]], places: Mapping[str, Loc], at: Locate) -> list[Problem]:
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        ring: list[str] = list(reversed(error.args[1]))  # graphlib gives predecessors first
        start = min(range(len(ring) - 1), key=lambda n: list(edges).index(ring[n]))
        ring = [*ring[start:-1], *ring[: start + 1]]
        return [Problem(where=at(places[ring[0]]), what=f"a cycle: {' -> '.join(ring)}", do="take one of these away")]
    return []


def _in_file(name: str) -> Locate:
    return lambda loc: name
