"""`python -I -S launch_cargo.py EXCHANGE TREE PLAN`: what `cargo test` would run, each test in a process of its own.

PLAN is JSON with the fields of `CargoTest`. Nobody but this process writes results, and what a test prints decides
nothing alone: passed means exit code 0, the line of the test, and the summary of the run.
"""

import json
import re
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def _source(name):
    """A neighbour, compiled from its source: a cached `.pyc` could have been planted by an earlier run."""
    path = Path(__file__).with_name(name)
    module = type(sys)("swarm_" + path.stem)
    module.__file__ = str(path)
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), module.__dict__)
    return module


watcher = _source("watcher.py")
workspace = _source("cargo_workspace.py")

_LISTED = re.compile(r"^(.+): (?:test|benchmark)$")
_SUMMARY = re.compile(r"^test result: ok\. 1 passed; 0 failed; 0 ignored; ")
_DOC_LINE = re.compile(r"^test (.+?)(?: - (?:should panic|compile fail|compile))? \.\.\. (ok|FAILED|ignored)(?:, .*)?$")
_DOC_SUMMARY = re.compile(r"^test result: (?:ok|FAILED)\. (\d+) passed; (\d+) failed; ")
_DOC_RUNNING = re.compile(r"^running (\d+) tests?$")
_DOC_PLACE = re.compile(r" \(line \d+\)$")
_FAILED_STATUS = 101
_JOBS = 2


class Run:
    """One run of `cargo test`."""

    def __init__(self, exchange, tree, plan):
        self.plan, self.tree = plan, Path(tree)
        self.results = watcher.recorder(exchange)
        self.env = watcher.environment(plan["program"])
        self.ok = True

    def problem(self, text, name=""):
        self.ok = False
        self.results.record({"kind": "problem", "text": text, "id": name})
        watcher.say(f"problem: {text}")

    def test(self, name, outcome, how="error"):
        if outcome == "failed":
            self.ok = False
        self.results.tests += 1
        self.results.record({"kind": "test", "id": name, "outcome": outcome, "how": how})
        watcher.say(f"test {name} ... {outcome}")

    def finish(self):
        status = 0 if self.ok else 1
        self.results.finish(status)
        return status

    def go(self):
        """Everything; gives the status to end with."""
        plan = self.plan
        self.results.record({"kind": "begin", "runner": "cargo test"})
        argv = [plan["program"], "metadata", "--no-deps", "--format-version", "1", *plan["shared"]]
        status, raw = watcher.complete(argv, self.tree, self.env)
        if status != 0 or raw is None:
            self.problem("cargo could not read the workspace (see the log)")
            return self.finish()
        found = workspace.Workspace(json.loads(raw), plan, self.tree)
        if not plan["doc"]:
            self._programs(found)
        if self.ok and (plan["doc"] or not plan["targets"]) and found.has_documentation_tests():
            self._documentation(found)
        return self.finish()

    # ---- test programs

    def _programs(self, found):
        with workspace.Tripwires(found) as tripwires:
            built = self._build(found, tripwires)
        try:
            if built is not None:
                self._run_programs(built, tripwires)
        finally:
            tripwires.clean([program.path for program in built or []])

    def _build(self, found, tripwires):
        """The test programs, or None when they could not be built."""
        plan = self.plan
        chosen = ["--test", tripwires.name] if plan["targets"] and tripwires.laid else []
        argv = [plan["program"], "test", "--no-run", "--message-format=json", *plan["build"], *chosen]
        build = workspace.Build(found, self.env, watcher.say)
        lines = watcher.Lines(build.take)
        status = watcher.run(argv, self.tree, self.env, lines.feed)
        lines.end()
        for target in sorted(build.broken):
            self.problem(f"{target} could not be compiled", target)
        if status != 0 and not build.broken:
            self.problem("the tests could not be compiled (see the log)")
        return None if status != 0 or build.broken else build.programs(Path(plan["program"]))

    def _run_programs(self, programs, tripwires):
        before = {program.path: _state(program.path) for program in programs}
        traps = [program for program in programs if program.target == tripwires.name]
        rest = [program for program in programs if program.target != tripwires.name]
        todo = []
        for program in rest:
            todo += self._listed(program)
        self.results.record({"kind": "planned", "ids": [name for name, _, _ in todo]})
        sprung = [self._springs(program, tripwires) for program in traps]
        sprung += [False] * (tripwires.laid - len(traps))
        with ThreadPoolExecutor(self.plan["jobs"] or _JOBS) as pool:
            for name, outcome, how, output in pool.map(self._one, todo):
                if outcome == "failed":
                    watcher.say(f"---- {name} ----\n{output}")
                self.test(name, outcome, how)
        for path, state in before.items():
            if _state(path) != state:
                self.problem(f"the test program {path.name} was changed while the tests ran")
        if sprung:
            state = "tripped" if all(sprung) else "silent"
            self.ok = self.ok and state == "tripped"
            self.results.record({"kind": "tripwire", "state": state, "id": tripwires.name})

    def _listed(self, program):
        """(id, its own name, program) of each test that is to run; skipped ones are recorded here."""
        plan = self.plan
        if not program.harness:
            chosen = not plan["filters"] or any(word in "main" for word in plan["filters"])
            return [(f"{program.label}::main", "", program)] if chosen and plan["ignored"] != "only" else []
        every, ignored = self._names(program), self._names(program, "--ignored")
        if every is None or ignored is None:
            self.problem(f"{program.label} could not list its tests")
            return []
        if len(set(every)) != len(every):
            self.problem(f"{program.label} lists a test twice")
        skipped = set(ignored) if not plan["ignored"] else set()
        wanted = ignored if plan["ignored"] == "only" else every
        for name in wanted:
            if name in skipped:
                self.test(f"{program.label}::{name}", "skipped")
        return [(f"{program.label}::{name}", name, program) for name in wanted if name not in skipped]

    def _names(self, program, *more):
        words = [str(program.path), "--list", "--format", "terse", *more, *self.plan["choose"], *self.plan["filters"]]
        status, raw = _started(watcher.complete, words, program)
        if status != 0 or not isinstance(raw, bytes):
            return None
        lines = raw.decode("utf-8", "backslashreplace").splitlines()
        return [match[1] for line in lines if (match := _LISTED.match(line))]

    def _one(self, one):
        """(id, outcome, how, output) of one test, run alone."""
        name, own, program = one
        if not own:
            status, output = _started(watcher.captured, [str(program.path)], program)
            return name, "passed" if status == 0 else "failed", "assertion" if status is not None else "error", output
        status, output = self._alone(program, own)
        lines = output.split("\n")
        said_so = any(line.endswith((f"test {own} ... ok", f"test {own} - should panic ... ok")) for line in lines)
        last = next((line for line in reversed(lines) if line.strip()), "")
        if status == 0 and said_so and _SUMMARY.match(last) and not _said_failed(own, lines):
            return name, "passed", "", ""
        return name, "failed", "assertion" if status == _FAILED_STATUS and _said_failed(own, lines) else "error", output

    def _alone(self, program, own):
        ignored = {"only": ["--ignored"], "too": ["--include-ignored"]}.get(self.plan["ignored"], [])
        # With one thread the name of a test is written before it runs, and what it prints tears the line apart.
        words = [str(program.path), own, "--exact", "--test-threads=2", "--color=never", *ignored]
        return _started(watcher.captured, words, program)

    def _springs(self, program, tripwires):
        status, output = self._alone(program, tripwires.test)
        return status == _FAILED_STATUS and _said_failed(tripwires.test, output.split("\n"))

    # ---- documentation tests

    def _documentation(self, found):
        plan = self.plan
        ignored = {"only": ["--ignored"], "too": ["--include-ignored"]}.get(plan["ignored"], [])
        words = ["--color=never", "--test-threads", str(plan["jobs"] or _JOBS), *ignored, *plan["choose"]]
        argv = [plan["program"], "test", "--doc", "--no-fail-fast", *plan["build"], "--", *words, *plan["filters"]]
        status, raw = watcher.complete(argv, self.tree, self.env)
        text = (raw or b"").decode("utf-8", "backslashreplace")
        if status != 0:
            watcher.say(text[: 1 << 20])
        said, announced, passed = read_documentation(text)
        for name, place in _documentation_ids(list(said), found).items():
            self.test(place, said[name], "assertion")
        outcomes = list(said.values())
        if status != 0 and "failed" not in outcomes:
            self.problem(f"the documentation tests ended with exit code {status} although none failed (see the log)")
        if raw is None or passed != outcomes.count("passed") or announced != len(said):
            self.problem("the documentation tests' results do not agree with their number (see the log)")


