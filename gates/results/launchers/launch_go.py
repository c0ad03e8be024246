"""`python -I -S launch_go.py EXCHANGE TREE PLAN`: `go test -json -count=1`, its stream read here.

A package's own verdict comes from the exit code of its test program, so a printed `--- PASS` helps no failing test.
Then, in a run of its own, a test that must fail is laid into every package with tests: a TestMain that ends the
program early, or hides failures, is seen by its silence.
"""

import json
import re
import secrets
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

_OUTCOMES = {"pass": "passed", "fail": "failed", "skip": "skipped"}
_NOT_FOR_LIST = frozenset(
    {
        *("v", "short", "failfast", "benchmem", "fullpath", "run", "skip", "timeout", "parallel", "cpu", "bench"),
        *("benchtime", "vet", "shuffle", "covermode", "coverpkg", "cover"),
    }
)
_NOT_FOR_TRIPWIRES = frozenset({"run", "skip", "bench", "failfast", "shuffle", "coverpkg", "cover", "covermode"})
_MOST_OUTPUT = 1 << 18
# Before Go 1.20 or so this line stands in the stream as it is, and there are no events of such a package.
_NOT_BUILT = re.compile(r"^FAIL\t(\S+) \[(?:build|setup) failed\]$")
_SHAPES = (
    '\tif {a} < {b} {{\n\t\tt.Fatal("{a}")\n\t}}\n',
    '\tt.Errorf("%d is not %d", {a}, {b})\n',
    "\tt.Fail()\n\t_ = {a} + {b}\n",
)


class Stream:
    """Folds the events of `go test -json`. Of two words about one test the worse one counts, and saying both is a
    problem; a test that started and has no result has failed; a package that fails without a failed test is one."""

    def __init__(self, record_test, problem, say):
        self.tests, self.packages = {}, {}
        self._record_test, self._problem, self._say = record_test, problem, say
        self._output, self._failed_in, self._running = {}, set(), {}
        self._passed, self._not_built = set(), False

    def take(self, line):
        try:
            event = json.loads(line)
            action, package = str(event["Action"]), str(event.get("Package", ""))
            test, text = str(event.get("Test", "")), str(event.get("Output", ""))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            said = line.decode("utf-8", "backslashreplace")
            self._say(said)
            if match := _NOT_BUILT.match(said):
                self._not_built = True
                self._problem(f"{match[1]} could not be built (see the log)", match[1])
            return
        name = f"{package}::{test}"
        if action in ("build-output", "output"):
            self._take_output(name, package, test, text)
        elif not package:
            return
        elif test:
            if action == "run":
                self._running[name] = package
            elif action in _OUTCOMES:
                self._take_result(name, package, _OUTCOMES[action])
        elif action in _OUTCOMES:
            self.packages[package] = "failed" if "failed" in (self.packages.get(package), _OUTCOMES[action]) else action

    def _take_output(self, name, package, test, text):
        kept = self._output.setdefault(name, [0, []])
        kept[0] += len(text)
        if kept[0] < _MOST_OUTPUT:
            kept[1].append(text)
        # Ended early with status 0, a test that never came to its end is called passed in the stream all the same.
        if test and text.lstrip(" ").startswith(f"--- PASS: {test} ("):
            self._passed.add(name)
        if not test:
            self._say(text.rstrip("\n"))
            # Before Go 1.24 only this line says so; a test program's own output belongs to a test or comes earlier.
            if text.startswith("ok  \t") and text.rstrip("\n").endswith("(cached)"):
                self._problem(f"{package} was not run but taken from a cache", "")

    def _take_result(self, name, package, outcome):
        self._running.pop(name, None)
        before = self.tests.get(name)
        if outcome == "passed" and name not in self._passed:
            outcome = "failed"
        if before is not None and before != outcome:
            self._problem(f"{name} has two results", "")
            outcome = "failed" if "failed" in (before, outcome) else outcome
        if outcome == "failed":
            self._failed_in.add(package)
        if before is None or before != outcome:
            self.tests[name] = outcome

    def end(self, status):
        """The stream is over; records every test."""
        for name, package in sorted(self._running.items()):
            self._failed_in.add(package)
            self.tests[name] = "failed"
            self._problem(f"{name} started and never ended", "")
        for name, outcome in self.tests.items():
            if outcome == "failed":
                self._say(f"---- {name} ----\n" + "".join(self._output.get(name, [0, []])[1]))
            self._record_test(name, outcome)
        for package, outcome in sorted(self.packages.items()):
            if outcome == "failed" and package not in self._failed_in:
                built = "".join(self._output.get(f"{package}::", [0, []])[1])
                failed = "[build failed]" in built or "[setup failed]" in built
                what = "could not be built" if failed else "failed although none of its tests did"
                self._problem(f"{package} {what} (see the log)", package if failed else "")
        bad = "failed" in self.packages.values() or "failed" in self.tests.values()
        if status == 0 and bad:
            self._problem("the exit code of go test is 0 although something failed", "")
        if status != 0 and not bad and not self._not_built:
            self._problem(f"go test ended with exit code {status} (see the log)", "")
        open_ended = sorted({name.partition("::")[0] for name in self.tests} - set(self.packages))
        if open_ended:
            self._problem(f"{open_ended[0]} has tests and no result of its own", "")


