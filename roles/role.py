"""What all roles share: the task of one attempt, and its prompt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any, cast

from engine.errors import UserError
from engine.models.handoffs import DesignContract, Handoff, HandoffError, parse_handoff
from engine.models.settings import Gate, RoleName
from engine.models.task import GrantedOperation, Task
from engine.ports import TaskRequest
from engine.text.sanitise import sanitise_line
from roles.quoting import listed, quoted

Names = dict[str, str]


def _required(_changed_paths: Sequence[str]) -> Handoff:
    raise HandoffError("nothing was handed in: write the handoff to the path in SWARM_HANDOFF")


@dataclass(frozen=True)
class Role:
    """One role. `names`: what its prompt may ask for beside what every prompt may. `without`: what stands for a
    handoff that was not left; raises HandoffError where there has to be one."""

    name: RoleName
    names: Callable[[Task], Names]
    without: Callable[[Sequence[str]], Handoff] = _required

    def task(self, request: TaskRequest, gates: Sequence[Gate], template: str | None = None) -> Task:
        """The task of one attempt, its prompt rendered. An agent learns no more than what is here.

        template: the user's own prompt. Raises UserError when that cannot be rendered.
        """
        order = request.order
        counted = [gate for gate in gates if gate.name in order.gates or (not order.gates and "land" in gate.when)]
        task = Task(
            role=self.name,
            work_order=order,
            attempt=request.attempt,
            contract=dict(request.contract),
            scope={"allow": list(order.allow), "deny": list(order.deny), "touches": list(order.touches)},
            gates=[{"name": gate.name, "kind": gate.kind, "run": list(gate.run)} for gate in counted],
            last_report=list(request.feedback),
            granted=list(request.granted),
            about=dict(request.about),
        )
        return task.model_copy(update={"prompt": self.render(task, template)})

    def render(self, task: Task, template: str | None = None) -> str:
        """The prompt of a task. A name that the template has and we do not, or a stray `$`, is an error, never a gap.

        Raises UserError for a user's template; our own are rendered by tests.
        """
        text = self.own_template() if template is None else template
        known = _common(task) | self.names(task)
        try:
            return Template(text).substitute(known)
        except KeyError as error:
            names = ", ".join(sorted(known))
            raise UserError(
                f"{prompt_path(self.name)} asks for ${error.args[0]}, which is not known: use one of {names}."
            ) from error
        except ValueError as error:
            raise UserError(
                f"{prompt_path(self.name)} cannot be rendered ({error}): write $$ for a plain dollar sign."
            ) from error

    def own_template(self) -> str:
        """The prompt that comes with the product."""
        return Path(__file__).with_name("prompts").joinpath(f"{self.name}.md").read_text(encoding="utf-8")

    def handoff(self, raw: bytes | None, changed_paths: Sequence[str]) -> Handoff:
        """What was handed in. Raises HandoffError with what was wrong, for the agent to read."""
        return self.without(changed_paths) if raw is None else parse_handoff(raw, self.name)


def prompt_path(role: str) -> str:
    """Where a user puts his own prompt of a role, in his repository."""
    return f"roles/prompts/{role}.md"


def gates_of(task: Task) -> str:
    return listed((f"{gate['name']}: {' '.join(gate['run'])}" for gate in task.gates), "- no gate is defined")


def proofs_of(task: Task) -> str:
    """The tests, commands and the repro that the order names."""
    order = task.work_order
    acceptance = [f"{one.name}: {' '.join(one.run)}" for one in order.acceptance]
    tests = [*order.tests, *acceptance, *([f"repro: {' '.join(order.repro)}"] if order.repro else [])]
    return listed(tests, "- none is named")


def text_of(task: Task, name: str) -> str:
    """A text of `Task.about`, on one line."""
    return sanitise_line(str(task.about.get(name, "")))


def _common(task: Task) -> Names:
    order = task.work_order
    return {
        "order_id": order.id,
        "attempt": str(task.attempt),
        "title": quoted(order.title),
        "goal": quoted(order.goal),
        "allow": listed(order.allow, "- anything but protected files"),
        "deny": listed(order.deny, "- nothing is named"),
        "contract": quoted("\n".join(_contract(task.contract))) if task.contract else "(there is none)",
        "last_report": quoted("\n".join(task.last_report)) if task.last_report else "(this is the first attempt)",
        "granted": listed((_answer(one) for one in task.granted), "(you asked for nothing)"),
    }


def _contract(contracts: Mapping[str, Any]) -> Iterator[str]:
    for order, fields in contracts.items():
        said = DesignContract.model_validate(cast("dict[str, Any]", fields))
        yield f"{order}: {said.summary}"
        yield from (f"interface: {each}" for each in said.interfaces)
        yield from (f"invariant: {each}" for each in said.invariants)
        yield from (f"module {name}: {glob}" for name, glob in said.module_map.items())
        yield from (f"{each.from_} may not depend on {each.may_not}" for each in said.forbidden_imports)
        yield from (f"migration: {each}" for each in said.migration)


def _answer(granted: GrantedOperation) -> str:
    ran = "" if granted.exit_code is None else f", run with exit code {granted.exit_code}"
    ran += f", {sanitise_line(granted.did)}" if granted.did else ""
    why = f" ({sanitise_line(granted.why)})" if granted.why else ""
    return f"{' '.join(granted.operation.argv)}: {granted.answer}{ran}{why}"
