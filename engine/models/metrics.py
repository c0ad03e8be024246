"""What `swarm metrics --json` says and the metrics screen draws. It only grows within a major version.

Unknown is None, never 0: a rate of nothing, a cost that no agent told, a figure that nothing in the journal speaks of
yet. Durations are seconds, `t_s` are seconds since `since`, rates are 0 to 1, costs are in the unit that agents report.
How each figure is counted stands at `engine.metrics.Tally`.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Figures(BaseModel):
    """Readers skip what they do not know: a newer version may say more."""

    model_config = ConfigDict(extra="ignore")


class Spread(Figures):
    """`count` durations: their median and the value that nine in ten do not exceed (linear interpolation)."""

    count: int = 0
    median_s: float | None = None
    p90_s: float | None = None


class Share(Figures):
    """`count` out of `of`; `rate` is unknown while there is nothing to count."""

    count: int = 0
    of: int = 0
    rate: float | None = None


class Deployment(Figures):
    """`healthy_per_day`: of the days observed; less than a day counts as one, so that nothing is extrapolated.

    `uncanaried`: those among `healthy` that no canary has judged, because there are no flows.
    """

    healthy: int = 0
    uncanaried: int = 0
    healthy_per_day: float | None = None
    landed: int = 0
    landed_by_people: int = 0


class ChangeFailure(Share):
    """`unjudged`: landings that no canary has spoken of yet. `unresolved`: red mains for which nobody was blamed."""

    unjudged: int = 0
    unresolved: int = 0


class Restore(Spread):
    """`open_s`: how long main has been red by now, None while it is not."""

    open_s: float | None = None


class FalseRevert(Share):
    """`taken_off`: landings of the swarm that a restore took off main, guilty, innocent or not known."""

    taken_off: int = 0


class Frozen(Figures):
    """Landing was frozen `times` times, `frozen_s` in all; `now`: it is."""

    times: int = 0
    frozen_s: float | None = None
    now: bool = False


class Flow(Figures):
    """How often a canary flow was both red and green on the same commit, of the judgements that it was part of."""

    flow: str
    flaky: int
    judged: int
    rate: float | None = None


class FlakyTest(Figures):
    """A test that failed and passed on the same tree of main in `flakes` of about `runs` runs (after 200 runs both
    counts are halved). `quarantined`: its failures do not count now."""

    test: str
    gate: str
    flakes: int
    runs: int
    rate: float | None = None
    quarantined: bool = False


class GateTime(Spread):
    """`count` runs that were not answered from the cache, `total_s` in all; median and p90 of the newest 1,000."""

    gate: str
    total_s: float = 0.0
    cached: int = 0
    first_pass: Share = Share()


class Effort(Figures):
    """What the runs of one role or one agent took.

    `runs` ended; `attempts` are those that count against their work orders. `landed`: changes on main, for an agent its
    own ones, for a role all of them. `runs_without_cost`: ended runs whose agent told no cost, so `cost` lacks them;
    `runs_without_tokens` alike.
    """

    name: str
    runs: int = 0
    attempts: int = 0
    work_orders: int = 0
    attempts_per_work_order: float | None = None
    landed: int = 0
    tokens: int | None = None
    cost: float | None = None
    tokens_per_landed: float | None = None
    cost_per_landed: float | None = None
    runs_without_cost: int = 0
    runs_without_tokens: int = 0


class Progress(Figures):
    """So many landings, healthy ones and reverted ones until then."""

    t_s: float
    landed: int
    healthy: int
    reverted: int


class Lead(Figures):
    """Lead times of work orders that became healthy by then; of several neighbours the medians."""

    t_s: float
    ready_to_healthy_s: float | None
    commit_to_healthy_s: float | None


class Spent(Figures):
    """All that agents told until then."""

    t_s: float
    tokens: int
    cost: float


class GateWork(Figures):
    """Seconds of gates that really ran until then."""

    t_s: float
    gates_s: float


class Series(Figures):
    """For plots: at most 500 points each. `healthy_per_bucket[i]` began `i * bucket_s` after `since`."""

    progress: list[Progress] = []
    leads: list[Lead] = []
    spent: list[Spent] = []
    gate_work: list[GateWork] = []
    bucket_s: float = 3600.0
    healthy_per_bucket: list[int] = []


class Metrics(Figures):
    """The figures until `until`, over all that the journal has. `since`, `until`: UTC, "" for an empty journal.

    People's own commits are not the swarm's work: they are in `deployment.landed_by_people` and nowhere else.
    """

    seq: int = 0
    since: str = ""
    until: str = ""
    observed_s: float = 0.0
    ready_to_healthy: Spread = Spread()
    commit_to_healthy: Spread = Spread()
    deployment: Deployment = Deployment()
    change_failure: ChangeFailure = ChangeFailure()
    time_to_restore: Restore = Restore()
    rework: Share = Share()
    false_revert: FalseRevert = FalseRevert()
    flaky: Share = Share()
    flows: list[Flow] = []
    tests: list[FlakyTest] = []
    frozen: Frozen = Frozen()
    regression_tests_added: int | None = None
    limitations_resolved_with_a_test: int | None = None
    limitations_resolved_without_a_test: int | None = None
    limitations_listed: int | None = None
    merge_success: Share = Share()
    in_flight: int = 0
    first_pass: Share = Share()
    first_pass_by_kind: dict[str, Share] = {}
    gates: list[GateTime] = []
    effort: Effort = Effort(name="all")
    by_role: list[Effort] = []
    by_agent: list[Effort] = []
    series: Series = Series()