class Run:
    """One run of `go test`."""

    def __init__(self, exchange, tree, plan):
        self.plan, self.tree = plan, tree
        self.report = watcher.Report(exchange, "go test")
        self.env = watcher.environment(plan["program"])

    def go(self):
        """Everything; gives the status to end with."""
        plan, report = self.plan, self.report
        stream = Stream(lambda name, outcome: report.test(name, outcome, "assertion"), report.problem, watcher.say)
        status = self._stream(stream.take, [f"-{name}={value}" for name, value in plan["flags"]], plan["packages"])
        stream.end(status)
        if report.ok:
            self._tripwires()
        return report.finish()

    def _stream(self, take, flags, packages, *, quiet=False):
        lines = watcher.Lines(take)
        arguments = ["-args", *self.plan["arguments"]] if self.plan["arguments"] else []
        argv = [self.plan["program"], "test", "-json", "-count=1", *flags, *packages, *arguments]
        status = watcher.run(argv, self.tree, self.env, lines.feed, quiet=quiet)
        lines.end()
        return status

    def _tripwires(self):
        name = f"TestSwarm{secrets.token_hex(6)}"
        low = 1 + secrets.randbelow(1000)
        body = secrets.choice(_SHAPES).format(a=low, b=low + 1 + secrets.randbelow(1000))
        files, failed = [], set()

        def take(line):
            try:
                event = json.loads(line)
                if event.get("Action") == "fail" and event.get("Test") == name:
                    failed.add(event.get("Package"))
            except (ValueError, AttributeError, RecursionError):
                return

        packages = self._with_tests()
        try:
            for _, folder, word in packages:
                file = folder / f"zz_{name.lower()}_test.go"
                text = f'package {word}_test\n\nimport "testing"\n\nfunc {name}(t *testing.T) {{\n{body}}}\n'
                with file.open("x", encoding="utf-8", newline="\n") as opened:
                    files.append(file)
                    opened.write(text)
            if not packages:
                return
            flags = [f"-{key}={value}" for key, value in self.plan["flags"] if key not in _NOT_FOR_TRIPWIRES]
            wanted = [package for package, _, _ in packages]
            self._stream(take, [*flags, f"-run=^{name}$"], wanted, quiet=True)
        finally:
            for file in files:
                file.unlink(missing_ok=True)
        silent = [package for package, _, _ in packages if package not in failed]
        self.report.tripwire(", ".join(silent[:5]) or name, not silent)

    def _with_tests(self):
        """(import path, folder, package name) of every package in the tree that has tests."""
        flags = [f"-{name}={value}" for name, value in self.plan["flags"] if name not in _NOT_FOR_LIST]
        argv = [self.plan["program"], "list", "-json", *flags, *self.plan["packages"]]
        status, raw = watcher.complete(argv, self.tree, self.env)
        if status != 0 or raw is None:
            self.report.problem("go could not list the packages (see the log)")
            return []
        found, text, decoder, at = [], raw.decode("utf-8", "replace").strip(), json.JSONDecoder(), 0
        while at < len(text):
            package, at = decoder.raw_decode(text, at)
            while at < len(text) and text[at].isspace():
                at += 1
            folder = Path(package["Dir"])
            if (package.get("TestGoFiles") or package.get("XTestGoFiles")) and folder.is_relative_to(self.tree):
                found.append((package["ImportPath"], folder, package["Name"]))
        return found


if __name__ == "__main__":
    watcher.main(lambda *given: Run(*given).go())
