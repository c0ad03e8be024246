"""The roles beside the implementer: which orders are theirs, which are added by rule, and which wait to be accepted.

Each rule adds an order once, under an id that follows from what it is about, and for one role at most one at a time
(but for tests, which are written beside their order): a rule that is asked again adds nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from engine.actions import JoinTests
from engine.models.roadmap import WorkOrder, order_id
from engine.models.settings import Boundary, Guards, RoleName
from engine.planner.clusters import clusters
from engine.planner.proposals import loosens, shown
from engine.planner.wishes import Wishes, approval_id
from engine.state import Change, Order, State

TEST_FILES = (
    "tests/**", "test/**", "**/tests/**", "**/test/**", "**/__tests__/**", "**/test_*", "**/*_test.*", "**/*.test.*",
    "**/*.spec.*", "spec/**", "**/*Test.*",
)  # fmt: skip
"""Where tests stand, by the usual names."""
DOCUMENTS = ("docs/**", "doc/**", "adr/**", "decisions/**", "*.md", "**/README.md")
SLOW_MINUTES = 5.0
"""A gate that takes as long is worth a look."""
_LANDED = ("landed", "healthy")
_OVER = ("landed", "healthy", "cancelled", "parked")
_TESTED = ("feature", "fix")


def role_of(order: WorkOrder, roles: Mapping[RoleName, str]) -> RoleName:
    """Who does the order: what it says; a contract is the architect's where there is one."""
    if order.role == "implementer" and order.kind == "contract" and "architect" in roles:
        return "architect"
    return order.role


def contracts_of(state: State, order: WorkOrder) -> list[Order]:
    """The Design Contracts on main that an order stands under: of its item, and those that it depends on. May be asked
    in a thread, as the next one."""
    return [
        one
        for one in list(state.orders.values())
        if one.spec.kind == "contract"
        and one.handoff
        and one.phase in _LANDED
        and one.spec.id != order.id
        and (one.spec.id in order.depends_on or (order.item and one.spec.item == order.item))
    ]


def under_contract(guards: Guards, state: State, order: WorkOrder) -> Guards:
    """The guards with what these contracts forbid beside the settings."""
    more = [Boundary.model_validate(each) for one in contracts_of(state, order) for each in one.forbidden]
    return guards.model_copy(update={"boundaries": [*guards.boundaries, *more]}) if more else guards


def tests_of(state: State, order: str) -> Order | None:
    """The verifier's order for this one."""
    return next((each for each in list(state.orders.values()) if each.tests_for == order), None)


def allowed(state: State, order: WorkOrder, change: Change) -> tuple[str, ...]:
    """The order's scope, with the tests in it that the verifier wrote for it and that the change holds."""
    tests = tests_of(state, order.id) if change.joined and order.allow else None
    return (*order.allow, *(tests.done["paths"] if tests is not None else ()))


def named(state: State, order: WorkOrder) -> tuple[str, ...]:
    """The globs of the order that a person wrote, or took on: nobody else's may name a protected file."""
    known = state.orders.get(order.id)
    mine = known is None or known.source == "roadmap"
    taken = (a for a in state.approvals.values() if a.danger == "proposal" and a.order == order.id)
    return tuple(order.allow) if mine or any(a.status in ("approved", "used") for a in taken) else ()


# -- what agents propose ---------------------------------------------------------------------------------------------


