"""Guard "size": no file larger than `max_file`."""

from __future__ import annotations

from engine.models.report import GuardResult
from gates.guards.guard import Judged, verdict


class SizeGuard:
    """Only added and changed files count; `max_file` is in bytes."""

    name = "size"

    def judge(self, change: Judged) -> GuardResult:
        most = change.request.guards.max_file
        large = [row.path for row in change.rows if not row.gone and row.size > most]
        reason = f"{{}} is larger than {most} bytes; raise max_file in swarm.toml if that is meant."
        return verdict(self.name, large, reason, ask="large_file")
