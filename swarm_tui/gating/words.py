"""What `swarm gates` says to a person, from the same plain data that --json prints."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from engine.text.sanitise import sanitise_line
from swarm_tui.room.words import GATES, UNKNOWN, Sign

LOG_LINES = 20
"""How much of a failing gate's log is shown."""

Gate = Mapping[str, Any]
"""One gate as in `gates` of --json."""


def sign_of(result: str) -> Sign:
    return GATES.get(result, UNKNOWN)


def row(name: str, width: int, sign: Sign, time: str, told: str) -> str:
    """One line of the table."""
    return f"{sign.glyph} {sanitise_line(name):<{width}}  {sign.word:<8} {time:>9}  {told}".rstrip()


def finished_row(gate: Gate, width: int) -> str:
    """The line of a gate that has a result. The reason of a red one is said at the end, that of a skipped one here."""
    result = str(gate["result"])
    ran = result != "skipped" and not (result == "error" and not gate["duration_s"])
    time = "as before" if gate.get("cached") else duration(float(gate["duration_s"])) if ran else ""
    told = sanitise_line(str(gate["reason"])) if result == "skipped" else counts(gate)
    return row(str(gate["name"]), width, sign_of(result), time, told)


def running_row(name: str, width: int, seconds: float, done: int, failed: int, purpose: str = "") -> str:
    told = f"{done} done" if done >= 0 else ""
    if failed > 0:
        told += f", {failed} failed"
    if purpose:
        told = f"{told}  ({sanitise_line(purpose)})".strip()
    return row(name, width, GATES[""], duration(seconds), told)


def started_row(name: str, width: int) -> str:
    return row(name, width, GATES[""], "", "")


def waiting_row(name: str, width: int) -> str:
    return row(name, width, GATES["waiting"], "", "")


def counts(gate: Gate) -> str:
    """`51 passed, 1 failed`; "" for a gate that counts no tests."""
    parts = [f"{gate['passed']} passed"] if gate["executed"] or gate["skipped"] else []
    parts += [f"{gate[kind]} {kind}" for kind in ("failed", "skipped") if gate[kind]]
    lost: int | Sequence[str] = gate.get("lost") or 0
    parts += [f"{lost if isinstance(lost, int) else len(lost)} lost"] if lost else []
    parts += [f"{len(gate['retried'])} flaky, passed when tried again"] if gate.get("retried") else []
    return ", ".join(parts)


def duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60}:{int(seconds) % 60:02} min"


def width_of(names: Sequence[str]) -> int:
    """How wide the column of names is."""
    return min(40, max((len(sanitise_line(name)) for name in names), default=4))


def ending(said: Mapping[str, Any], log: Callable[[str], tuple[Path, list[str]]]) -> list[str]:
    """All that comes after the table: how the logs of failing gates end, one sentence a reason, and the verdict.

    said: as --json prints it. log: where an artifact lies, and its sanitised lines.
    """
    lines: list[str] = []
    for gate in said["gates"]:
        if gate["result"] not in ("green", "skipped") and gate.get("log"):
            lines += ["", *folded(str(gate["name"]), *log(str(gate["log"])))]
    reasons = [*_reasons(said)]
    lines += ["", *reasons] if reasons else []
    lines += ["", *verdict(said)]
    return lines


def folded(name: str, path: Path, lines: Sequence[str]) -> list[str]:
    """The last lines of a log, with how to see the others."""
    name, last = sanitise_line(name), lines[-LOG_LINES:]
    if not last:
        return [f"{name} printed nothing"]
    all_of_it = len(last) == len(lines)
    head = f"{name} printed:" if all_of_it else f"{name} printed {len(lines)} lines; the last {len(last)} are:"
    more = [] if all_of_it else [f"  all of them: less {shlex.quote(str(path))}"]
    return [head, *(f"  │ {line}".rstrip() for line in last), *more]


def _reasons(said: Mapping[str, Any]) -> list[str]:
    """Each reason of the report as one sentence, and below it what to do."""
    gates = {f"{gate['name']}: {gate['reason']}": gate for gate in said["gates"] if gate["reason"]}
    lines: list[str] = []
    for reason in said["reasons"]:
        lines.append(f"✘ {sanitise_line(str(reason))}")
        gate = gates.get(reason)
        lines += [f"  → {todo}" for todo in (advice(gate) if gate is not None else [])]
    return lines


