"""`python -I -S launch_nextest.py EXCHANGE TREE PLAN`: `cargo nextest run` with a profile of ours, JUnit read here.

nextest itself is no code of the tree: its exit code says whether everything passed, its list says what there is to
run, and its JUnit, in a folder of random name, says what became of each test.
"""

import json
import secrets
import shutil
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
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

_TESTS_FAILED = 100
_NO_TESTS = 4
_MOST_BYTES = 256_000_000


def test_id(binary, name):
    """The id of a test from nextest's `binary id`: `package`, `package::test`, `package::kind/name`."""
    package, _, target = binary.partition("::")
    if not target or target.startswith("proc-macro/"):
        return f"{package}::lib::{name}"
    return f"{package}::{target if '/' in target else 'test/' + target}::{name}"


def read_junit(raw):
    """(outcome, how) per test id, and the problems, each one clause. Raises ValueError when it is no JUnit."""
    if b"<!DOCTYPE" in raw or b"<!ENTITY" in raw:
        raise ValueError("it declares entities")
    try:
        root = ElementTree.fromstring(raw)
    except (ElementTree.ParseError, UnicodeError, LookupError) as error:
        raise ValueError(str(error)) from error
    if root.tag != "testsuites":
        raise ValueError(f"its outermost element is {root.tag}")
    found, problems = {}, []
    for suite in root.iter("testsuite"):
        for case in suite.iter("testcase"):
            name = test_id(suite.get("name", ""), case.get("name", ""))
            if name in found:
                problems.append(f"two results are called {name}")
            tags = {child.tag for child in case}
            if tags - {"failure", "error", "skipped", "system-out", "system-err", "properties"}:
                problems.append(f"{name} was tried more than once")
                tags.add("failure")
            said = " ".join(child.get("type", "") + child.get("message", "") for child in case)
            if tags & {"failure", "error"}:
                found[name] = ("failed", "assertion" if "code 101" in said else "error")
            elif found.get(name, ("", ""))[0] != "failed":
                found[name] = ("skipped", "") if "skipped" in tags else ("passed", "")
    return found, problems


def read_list(raw):
    """(ids that will run, ids that are ignored) of `nextest list --message-format json`. Raises ValueError."""
    planned, ignored = [], []
    try:
        for binary, suite in json.loads(raw)["rust-suites"].items():
            for name, case in suite["testcases"].items():
                runs = case["filter-match"]["status"] == "matches"
                if runs:
                    planned.append(test_id(binary, name))
                elif case["ignored"] and case["filter-match"].get("reason") == "ignored":
                    ignored.append(test_id(binary, name))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"it has no {error}") from error
    return planned, ignored


class Run:
    """One run of nextest."""

    def __init__(self, exchange, tree, plan):
        self.plan, self.tree = plan, tree
        self.report = watcher.Report(exchange, "cargo nextest")
        self.env = watcher.environment(plan["program"])

    def go(self):
        """Everything; gives the status to end with."""
        plan, report = self.plan, self.report
        if shutil.which("cargo-nextest", path=self.env["PATH"]) is None:
            report.fault(
                'cargo-nextest is not on PATH: install it, or use ["cargo", "test"] with results = "cargo-test".'
            )
            return report.finish()
        found = workspace.read(plan, self.tree, self.env, watcher.complete)
        if found is None:
            report.problem("cargo could not read the workspace (see the log)")
        elif (planned := self._list()) is not None:
            self._run(planned)
            self._tripwires(found)
        return report.finish()

    def _list(self):
        argv = [self.plan["program"], "nextest", "list", "--message-format", "json", *self.plan["list"]]
        if self.plan["profile"]:
            argv += ["--profile", self.plan["profile"]]
        status, raw = watcher.complete(argv, self.tree, self.env)
        if status != 0 or raw is None:
            self.report.problem("the tests could not be compiled or listed (see the log)")
            return None
        try:
            planned, ignored = read_list(raw)
        except ValueError as error:
            self.report.problem(f"nextest's list of tests could not be read ({error})")
            return None
        for name in ignored:
            self.report.test(name, "skipped", "", shown=False)
        self.report.planned(planned)
        return planned

    def _run(self, planned):
        status, found = self._nextest(self.plan["run"])
        if status == _NO_TESTS and not planned:
            self.report.problem("no tests were run")
            return
        for name, (outcome, how) in found.items():
            self.report.test(name, outcome, how, shown=False)
        failed = any(outcome == "failed" for outcome, _ in found.values())
        if status != (_TESTS_FAILED if failed else 0):
            self.report.problem(
                f"nextest ended with exit code {status}, which does not agree with its results (see the log)"
            )
        if strangers := sorted(set(found) - set(planned)):
            self.report.problem(
                f"{len(strangers)} results are of tests that were not listed: {', '.join(strangers[:5])}"
            )

    def _nextest(self, arguments, *, quiet=False):
        """(exit status, outcome per id) of one run; a report that cannot be read is a problem."""
        folder = Path(tempfile.mkdtemp(prefix="junit-"))
        try:
            report, config, profile = folder / "junit.xml", folder / "profile.toml", f"swarm-{secrets.token_hex(4)}"
            inherits = f"inherits = {json.dumps(self.plan['profile'])}\n" if self.plan["profile"] else ""
            text = f"[profile.{profile}]\n{inherits}retries = 0\nfail-fast = false\n"
            text += f"[profile.{profile}.junit]\npath = {json.dumps(str(report))}\n"
            config.write_text(text, encoding="utf-8")
            argv = [self.plan["program"], "nextest", "run", *arguments, "--retries", "0", "--no-fail-fast"]
            argv += ["--tool-config-file", f"swarm:{config}", "--profile", profile]
            status = watcher.run(argv, self.tree, self.env, lambda _: None, quiet=quiet)
            if not report.is_file() and status in (_NO_TESTS, 101):
                return status, {}
            with report.open("rb") as file:
                found, problems = read_junit(file.read(_MOST_BYTES))
        except (OSError, ValueError) as error:
            self.report.problem(f"nextest's report could not be read ({error})")
            return -1, {}
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        for text in problems:
            self.report.problem(text)
        return status, found

    def _tripwires(self, found):
        with tripwire.Tripwires(found, workspace.manifest) as tripwires:
            if not tripwires.laid:
                return
            status, seen = self._nextest([*self.plan["build"], "--test", tripwires.name], quiet=True)
        tripwires.clean([Path(found.target, profile, "deps", "x") for profile in found.profiles()])
        failed = [name for name, (outcome, _) in seen.items() if outcome == "failed" and tripwires.test in name]
        self.report.tripwire(tripwires.name, status == _TESTS_FAILED and len(failed) == tripwires.laid)


if __name__ == "__main__":
    watcher.main(lambda *given: Run(*given).go())