def waits_for_acceptance(wishes: Wishes, order: Order) -> bool:
    """Whether a proposed order may not begin yet: a person is asked, unless settings accept what loosens nothing."""
    if not order.proposed_by:
        return False
    why = loosens(order.spec)
    if wishes.settings.coordinator.accept and not why:
        return False
    operation = {"argv": ["take", order.spec.id], "order": order.spec.model_dump(mode="json", by_alias=True)}
    ident = approval_id("proposal", order.spec.id, str(operation["order"]))
    approval = wishes.state.approvals.get(ident)
    if approval is None:
        said = f"{order.proposed_by} proposes it" + (f"; {why}" if why else "")
        title = f"take on the proposed work order {order.spec.id}"
        facts = shown(order.spec)
        wishes.ask(ident, "proposal", title, said, order.spec.id, operation, order.spec.id, facts=facts)
    elif approval.status == "denied":
        wishes.record("work_order_cancelled", order.spec.id, by=approval.by or "a person")
    elif approval.status == "expired":
        do = f"swarm retry {order.spec.id} takes it on, swarm cancel {order.spec.id} drops it"
        wishes.park(order, "it was proposed, and nobody answered in time", do)
    return approval is None or approval.status != "approved"


# -- tests beside the implementation ---------------------------------------------------------------------------------


def tests_come_first(wishes: Wishes, change: Change) -> bool:
    """Whether a proposed change waits for the tests that are written for its order, or for their joining it."""
    tests = tests_of(wishes.state, change.order) if change.order and not change.person else None
    if tests is None or tests.phase in ("parked", "cancelled"):
        return False
    head = tests.done.get("head", "")
    if tests.phase != "healthy":
        return True
    if not head or change.joined == head:
        return False
    effect = f"join:{change.id}"
    if not wishes.attempt(effect, lambda key: JoinTests(key, effect, change.id, tests.spec.id)):
        wishes.park_failed(change.order, effect)
    return True


# -- orders by rule --------------------------------------------------------------------------------------------------


def role_orders(wishes: Wishes) -> None:
    """Orders of the roles that the settings give to an agent."""
    state, given = wishes.state, wishes.settings.roles
    if given.keys() <= {"implementer"} or state.paused or state.draining or state.low_disk:
        return
    if "coordinator" in given:
        _intake(wishes)
    if "verifier" in given:
        _tests(wishes)
    for role, rule in (("builder", _builds), ("triager", _triage), ("scribe", _documents)):
        if role in given and not _busy(state, role):
            rule(wishes)


def _busy(state: State, role: str) -> bool:
    mine = (each for each in state.orders.values() if each.source == "swarm" and each.spec.role == role)
    return any(each.phase not in _OVER for each in mine)


def _add(wishes: Wishes, order: WorkOrder, because: str, tests_for: str = "") -> None:
    if order.id not in wishes.state.orders:
        raw = order.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        more = {"tests_for": tests_for} if tests_for else {}
        wishes.record("work_order_added", order.id, order.id, order=raw, because=because, **more)


def _intake(wishes: Wishes) -> None:
    """An item that has no work orders is planned; where there is an architect, once its contract has landed."""
    state = wishes.state
    planned = {
        each.spec.item for each in state.orders.values() if each.spec.id != order_id("contract-", each.spec.item)
    }
    for item in state.items.values():
        if item.id in planned:
            continue
        plan, contract = order_id("plan-", item.id), order_id("contract-", item.id)
        first: list[str] = []
        if "architect" in wishes.settings.roles:
            first = [contract]
            title, goal = f"Design contract: {item.title}", item.goal
            _add(wishes, _order(contract, item.id, title, goal, "architect", "contract", DOCUMENTS), "it comes first")
        order = _order(plan, item.id, f"Plan: {item.title}", item.goal, "coordinator", "spike", (), first)
        _add(wishes, order, "the item has no work orders")


def _order(
    ident: str,
    item: str,
    title: str,
    goal: str,
    role: RoleName,
    kind: str,
    allow: Iterable[str],
    depends_on: Sequence[str] = (),
) -> WorkOrder:
    return WorkOrder.model_validate(
        {
            "id": ident,
            "item": item,
            "title": title[:200],
            "goal": goal,
            "role": role,
            "kind": kind,
            "allow": list(allow),
            "depends_on": list(depends_on),
            "rollback": "revert; it changes no behaviour",
            "priority": 3,
        }
    )