def advice(gate: Gate) -> list[str]:
    """What to do about a gate that is not green; nothing where its reason says it itself."""
    reason, name = str(gate["reason"]), shlex.quote(sanitise_line(str(gate["name"])))
    if gate["result"] == "error":
        return []
    if gate["result"] == "timeout":
        return ["make it faster, or give it a longer timeout in swarm.toml"]
    found: list[str] = []
    if gate.get("failing"):
        found.append(f"mend what they test; this runs the gate alone: swarm gates --gate {name}")
    if gate.get("lost"):
        first = "" if "(LOST)" in reason.partition(";")[0] else "if they are lost still once the rest is mended, "
        found.append(f"{first}bring the lost tests back; a work order that may take them away says so in tests_removed")
    if "zero tests were executed" in reason:
        found.append("see that its command finds the tests: a filter that matches nothing proves nothing")
    if "changed the tree" in reason:
        found.append("let it write only where git ignores files, or commit what it makes")
    if "the command left no " in reason or "has no plan" in reason:
        found.append("let its command write that, or say in results what it does write (none: the exit code alone)")
    return found or ["what it printed says why; if that is nothing, run its command by hand"]


def verdict(said: Mapping[str, Any]) -> list[str]:
    """The last lines: the result, what it is about, and where the signed report lies."""
    gates = said["gates"]
    bad = sum(gate["result"] not in ("green", "skipped") for gate in gates)
    total = f"{len(gates)} {'gate' if len(gates) == 1 else 'gates'}"
    if said["result"] == "green":
        fresh = sum(not gate["cached"] for gate in gates)
        how = "" if fresh == len(gates) else f", {fresh} of them run now" if fresh else ", none had to run"
        what = f"{total}{how}"
    else:
        what = f"{bad} of {total} not green" if bad else total
    sign = GATES["green"] if said["result"] == "green" else GATES.get(said["result"], GATES["red"])
    flags = [f"  said openly: {', '.join(sanitise_line(str(flag)) for flag in said['flags'])}"] if said["flags"] else []
    if said.get("base_known") is False:
        flags.append(
            f"  nothing is known of the base, so lost tests would go unnoticed: gate it once with {_of_base(said)}"
        )
    about = f"tree {said['tree'][:12]} on base {said['base'][:12]}"
    return [f"{sign.glyph} {said['result']}: {what}; {about}", *flags, f"  report {said['report']}"]


def _of_base(said: Mapping[str, Any]) -> str:
    base = shlex.quote(sanitise_line(str(said.get("base_name") or "main")))
    return f"swarm gates {base} --base {base}"


def costs(said: Mapping[str, Any]) -> list[str]:
    """What each proof run cost."""
    runs: Sequence[Mapping[str, Any]] = said.get("runs", [])
    if not runs:
        return []
    lines = ["", "what was run for the proof:"]
    for run in runs:
        time = "as before" if run["cached"] else duration(float(run["duration_s"]))
        told = f"{sanitise_line(str(run['gate'])):<16}  {run['result']:<8} {time:>9}  tree {run['tree'][:12]}"
        lines.append(f"  {sanitise_line(str(run['purpose'])):<10} {told}")
    return lines


def explained(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why each gate runs or does not, and the parts of its result's key; those that differ are marked."""
    lines: list[str] = []
    for each in rows:
        mark = "✔ reused" if each["reused"] else "▶ runs"
        lines.append(f"{mark}  {sanitise_line(str(each['gate']))}: {sanitise_line(str(each['why']))}")
        parts: Mapping[str, Any] = each["parts"]
        width = width_of(list(parts))
        for name, value in parts.items():
            differs = name in each["differs"]
            shown = sanitise_line(str(value), line_cap=100)
            lines.append(f"  {'≠' if differs else ' '} {name:<{width}}  {shown}{'  (differs)' if differs else ''}")
    return [*lines, ""] if lines else []
