"""The triager. By rule: a confirmed regression becomes a bug work order, the same one for the same facts. By an agent:
the words for failures that were clustered by rule, see `engine.planner.clusters`."""

from __future__ import annotations

from typing import Any

from engine.models.roadmap import WorkOrder, order_id
from engine.ports import Regression
from engine.text.sanitise import sanitise_line
from roles.quoting import listed, quoted
from roles.role import Role

TITLE_MAX = 200
TESTS = "tests/**"
TRIAGER = Role("triager", lambda _task: {})


class RuleTriager:
    """Implements `engine.ports.Triager` without any model: evidence is quoted, nothing is guessed."""

    def bug_order(self, regression: Regression) -> dict[str, Any]:
        """A fix of priority 1 that asks for a test which fails on the reverted version.

        What is only slower is a refactoring: nothing was taken back, and no test is red. Its scope is the tests and
        what the culprit was allowed; a culprit without limits leaves it without limits.
        """
        allow = list(dict.fromkeys([TESTS, *regression.allow])) if regression.allow else []
        broke = "got worse" if regression.slower else "broke"
        blamed = "little by little" if regression.crept else f"with {regression.work_order}"
        order = WorkOrder(
            id=bug_id(regression.work_order, regression.nth),
            item=regression.item,
            title=f"Regression: {regression.flow} {broke} {blamed}"[:TITLE_MAX],
            kind="refactor" if regression.slower else "fix",
            goal=_slower(regression) if regression.slower else _goal(regression),
            allow=allow,
            rollback="revert; it adds a test and touches no data",
            priority=3 if regression.slower else 1,
        )
        return order.model_dump(mode="json", by_alias=True)


def bug_id(work_order: str, nth: int) -> str:
    """`bug-<work order>-<nth>`, shortened where that would be too long for an id."""
    return order_id("bug-", work_order, f"-{nth}")


def _goal(regression: Regression) -> str:
    sure = "" if regression.probability >= 1 else f" (probability {regression.probability:.2f})"
    commit = regression.commit[:12]
    return f"""\
The canary flow {regression.flow} was green before commit {commit} and red with it{sure}; main has been put back.
{_whose(regression)}

What the canary saw:
{quoted(regression.reason, lines_cap=40)}

{_how_to_see(regression)}

Add a test that fails on the reverted version and passes on main, so that this cannot land again unseen.
If main itself is wrong, mend it too. The reverted version: git show {commit}"""


def _slower(regression: Regression) -> str:
    if regression.crept:
        return f"""\
A sample of the canary flow {regression.flow} has got worse over many landings, by too little each time to be seen
beside the one before. Nobody is blamed, and nothing was taken back.

The medians of the commits that were good:
{quoted(regression.reason, lines_cap=40)}

{_how_to_see(regression)}

Find what costs so much, and make it as good as it was, without a change of behaviour."""
    return f"""\
Samples of the canary flow {regression.flow} are worse at commit {regression.commit[:12]} than before; nothing was taken
back.
{_whose(regression)}

What was measured, both versions in turns on one machine:
{quoted(regression.reason, lines_cap=40)}

{_how_to_see(regression)}

Make it as fast as it was, without a change of behaviour."""


def _whose(regression: Regression) -> str:
    if not regression.suspects:
        title = sanitise_line(regression.title, line_cap=TITLE_MAX)
        return f"The work order was {regression.work_order}: {title}"
    among = listed((commit[:12] for commit in regression.suspects), "")
    return f"It came with one of these commits, which could not be told apart:\n{among}"


def _how_to_see(regression: Regression) -> str:
    left = [f"{name}: {digest}" for name, digest in regression.artifacts.items()]
    kept = f"\nWhat that run left, in the artifact store:\n{listed(left, '')}" if left else ""
    return f"To see it: swarm canary {regression.commit}{kept}"
