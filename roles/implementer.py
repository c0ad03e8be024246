"""The implementer: what it is told, and what its handoff says. What it does is the agent's own affair."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from engine.errors import UserError
from engine.models.handoffs import Abort, ChangeSummary, HandoffError, parse_handoff
from engine.models.roadmap import WorkOrder
from engine.models.settings import Gate
from engine.models.task import GrantedOperation, Task
from engine.text.sanitise import sanitise_line
from roles.quoting import listed, quoted

ROLE = "implementer"
PROMPT_PATH = "roles/prompts/implementer.md"
"""Where a user puts his own prompt, in his repository."""
PATHS_IN_SUMMARY = 20


@dataclass(frozen=True)
class PromptedImplementer:
    """Implements `engine.ports.Implementer`. Both are asked anew for each task, because people edit them at any time.

    gates: the settings' gates. template: the user's own prompt (the content of PROMPT_PATH on main), or None.
    """

    gates: Callable[[], Sequence[Gate]]
    template: Callable[[], str | None] = lambda: None

    def task(
        self, order: WorkOrder, attempt: int, feedback: Sequence[str], granted: Sequence[GrantedOperation]
    ) -> Task:
        """See `build_task`."""
        return build_task(order, attempt, self.gates(), feedback, granted, self.template())

    def summary(self, handoff: bytes | None, changed_paths: Sequence[str]) -> ChangeSummary | Abort:
        """See `summary_of`."""
        return summary_of(handoff, changed_paths)


def build_task(
    order: WorkOrder,
    attempt: int,
    gates: Sequence[Gate],
    feedback: Sequence[str] = (),
    granted: Sequence[GrantedOperation] = (),
    template: str | None = None,
) -> Task:
    """The task of one attempt, its prompt rendered. Raises UserError when the user's own template cannot be rendered.

    feedback: what the last attempt was told, the most important first. An agent learns no more than what is here.
    """
    counted = [gate for gate in gates if gate.name in order.gates or (not order.gates and "land" in gate.when)]
    task = Task(
        role=ROLE,
        work_order=order,
        attempt=attempt,
        scope={"allow": list(order.allow), "deny": list(order.deny), "touches": list(order.touches)},
        gates=[{"name": gate.name, "kind": gate.kind, "run": list(gate.run)} for gate in counted],
        last_report=list(feedback),
        granted=list(granted),
    )
    return task.model_copy(update={"prompt": render(task, template)})


def render(task: Task, template: str | None = None) -> str:
    """The prompt of a task. A name that the template has and we do not, or a stray `$`, is an error, never a gap.

    Raises UserError for a user's template; our own is rendered by a test.
    """
    text = own_template() if template is None else template
    try:
        return Template(text).substitute(_names(task))
    except KeyError as error:
        known = ", ".join(sorted(_names(task)))
        raise UserError(f"{PROMPT_PATH} asks for ${error.args[0]}, which is not known: use one of {known}.") from error
    except ValueError as error:
        raise UserError(f"{PROMPT_PATH} cannot be rendered ({error}): write $$ for a plain dollar sign.") from error


def own_template() -> str:
    """The prompt that comes with the product."""
    return Path(__file__).with_name("prompts").joinpath("implementer.md").read_text(encoding="utf-8")


def _names(task: Task) -> dict[str, str]:
    order = task.work_order
    acceptance = [f"{one.name}: {' '.join(one.run)}" for one in order.acceptance]
    tests = [*order.tests, *acceptance, *([f"repro: {' '.join(order.repro)}"] if order.repro else [])]
    return {
        "order_id": order.id,
        "attempt": str(task.attempt),
        "title": quoted(order.title),
        "goal": quoted(order.goal),
        "allow": listed(order.allow, "- anything but protected files"),
        "deny": listed(order.deny, "- nothing is named"),
        "gates": listed((f"{gate['name']}: {' '.join(gate['run'])}" for gate in task.gates), "- no gate is defined"),
        "tests": "These are red now and must be green with your change:\n" + listed(tests, "- none is named"),
        "last_report": quoted("\n".join(task.last_report)) if task.last_report else "(this is the first attempt)",
        "granted": listed((_answer(one) for one in task.granted), "(you asked for nothing)"),
    }


def _answer(granted: GrantedOperation) -> str:
    ran = "" if granted.exit_code is None else f", run with exit code {granted.exit_code}"
    ran += f", {sanitise_line(granted.did)}" if granted.did else ""
    why = f" ({sanitise_line(granted.why)})" if granted.why else ""
    return f"{' '.join(granted.operation.argv)}: {granted.answer}{ran}{why}"


def summary_of(handoff: bytes | None, changed_paths: Sequence[str]) -> ChangeSummary | Abort:
    """What an agent's handoff says; without one, a minimal summary made from the changed paths.

    Raises HandoffError with what was wrong, for the agent to read.
    """
    if handoff is None:
        named = ", ".join(sanitise_line(path, line_cap=200) for path in changed_paths[:PATHS_IN_SUMMARY])
        more = len(changed_paths) - PATHS_IN_SUMMARY
        return ChangeSummary(
            summary=f"changes {named}{f' and {more} more' if more > 0 else ''}" if named else "changes nothing",
            risk="not said: the agent handed in nothing",
        )
    said = parse_handoff(handoff, ROLE)
    if not isinstance(said, ChangeSummary | Abort):
        raise HandoffError(f"the handoff is a {type(said).__name__}, not an implementer's")
    return said
