"""All seven roles as the engine is given them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from engine.models.handoffs import Handoff
from engine.models.settings import Gate, RoleName
from engine.models.task import Task
from engine.ports import TaskRequest
from roles.architect import ARCHITECT
from roles.builder import BUILDER
from roles.coordinator import COORDINATOR
from roles.implementer import IMPLEMENTER
from roles.role import Role, prompt_path
from roles.scribe import SCRIBE
from roles.triager import TRIAGER
from roles.verifier import VERIFIER

__all__ = ["ROLES", "PromptedRoles", "prompt_path"]

ROLES: Mapping[RoleName, Role] = {
    role.name: role for role in (COORDINATOR, ARCHITECT, IMPLEMENTER, VERIFIER, BUILDER, TRIAGER, SCRIBE)
}


@dataclass(frozen=True)
class PromptedRoles:
    """Implements `engine.ports.Roles`. Both are asked anew for each task, because people edit them at any time.

    gates: the settings' gates. template: the user's own prompt of a role (the content of `prompt_path` on main), or
    None.
    """

    gates: Callable[[], Sequence[Gate]]
    template: Callable[[str], str | None] = lambda _role: None

    def task(self, request: TaskRequest) -> Task:
        return ROLES[request.role].task(request, self.gates(), self.template(request.role))

    def handoff(self, role: RoleName, raw: bytes | None, changed_paths: Sequence[str]) -> Handoff:
        return ROLES[role].handoff(raw, changed_paths)
