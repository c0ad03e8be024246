"""`python -I -S launch_cargo.py EXCHANGE TREE PLAN`: what `cargo test` would run, each test in a process of its own.

PLAN is JSON with the fields of `CargoTest`. Nobody but this process writes results, and what a test prints decides
nothing alone: passed means exit code 0, the line of the test, and the summary of the run.
"""

import re
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
workspace = watcher.source("cargo_workspace.py")
tripwire = watcher.source("cargo_tripwires.py")

_LISTED = re.compile(r"^(.+): (?:test|benchmark)$")
_SUMMARY = re.compile(r"^test result: ok\. 1 passed; 0 failed; 0 ignored; ")
_DOC_LINE = re.compile(r"^test (.+?)(?: - (?:should panic|compile fail|compile))? \.\.\. (ok|FAILED|ignored)(?:, .*)?$")
_DOC_SUMMARY = re.compile(r"^test result: (?:ok|FAILED)\. (\d+) passed; (\d+) failed; ")
_DOC_RUNNING = re.compile(r"^running (\d+) tests?$")
_DOC_PLACE = re.compile(r" \(line \d+\)$")
_FAILED_STATUS = 101
_JOBS = 2


class Trap:
    """A test that must fail, in a test program. is_kept: it was built by an earlier run."""

    def __init__(self, program, test, *, is_kept=False):
        self.program, self.test, self.is_kept = program, test, is_kept


