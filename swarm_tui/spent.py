"""What was spent, in words: what nobody said is unknown, and a sum that lacks it is a lower bound. Pure."""

from __future__ import annotations

from engine.models.status import Status

UNKNOWN = "unknown"


def at_least(amount: str, unknown: int) -> str:
    """A sum in which `unknown` runs are missing."""
    return f"≥ {amount}" if unknown else amount


def sum_text(amount: str, *, runs: int, unknown: int) -> str:
    """A sum over `runs` of which `unknown` said nothing."""
    if not unknown:
        return amount
    if unknown >= runs:
        return UNKNOWN
    return f"{at_least(amount, unknown)}, {unknown:,} run{'s' * (unknown != 1)} unknown"


def status_lines(status: Status) -> list[str]:
    """What was spent tonight and in all, for `swarm status`; nothing before the first run has ended."""
    if not status.runs_ended:
        return []
    night, limit = status.budgets["night"], status.budgets["cost_per_night"]
    of = f" of {limit:.2f}" if limit else ""
    runs = int(night["runs"])
    cost = sum_text(f"{status.budgets['cost_tonight']:.2f}", runs=runs, unknown=int(night["untold_cost"]))
    tokens = sum_text(f"{night['tokens']:.0f}", runs=runs, unknown=int(night["untold_tokens"]))
    ended = status.runs_ended
    costs = sum_text(f"{status.cost:.2f}", runs=ended, unknown=status.runs_without_cost)
    all_tokens = sum_text(str(status.tokens), runs=ended, unknown=status.runs_without_tokens)
    return [f"cost       tonight {cost}{of}; in all {costs}", f"tokens     tonight {tokens}; in all {all_tokens}"]