def _tests(wishes: Wishes) -> None:
    """Tests are written while the order is implemented; what the verifier wants added later, once it has landed."""
    state = wishes.state
    written = {each.tests_for for each in state.orders.values() if each.tests_for}
    for order in state.orders.values():
        spec = order.spec
        fresh = order.phase in ("ready", "running") and not order.attempts and spec.id not in written
        # What the swarm asks for by rule has its own proof: a test that flakes, a regression that main is rid of.
        fresh = fresh and (order.source == "roadmap" or bool(order.proposed_by))
        if fresh and spec.kind in _TESTED and role_of(spec, wishes.settings.roles) == "implementer":
            ident, title = order_id("tests-", spec.id), f"Tests: {spec.title}"
            tests = _order(ident, spec.item, title, _what(order), "verifier", spec.kind, TEST_FILES)
            tests = tests.model_copy(
                update={"priority": spec.priority, "deny": list(spec.deny), "depends_on": list(spec.depends_on)}
            )
            _add(wishes, tests, f"{spec.id} begins", spec.id)
        elif order.tests_for and order.done.get("later"):
            landed, ident = state.orders.get(order.tests_for), order_id("stress-", order.tests_for)
            if landed is not None and landed.phase in _LANDED and ident not in state.orders:
                title = f"Stress tests and goldens: {landed.spec.title}"
                goal = "\n".join(["The verifier of the change that landed wants added:", *order.done["later"]])
                later = _order(ident, spec.item, title, goal, "verifier", "refactor", (*TEST_FILES, "canary/**"))
                _add(wishes, later, f"{order.tests_for} has landed")


def _what(order: Order) -> str:
    """The order's goal and what it names as its proof."""
    spec = order.spec
    named = [*spec.tests, *(" ".join(each.run) for each in spec.acceptance), *([" ".join(spec.repro)])]
    return "\n".join([spec.goal or spec.title, *(f"Named as its proof: {each}" for each in named if each)])


def _builds(wishes: Wishes) -> None:
    """The slowest gate, when it is slow: again only when it takes twice as long as when that was last asked."""
    minutes = {name: took for name, took in wishes.state.learned.minutes.items() if took >= SLOW_MINUTES}
    if not minutes:
        return
    gate = max(minutes, key=lambda name: (minutes[name], name))
    size = int(minutes[gate] / SLOW_MINUTES).bit_length()
    goal = "\n".join(f"gate {name}: {took:.1f} minutes" for name, took in sorted(minutes.items()))
    ident = order_id("build-", gate.lower(), f"-{size}")
    _add(wishes, _order(ident, "", f"Make the gate {gate} faster", goal, "builder", "refactor", ()), "it is slow")


def _triage(wishes: Wishes) -> None:
    for cluster in clusters(wishes.state):
        ident = f"triage-{cluster.digest}"
        if ident not in wishes.state.orders:
            goal = "\n".join(["These failed with the same words, but for numbers:", *cluster.lines])
            title = f"What {len(cluster.whose)} failures have in common"
            _add(wishes, _order(ident, "", title, goal, "triager", "spike", ()), "they failed alike")
            return


def _documents(wishes: Wishes) -> None:
    """What became healthy since documents were last asked for, all at once; before that, since this engine started."""
    state = wishes.state
    mine = [each for each in state.orders.values() if each.source == "swarm" and each.spec.role == "scribe"]
    since = max((each.ready_at for each in mine), default=state.started_at)
    told = [
        each
        for each in state.orders.values()
        if each.phase == "healthy" and each.since > since and each.change and each.spec.kind in ("feature", "contract")
    ]
    if told:
        newest = max(told, key=lambda each: (each.since, each.spec.id))
        rows = [f"{each.spec.id}: {each.spec.title}" for each in told]
        goal = "\n".join(["These landed and are healthy:", *rows])
        ident = order_id("docs-", newest.spec.id)
        title = f"Write down what landed: {newest.spec.title}"
        _add(wishes, _order(ident, newest.spec.item, title, goal, "scribe", "docs", DOCUMENTS), "it landed")