class Run:
    """One run of `cargo test`."""

    def __init__(self, exchange, tree, plan):
        self.plan, self.tree = plan, tree
        self.report = watcher.Report(exchange, "cargo test")
        self.env = watcher.environment(plan["program"])
        self.at_once = plan["jobs"] or _JOBS

    def go(self):
        """Everything; gives the status to end with."""
        plan = self.plan
        found = workspace.read(plan, self.tree, self.env, watcher.complete)
        if found is None:
            self.report.problem("cargo could not read the workspace (see the log)")
            return self.report.finish()
        documented = (plan["doc"] or not plan["targets"]) and found.has_documentation_tests()
        if plan["doc"]:
            documentation = self._documentation_output() if documented else None
        else:
            documentation = self._programs(found, documented=documented)
        if documentation is not None:
            self._documentation(found, *documentation)
        return self.report.finish()

    # ---- test programs

    def _programs(self, found, *, documented):
        """Builds and runs the test programs; gives what cargo says of documentation tests, None when it did not run."""
        kept = tripwire.kept(found, self.plan, self.env)
        with tripwire.Tripwires(found, workspace.manifest, kept) as tripwires:
            build, programs = self._build(found, tripwires)
        try:
            if programs is None:
                return None
            traps = [Trap(program, tripwires.test) for program in programs if program.target == tripwires.name]
            again = kept.some(found.selected, tripwires.laid) if kept is not None else []
            for package, path, test in again:
                target = {"name": path.stem, "kind": ["test"]}
                traps.append(Trap(build.program(package, target, path, Path(self.plan["program"])), test, is_kept=True))
            rest = [program for program in programs if program.target != tripwires.name]
            todo = self._listed(rest)
            self._spring(traps, tripwires, kept)
            return self._run_programs(rest, todo, documented=documented)
        finally:
            tripwires.clean([program.path for program in programs or []])

    def _build(self, found, tripwires):
        """What cargo said, and the test programs; None when they could not be built."""
        plan = self.plan
        chosen = ["--test", tripwires.name] if plan["targets"] and tripwires.laid else []
        argv = [plan["program"], "test", "--no-run", "--message-format=json", *plan["build"], *chosen]
        build = workspace.Build(found, self.env, watcher.say)
        lines = watcher.Lines(build.take)
        status = watcher.run(argv, self.tree, self.env, lines.feed)
        lines.end()
        for target in sorted(build.broken):
            self.report.problem(f"{target} could not be compiled", target)
        if status != 0 and not build.broken:
            self.report.problem("the tests could not be compiled (see the log)")
        return build, None if status != 0 or build.broken else build.programs(Path(plan["program"]))

    def _spring(self, traps, tripwires, kept):
        """Runs the tests that must fail, before any other test can have a say in it."""
        if not traps and not tripwires.laid:
            return
        sprung = list(watcher.each(self._springs, traps, self.at_once))
        tripped = all(sprung) and sum(not trap.is_kept for trap in traps) == tripwires.laid
        self.report.tripwire(tripwires.name if tripwires.laid else traps[0].test, tripped)
        if kept is not None and tripped:
            for trap in traps:
                if not trap.is_kept:
                    kept.keep(trap.program.label.partition("::")[0], trap.program.path, trap.test)
        elif kept is not None:
            kept.drop()

    def _run_programs(self, programs, todo, *, documented):
        before = {program.path: _state(program.path) for program in programs}
        self.report.planned([name for name, _, _ in todo])
        # cargo starts at the documentation tests when all else has ended. Most of their time is one compiler's.
        aside = watcher.Aside(self._documentation_output) if documented and self.at_once > 1 else None
        for name, outcome, how, output in watcher.each(self._one, todo, self.at_once):
            if outcome == "failed":
                watcher.say(f"---- {name} ----\n{output}")
            self.report.test(name, outcome, how)
        for path, state in before.items():
            if _state(path) != state:
                self.report.problem(f"the test program {path.name} was changed while the tests ran")
        if not documented:
            return None
        return aside.result() if aside is not None else self._documentation_output()

    def _listed(self, programs):
        """(id, its own name, program) of each test that is to run; skipped ones are recorded here."""
        plan, found = self.plan, []
        for program, names in zip(programs, watcher.each(self._all_names, programs, _JOBS), strict=True):
            if not program.harness:
                chosen = not plan["filters"] or any(word in "main" for word in plan["filters"])
                found += [(f"{program.label}::main", "", program)] if chosen and plan["ignored"] != "only" else []
                continue
            every, ignored = names
            if every is None or ignored is None:
                self.report.problem(f"{program.label} could not list its tests")
                continue
            if len(set(every)) != len(every):
                self.report.problem(f"{program.label} lists a test twice")
            skipped = set(ignored) if not plan["ignored"] else set()
            wanted = ignored if plan["ignored"] == "only" else every
            for name in wanted:
                if name in skipped:
                    self.report.test(f"{program.label}::{name}", "skipped")
            found += [(f"{program.label}::{name}", name, program) for name in wanted if name not in skipped]
        return found

    def _all_names(self, program):
        """(its tests, those of them that are ignored) of a program with libtest's main."""
        return (self._names(program), self._names(program, "--ignored")) if program.harness else ([], [])

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

    def _springs(self, trap):
        status, output = self._alone(trap.program, trap.test)
        return status == _FAILED_STATUS and _said_failed(trap.test, output.split("\n"))

    # ---- documentation tests

    def _documentation_output(self):
        """(status, output) of cargo's run of the documentation tests."""
        plan = self.plan
        ignored = {"only": ["--ignored"], "too": ["--include-ignored"]}.get(plan["ignored"], [])
        words = ["--color=never", "--test-threads", str(self.at_once), *ignored, *plan["choose"]]
        argv = [plan["program"], "test", "--doc", "--no-fail-fast", *plan["build"], "--", *words, *plan["filters"]]
        return watcher.complete(argv, self.tree, self.env)

    def _documentation(self, found, status, raw):
        text = (raw or b"").decode("utf-8", "backslashreplace")
        if status != 0:
            watcher.say(text[: 1 << 20])
        said, announced, passed = read_documentation(text)
        for name, place in _documentation_ids(list(said), found).items():
            self.report.test(place, said[name], "assertion")
        outcomes = list(said.values())
        if status != 0 and "failed" not in outcomes:
            self.report.problem(
                f"the documentation tests ended with exit code {status} although none failed (see the log)"
            )
        if raw is None or passed != outcomes.count("passed") or announced != len(said):
            self.report.problem("the documentation tests' results do not agree with their number (see the log)")


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


if __name__ == "__main__":
    watcher.main(lambda *given: Run(*given).go())
