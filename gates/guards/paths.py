"""Guard "paths": a change stays within its work order's scope."""

from __future__ import annotations

from engine.models.report import GuardResult
from engine.scope import in_scope
from gates.guards.guard import Judged, shown


class PathsGuard:
    """Every changed path, deleted ones too, is matched by `allow` and by no `deny`; an empty `allow` is everything."""

    name = "paths"

    def judge(self, change: Judged) -> GuardResult:
        request = change.request
        outside = [row.path for row in change.rows if not in_scope(row.path, request.allow, request.deny)]
        if not outside:
            return GuardResult(rule=self.name, ok=True)
        scope = ", ".join(request.allow) or "the whole repository"
        but = f" but not {', '.join(request.deny)}" if request.deny else ""
        reason = f"{shown(outside)} is outside the scope of {request.work_order}, which is {scope}{but}."
        return GuardResult(rule=self.name, ok=False, reason=reason, paths=outside)