def read_documentation(text):
    """(outcome per name, tests announced, tests passed by the summaries) of rustdoc's output; of two words about one
    test the worse one counts."""
    said, announced, passed = {}, 0, 0
    for line in text.split("\n"):
        if match := _DOC_LINE.match(line):
            outcome = {"ok": "passed", "FAILED": "failed"}.get(match[2], "skipped")
            again = match[1] in said and said[match[1]] != outcome
            said[match[1]] = "failed" if again else outcome
        elif match := _DOC_SUMMARY.match(line):
            passed += int(match[1])
        elif match := _DOC_RUNNING.match(line):
            announced += int(match[1])
    return said, announced, passed


def _documentation_ids(names, found):
    """Id per name: without the line, which moves; the second test of an item gets ` #2`."""
    ids, seen = {}, {}
    for name in sorted(names, key=lambda name: [int(part) if part.isdigit() else part for part in _parts(name)]):
        place = _DOC_PLACE.sub("", name).replace("\\", "/")
        stem = f"{found.package_of(place)}::doc::{place}"
        seen[stem] = seen.get(stem, 0) + 1
        ids[name] = stem if seen[stem] == 1 else f"{stem} #{seen[stem]}"
    return ids


def _parts(name):
    """The name with its line as a number of its own, so that line 9 comes before line 10."""
    place, _, line = name.rpartition(" (line ")
    return [place or name, line.rstrip(")") if place else "0"]


def _said_failed(own, lines):
    endings = (f"test {own} ... FAILED", f"test {own} - should panic ... FAILED")
    return any(line.endswith(endings) for line in lines)


def _started(how, words, program):
    """`how(words, …)` in the place where cargo runs test programs; (None, why) when it cannot be started."""
    try:
        return how(words, program.folder, program.env)
    except OSError as error:
        return None, str(error)


def _state(path):
    try:
        state = path.stat()
    except OSError:
        return None
    return state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def main():
    watcher.protect()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    exchange, tree, plan = sys.argv[1:]
    sys.exit(Run(exchange, tree, json.loads(plan)).go())


if __name__ == "__main__":
    main()
