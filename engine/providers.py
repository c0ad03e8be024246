"""Providers of models: whose limit an agent lives under, who stands in for it, and how long a limit keeps it waiting.

Pure. A provider at its limit is a circuit breaker that is open: nothing starts until its reset time. Then one run tries
(half open); an ordinary end closes it, another limit opens it for twice as long.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from engine.models.settings import AgentSettings, RoleName, Settings
from engine.spending_state import Held, Provider, Spending

BASE_S, MOST_S = 60.0, 3_600.0
"""The pause where nobody said until when: at most BASE_S at first, twice that each further time, at most MOST_S."""
LEAST_S = 5.0
JITTER_S = 30.0
"""At most added to a reset time, so that not everybody comes back in the same second."""
UNBELIEVED = 3
"""Limits in a row after which a reset time alone is not believed."""
BELIEVED_S = 6 * 3_600.0
"""The longest pause. A reset time is an agent's word: one run that tries costs less than a night on a false one."""
DOUBTS = 2
"""So many claims of an order were followed by a run of another one that ended well: its next is not believed."""

_HOSTS = {
    "anthropic.com": "anthropic",
    "claude.ai": "anthropic",
    "openai.com": "openai",
    "chatgpt.com": "openai",
    "googleapis.com": "google",
    "githubcopilot.com": "github",
    "mistral.ai": "mistral",
    "openrouter.ai": "openrouter",
    "dashscope.aliyuncs.com": "qwen",
    "dashscope-intl.aliyuncs.com": "qwen",
    "deepseek.com": "deepseek",
    "groq.com": "groq",
    "x.ai": "xai",
}
_PROGRAMS = {
    "claude": "anthropic",
    "claude-agent-acp": "anthropic",
    "codex": "openai",
    "codex-acp": "openai",
    "gemini": "google",
    "copilot": "github",
    "vibe": "mistral",
    "vibe-acp": "mistral",
    "qwen": "qwen",
}


def provider_of(name: str, agent: AgentSettings) -> str:
    """What the agent's limits are counted by: `provider` of its settings, or else its hosts, or its program. An agent
    of which nothing is known, such as a local server, is a provider of its own."""
    if agent.provider:
        return agent.provider
    for host in (*([agent.base_url] if agent.base_url else []), *agent.network):
        if found := _by_host(host):
            return found
    program = re.split(r"[/\\]", agent.run[0])[-1].lower() if agent.run else ""
    program = re.sub(r"\.(?:exe|cmd|bat|ps1)$", "", program)
    return _PROGRAMS.get(program, name)


def _by_host(entry: str) -> str:
    host = re.sub(r"^[a-z]+://", "", entry.lower()).partition("/")[0].rpartition("@")[2].partition(":")[0]
    return next((known for end, known in _HOSTS.items() if host == end or host.endswith("." + end)), "")


def candidates(settings: Settings, role: RoleName) -> list[str]:
    """The agent of a role and those that stand in for it, in order."""
    found: list[str] = []
    name = settings.roles.get(role, "")
    while name and name not in found:
        found.append(name)
        agent = settings.agents.get(name)
        name = agent.instead if agent else ""
    return found


def agent_for(settings: Settings, spending: Spending, role: RoleName, starting: Collection[Held] = ()) -> str:
    """The first agent of the role whose provider lets another run begin; "" when none does.

    starting: runs that are about to begin. A role without an agent gives its (missing) name: that is told elsewhere.
    """
    names = candidates(settings, role)
    for name in names:
        agent = settings.agents.get(name)
        if agent is None or not why_not(settings, spending, provider_of(name, agent), starting):
            return name
    return "" if names else settings.roles.get(role, "")


def why_not(settings: Settings, spending: Spending, provider: str, starting: Collection[Held] = ()) -> str:
    """Why no run may begin with this provider, as one clause; "" when one may."""
    known = spending.providers.get(provider, Provider())
    if known.paused:
        return f"{provider} is paused: {known.why}"
    rules = settings.providers.get(provider)
    most = rules.concurrency if rules else 0
    if known.strikes:
        most = 1
    runs = sum(held.provider == provider for held in (*spending.held.values(), *starting))
    if most and runs >= most:
        return f"{provider} has {runs} of {most} runs"
    return ""


def pause_until(now: float, resets_at: float | None, strikes: int, chance: float) -> float:
    """Until when a provider that was at its limit is left alone, in UTC seconds like `now`.

    resets_at: what it said; a time that is over is none, and one that is far ahead is not waited for. strikes: limits
    in a row before this one. chance: 0 to 1, at random: full jitter (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
    """
    backoff = min(MOST_S, BASE_S * 2.0 ** min(strikes, 10))
    if resets_at is not None and resets_at > now:
        # Whoever was at its limit again and again does not know when it ends.
        least = now + (backoff / 2 if strikes >= UNBELIEVED else LEAST_S)
        until = max(min(resets_at, now + BELIEVED_S), least)
        return until + min(JITTER_S, until - now) * chance
    return now + LEAST_S + chance * backoff


def runs_of(spending: Spending) -> Mapping[str, int]:
    """Provider -> runs under way."""
    found: dict[str, int] = {}
    for held in spending.held.values():
        found[held.provider] = found.get(held.provider, 0) + 1
    return found


# -- memory ----------------------------------------------------------------------------------------------------------

NEEDS = {"script": 100_000_000, "model": 400_000_000}
USUAL = 900_000_000
"""Bytes that one agent with its tools takes, by kind (seen: 120 to 900 MB)."""
YOUNG_S = 60.0
"""A run that is younger has not taken yet what it will."""


def need_of(settings: Settings, agent: str) -> int:
    """Bytes that a run of this agent is taken to need."""
    known = settings.agents.get(agent)
    return settings.limits.agent_memory or NEEDS.get(known.kind if known else "", USUAL)


def runs_with(available: int, settings: Settings, spending: Spending, now: float) -> int | None:
    """How many more runs fit into so many bytes; None: as many as may run. Runs that have just begun have most of
    theirs still to take."""
    needs = [need_of(settings, name) for role in settings.roles for name in candidates(settings, role)]
    need = max(needs, default=USUAL)
    young = sum(need_of(settings, held.agent) for held in spending.held.values() if now - held.at < YOUNG_S)
    room = max(0, available - settings.limits.free_memory - young) // need
    return None if room >= settings.limits.implementers - len(spending.held) else room
