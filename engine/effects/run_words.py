"""The words for how a run ended, and for what it was kept from."""

from __future__ import annotations

from engine.models.event import NewEvent
from engine.models.settings import Limits
from engine.ports import AgentResult
from engine.state import Order
from engine.text.sanitise import sanitise_line

HOSTS_CAP, SHOWN_HOSTS, HOST_CHARS = 20, 5, 300


def denied(result: AgentResult) -> list[NewEvent]:
    """What the run was kept from: a quota that ended it, hosts that it was not let reach."""
    found: list[NewEvent] = []
    if result.end == "quota":
        fields = {"rule": f"quota-{result.quota or 'unknown'}", "reason": f"it was stopped at {_quota_words(result)}"}
        found.append(NewEvent("guardrail_denied", fields))
    if result.refused:
        hosts = [host for host in dict.fromkeys(result.refused) if len(host) <= HOST_CHARS][:HOSTS_CAP]
        shown = ", ".join(sanitise_line(host) for host in hosts[:SHOWN_HOSTS])
        more = f" and {len(result.refused) - SHOWN_HOSTS} more" if len(result.refused) > SHOWN_HOSTS else ""
        reason = f"it wanted to reach {shown}{more}, which neither its agent's network nor a person allows"
        found.append(NewEvent("guardrail_denied", {"rule": "network", "reason": reason, "hosts": hosts}))
    return found


def _quota_words(result: AgentResult) -> str:
    """Which quota ended the run, by its key in the settings where it has one, and what it used."""
    key = f"limits.{result.quota}" if result.quota in Limits.model_fields else result.quota or "its quota"
    return f"{key}: {sanitise_line(result.note) or 'it used more'}"


def network_words(order: Order) -> list[str]:
    """What an agent is told of hosts: which it was refused, and which a person has allowed since."""
    refused = [sanitise_line(host) for host in order.refused if host not in order.hosts]
    found = [f"A person lets you reach {sanitise_line(host)} now." for host in order.hosts]
    if refused:
        found.append(f"You were not let reach {', '.join(refused)}; do without, unless that changes.")
    return found


def why_of(result: AgentResult) -> str:
    said = {
        "failed": f"the agent ended with exit code {result.exit_code}" if result.exit_code else "the agent failed",
        "timeout": "the agent ran into its wall time and was stopped",
        "idle": "the agent did nothing for too long and was stopped",
        "lost": "the agent's process was lost",
        "stuck": "the agent was stuck and was stopped",
        "limit": "the provider lets the agent do no more for now",
        "quota": f"the agent was stopped at {_quota_words(result)}",
    }.get(result.end, f"the agent ended as {result.end}")
    return f"{said}; {sanitise_line(result.note)}" if result.note and result.end != "quota" else said
