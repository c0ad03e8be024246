"""`python -I -S launch_cargo_messages.py EXCHANGE TREE PLAN`: cargo, with its diagnostics counted and shown as text."""

import json
import sys
from pathlib import Path


def _watcher():
    """What all launchers share, compiled from its source: a cached `.pyc` could have been planted by an earlier run."""
    path = Path(__file__).with_name("watcher.py")
    module = type(sys)("swarm_watcher")
    module.__file__ = str(path)
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    return module


watcher = _watcher()
_SHOWN = 5


class Diagnostics:
    """Reads cargo's messages, shows each diagnostic once, and counts them."""

    def __init__(self, say):
        self.errors, self.warnings, self.first, self.finished = 0, 0, [], None
        self._say, self._seen = say, set()

    def take(self, line):
        try:
            message = json.loads(line)
            reason = message["reason"]
            said = message["message"] if reason == "compiler-message" else {}
            level, text = str(said.get("level", "")), str(said.get("rendered") or said.get("message", ""))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            self._say(line.decode("utf-8", "backslashreplace"))
            return
        if reason == "build-finished":
            self.finished = message.get("success") is True
        if reason != "compiler-message" or text in self._seen:
            return
        self._seen.add(text)  # a library and its tests have the same warnings
        self._say(text.rstrip("\n"))
        if level.startswith("error"):
            self.errors += not text.startswith("error: aborting due to")
            self.first.append(_place(said))
        self.warnings += level == "warning" and bool(said.get("spans"))


def _place(said):
    """`file:line: message` of a diagnostic."""
    spans = said.get("spans") or []
    main = next((span for span in spans if span.get("is_primary")), None)
    what = str(said.get("message", ""))
    return f"{main.get('file_name')}:{main.get('line_start')}: {what}" if main else what


def run(exchange, tree, plan):
    report, seen = watcher.Report(exchange, f"cargo {plan['command']}"), Diagnostics(watcher.say)
    lines = watcher.Lines(seen.take)
    argv = [plan["program"], plan["command"], "--message-format=json", *plan["arguments"]]
    status = watcher.run(argv, tree, watcher.environment(plan["program"]), lines.feed)
    lines.end()
    watcher.say(f"{seen.errors} errors, {seen.warnings} warnings")
    if seen.errors:
        some = "; ".join([place for place in seen.first if not place.startswith("aborting due to")][:_SHOWN])
        report.problem(f"{seen.errors} errors: {some}")
    elif status != 0:
        report.problem(f"cargo {plan['command']} ended with exit code {status} (see the log)")
    elif seen.finished is not True:
        report.problem(f"cargo {plan['command']} ended with exit code 0 without saying that the build is finished")
    return report.finish()


if __name__ == "__main__":
    watcher.main(run)
