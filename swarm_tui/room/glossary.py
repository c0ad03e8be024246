"""What the room's words and signs mean, in a line each: for the help."""

from __future__ import annotations

from swarm_tui.room import words

WORDS: tuple[tuple[str, str], ...] = (
    ("work order", "the unit of work: a goal, what it may touch, what must be true at the end"),
    ("item", "work orders that belong together, as roadmap.toml groups them"),
    ("run", "one attempt of an agent at a work order, in a folder of its own"),
    ("change", "what a run left: a tree that wants to land on main"),
    ("gate", "one check on exactly one tree: build, tests, lint …"),
    ("guard", "a gate that is built in: paths, protected files, dependencies, secrets, sizes …"),
    ("proof", "its tests failed before and pass now; old tests pass as they were"),
    ("tripwire", "a test made to fail: a runner that calls it passed is lying"),
    ("report", "the signed proof of what the gates said about a tree"),
    ("train", "the changes on their way to main, in their order"),
    ("landed", "main has moved to the change; the canary has not judged it yet"),
    ("canary", "the program itself, really run on what landed"),
    ("flow", "one thing the canary does with the program, step by step"),
    ("last good", "the newest commit of main whose canary passed"),
    ("frozen", "nothing lands until a person or a green canary says so"),
    ("parked", "a work order that waits for a person, with the reason"),
    ("approval", "a question about one exact operation, answered by a person"),
    ("journal", "the record of everything that happened; nothing in it is ever changed"),
    ("handoff", "what one role gives the next: checked, and never a word more"),
    ("hub", "the engine's own repository; yours only ever gets what has landed"),
    ("unknown", "it could not be found out; never shown as if it were good"),
    ("detach", "leave the room; the engine goes on"),
)

_ORDERS = {
    "draft": "noted down, not offered to the swarm",
    "ready": "waits for a free agent, or for what it depends on",
    "running": "an agent works on it",
    "proposed": "an agent says it is done; nothing is proved yet",
    "verifying": "the gates run on its change",
    "queued": "its gates are green; it waits for its turn on the train",
    "landed": "on main; its canary has not passed yet",
    "healthy": "on main, and the canary passed",
    "rejected": "its change was refused; it may be tried again",
    "parked": "waits for you; the reason stands beside it",
    "reverted": "was on main, and was taken back",
    "cancelled": "taken off the road; what was written is kept",
}
_HEALTH = {
    "green": "main's gates are green, and so was its canary where there is one",
    "red": "main itself fails",
    "unknown": "nothing has judged main yet",
    "frozen": "nothing lands until this is settled",
}
_GATES = {
    "": "at work now",
    "green": "proved on this tree",
    "red": "failed on this tree",
    "timeout": "took longer than allowed: red",
    "error": "the gate itself broke, not the change",
    "skipped": "what it needs was not green",
    "superseded": "no longer of interest, as a newer tree is judged: not a failure",
    "interrupted": "stopped in the middle; it runs again",
    "waiting": "its turn comes later",
}
_VERDICTS = {
    "": "the program runs now",
    "PASS": "the program did what it must",
    "FAIL": "the program did not; main goes back to last good",
    "INCONCLUSIVE": "neither proved nor disproved",
    "ENVIRONMENT": "the machine was at fault, not the program",
    "interrupted": "stopped in the middle; it runs again",
}
_RUNS = {
    "": "at work now",
    "done": "ended by itself with something to show",
    "failed": "ended with an error",
    "timeout": "took longer than allowed, and was stopped",
    "idle": "said nothing for too long, and was stopped",
    "quota": "used more than it may, and was stopped",
    "limit": "its provider lets it do no more for now; it goes on later, and no attempt is used up",
    "asked": "waits for your answer",
    "aborted": "said that it cannot do it",
    "interrupted": "stopped in the middle; its files are kept",
}
_TESTS = {
    "passed": "ran, and was right",
    "failed": "ran, and was wrong",
    "skipped": "did not run",
    "lost": "was there before, and is not reported any more",
}

SIGNS: tuple[tuple[str, dict[str, words.Sign], dict[str, str]], ...] = (
    ("a work order", words.PHASES, _ORDERS),
    ("main", words.HEALTH, _HEALTH),
    ("a gate", words.GATES, _GATES),
    ("a canary run", words.VERDICTS, _VERDICTS),
    ("a run", words.RUNS, _RUNS),
    ("a test", words.TESTS, _TESTS),
)
"""(what the signs stand at, the signs, what each means)."""
