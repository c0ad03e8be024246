"""What agents propose: whether work orders can be taken on, and what a contract forbids. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from engine.checks import check_roadmap
from engine.masks import is_masked
from engine.models.handoffs import DesignContract, HandoffError
from engine.models.roadmap import Item, Roadmap, WorkOrder
from engine.models.settings import Settings
from engine.scope import fault
from engine.text.sanitise import sanitise_line
from engine.toml_lines import Loc

OWN_PREFIXES = ("plan-", "contract-", "tests-", "stress-", "docs-", "triage-", "build-", "bug-", "restore-", "person-")
"""How ids begin that the swarm makes itself."""
_MAY_PROPOSE = ("implementer", "architect", "scribe")


def checked(
    proposed: Sequence[WorkOrder],
    by: WorkOrder,
    known: Mapping[str, WorkOrder],
    items: Collection[Item],
    settings: Settings,
) -> list[WorkOrder]:
    """The orders as they would be added: of the proposing order's item, and "API first": what is no contract waits for
    the contracts beside it.

    known: all work orders by id. Raises HandoffError with the first thing that is wrong, for the agent to read.
    """
    if wrong := next((said for order in proposed if (said := _wrong(order, known))), ""):
        raise HandoffError(wrong)
    contracts = [order.id for order in proposed if order.kind == "contract"]
    orders = [_placed(order, by, contracts) for order in proposed]
    # The proposed ones first: a circle is told at the first order in it.
    whole = Roadmap(item=list(items), work_order=[*orders, *(_bare(order) for order in known.values())])

    def place(loc: Loc) -> str:
        ours = loc[0] == "work_order" and int(loc[1]) < len(orders)
        return f"your order {int(loc[1]) + 1}" if ours else ""

    for problem in check_roadmap(whole, settings, locate=place):
        if problem.level == "error" and problem.where:
            raise HandoffError(f"{problem.where}: {sanitise_line(problem.what)}: {sanitise_line(problem.do)}")
    return orders


def _wrong(order: WorkOrder, known: Mapping[str, WorkOrder]) -> str:
    if order.id in known:
        return f"there is a work order {order.id} already: choose another id"
    if order.id.startswith(OWN_PREFIXES):
        return f"the id {order.id} begins as those that the swarm makes itself: choose another id"
    if order.draft or order.owner:
        return f"work order {order.id} is a draft or somebody's own, so nobody would do it: leave draft and owner away"
    if secret := [glob for glob in order.allow if is_masked(glob.rpartition("/")[2])]:
        return f"work order {order.id} names {secret[0]}, which is hidden from agents: only a person may open it"
    if order.role not in _MAY_PROPOSE:
        return f"work order {order.id} is for the role {order.role}, which the swarm calls by itself: leave role away"
    return ""


def _placed(order: WorkOrder, by: WorkOrder, contracts: Sequence[str]) -> WorkOrder:
    first = [] if order.kind == "contract" else [name for name in contracts if name not in order.depends_on]
    return order.model_copy(update={"item": by.item, "depends_on": [*order.depends_on, *first]})


def _bare(order: WorkOrder) -> WorkOrder:
    """What is known already is not judged again: only its name and what it waits for count."""
    return WorkOrder(id=order.id, title=order.title, depends_on=order.depends_on, draft=order.draft)


def boundaries(contract: DesignContract) -> list[dict[str, str]]:
    """The imports that a contract forbids, as boundaries of the settings; names of its module map are their globs.

    Raises HandoffError for a glob that cannot mean what it says.
    """
    found: list[dict[str, str]] = []
    for each in contract.forbidden_imports:
        ends = [contract.module_map.get(name, name) for name in (each.from_, each.may_not)]
        for glob in ends:
            if wrong := fault(glob):
                raise HandoffError(f"forbidden_imports: {sanitise_line(glob)!a} {wrong}")
        if ends[0] == ends[1]:
            raise HandoffError(f"forbidden_imports: {sanitise_line(ends[0])!a} is kept from itself: take that out")
        found.append({"from": ends[0], "may_not": ends[1]})
    return found
