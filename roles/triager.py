"""The triager by rule: a confirmed regression becomes a bug work order, the same one for the same facts."""

from __future__ import annotations

import hashlib
from typing import Any

from engine.models.roadmap import WorkOrder
from engine.ports import Regression
from engine.text.sanitise import sanitise_line
from roles.quoting import quoted

ID_MAX = 64
TITLE_MAX = 200
TESTS = "tests/**"


class RuleTriager:
    """Implements `engine.ports.Triager` without any model: evidence is quoted, nothing is guessed."""

    def bug_order(self, regression: Regression) -> dict[str, Any]:
        """A fix of priority 1 that asks for a test which fails on the reverted version.

        Its scope is the tests and what the culprit was allowed; a culprit without limits leaves it without limits.
        """
        allow = list(dict.fromkeys([TESTS, *regression.allow])) if regression.allow else []
        order = WorkOrder(
            id=bug_id(regression.work_order, regression.nth),
            item=regression.item,
            title=f"Regression: {regression.flow} broke with {regression.work_order}"[:TITLE_MAX],
            kind="fix",
            goal=_goal(regression),
            allow=allow,
            rollback="revert; it adds a test and touches no data",
            priority=1,
        )
        return order.model_dump(mode="json", by_alias=True)


def bug_id(work_order: str, nth: int) -> str:
    """`bug-<work order>-<nth>`, shortened with a digest in its middle where that would be too long for an id."""
    whole = f"bug-{work_order}-{nth}"
    if len(whole) <= ID_MAX:
        return whole
    digest = hashlib.sha256(work_order.encode("utf-8")).hexdigest()[:8]
    room = ID_MAX - len(f"bug---{nth}") - len(digest)
    return f"bug-{work_order[:room]}-{digest}-{nth}"


def _goal(regression: Regression) -> str:
    sure = "" if regression.probability >= 1 else f" (probability {regression.probability:.2f})"
    title = sanitise_line(regression.title, line_cap=TITLE_MAX)
    commit = regression.commit[:12]
    return f"""\
The canary flow {regression.flow} was green before commit {commit} and red with it{sure}; main has been put back.
The work order was {regression.work_order}: {title}

What the canary saw:
{quoted(regression.reason, lines_cap=40)}

Add a test that fails on the reverted version and passes on main, so that this cannot land again unseen.
If main itself is wrong, mend it too. The reverted version: git show {commit}"""
