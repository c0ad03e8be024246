"""`python -I -S launch_unittest.py EXCHANGE TREE [unittest's arguments]`: unittest with a TestResult of our own.

Two things contradict a tree that turns failures green: each test's method is wrapped, so that a pass counts only where
the method ran and raised nothing; and tripwires. A tripwire is one more test of the class itself, made in memory with
the name and shape of any other and run before its first test, so that whatever the class makes of results applies to it
too. Only our own result sees it: no output, no count, no effect on --failfast.
"""

# ruff: noqa: N802 (unittest names its hooks so)

import functools
import inspect
import sys
import unittest
from pathlib import Path

__unittest = True  # as in unittest's own modules: its tracebacks begin behind our frames, in the test


def _recorder():
    """The recorder, compiled from its source: a cached `.pyc` could have been planted by an earlier run."""
    path = Path(__file__).with_name("recorder.py")
    code = compile(path.read_text(encoding="utf-8"), str(path), "exec")
    module = type(sys)("swarm_recorder")
    exec(code, module.__dict__)
    return module


class _Watched:
    """What is known of the tests of a suite, beside what the result is told."""

    def __init__(self, recorder):
        self._recorder = recorder
        self._raised, self._ran, self._laid, self._passed, self._kept = {}, set(), {}, set(), []
        self.ended = {}

    def prepare(self, suite, wanted):
        """Wrap each test, keep only the wanted ones, and put a tripwire before the first test of each class."""
        tests = getattr(suite, "_tests", None)
        if not isinstance(tests, list):
            return
        kept = []
        for test in tests:
            if not isinstance(test, unittest.TestCase):
                self.prepare(test, wanted)
            elif wanted is not None and not self._is_wanted(test, wanted):
                continue
            else:
                kept += self._tripwire(test)
                self._wrap(test)
            kept.append(test)
        tests[:] = kept

    def doubt(self, test):
        """Why a pass is not believed, as the end of a sentence; "" when it is."""
        self._passed.add(type(test))
        if id(test) in self._raised:
            return "it raised " + self._raised[id(test)].__name__
        if id(test) not in self._ran:
            return "it was not run by unittest itself"
        return ""

    def how(self, test, error):
        """See `failed_by`; `error` is what the result was given."""
        kind, _, traceback = error
        if isinstance(test, unittest.TestCase) and issubclass(kind, (AssertionError, test.failureException)):
            return "assertion"
        if not isinstance(test, unittest.TestCase) or type(test).__module__ == "unittest.loader":
            return "error"
        return self._recorder.failed_by(kind, traceback, _file(test))

    def record(self):
        """What is recorded of tripwires: a pass is worth nothing where a must-fail test did not fail."""
        silent = [kind for kind in self._passed & set(self._laid) if self.ended.get(kind) != "failed"]
        names = sorted(kind.__module__ + "." + kind.__qualname__ for kind in silent)
        return {"kind": "tripwires", "tripped": list(self.ended.values()).count("failed"), "silent": names}

    def tried(self, test, outcome):
        """A tripwire is over: its class is again as it was."""
        self.ended[type(test)] = outcome
        delattr(type(test), test._testMethodName)

    def is_tripwire(self, test):
        return self._laid.get(type(test)) is test

    def _is_wanted(self, test, wanted):
        name = test.id().replace("unittest.loader._FailedTest.", "")
        return any(self._recorder.is_selected(name, [one]) or one.startswith(name) for one in wanted)

    def _tripwire(self, test):
        kind = type(test)
        if kind in self._laid or kind.__module__ in ("unittest.loader", "unittest.case", "doctest"):
            return []
        self._laid[kind] = None
        name, function = self._recorder.tripwire(_file(test), dir(kind), "self")
        try:
            setattr(kind, name, function)
            self._laid[kind] = trip = kind(name)
        except (AttributeError, TypeError, ValueError):
            del self._laid[kind]
            return []
        return [trip]

    def _wrap(self, test):
        name = test._testMethodName
        method = getattr(test, name)
        ran, raised, mark = self._ran, self._raised, id(test)

        def saw(error):
            if not isinstance(error, unittest.SkipTest):
                raised.setdefault(mark, type(error))

        @functools.wraps(method)
        async def awaited(*arguments, **named):
            ran.add(mark)
            try:
                return await method(*arguments, **named)
            except BaseException as error:
                saw(error)
                raise

        @functools.wraps(method)
        def called(*arguments, **named):
            ran.add(mark)
            try:
                return method(*arguments, **named)
            except BaseException as error:
                saw(error)
                raise

        try:
            setattr(test, name, awaited if inspect.iscoroutinefunction(method) else called)
        except AttributeError:
            ran.add(mark)
        self._kept.append(test)  # so that no other test gets its id


def _file(test):
    return getattr(sys.modules.get(type(test).__module__), "__file__", None) or "<test>"


def _runner(record_test, watched, wanted):
    """A test runner class whose results go to `record_test(id, outcome, note, how)` when each test stops."""

    class Result(unittest.TextTestResult):
        def startTest(self, test):
            self._outcome, self._how = None, ""
            if watched.is_tripwire(test):
                unittest.TestResult.startTest(self, test)
                self.testsRun -= 1
            else:
                super().startTest(test)

        def stopTest(self, test):
            if watched.is_tripwire(test):
                unittest.TestResult.stopTest(self, test)
                watched.tried(test, self._outcome)
                return
            super().stopTest(test)
            outcome = self._outcome or "failed"
            note = watched.doubt(test) if outcome == "passed" else ""
            outcome = "failed" if note else outcome
            record_test(test.id(), outcome, note, (self._how or "assertion") if outcome == "failed" else "")
            self._outcome = None

        def _saw(self, test, outcome, error=None):
            how = "" if error is None else watched.how(test, error)
            if isinstance(test, unittest.TestCase):
                if self._outcome != "failed":
                    self._outcome, self._how = outcome, how
            else:  # setUpClass, setUpModule and the like, which come without start and stop
                record_test(test.id(), outcome, "", how)

        def addSuccess(self, test):
            if not watched.is_tripwire(test):
                super().addSuccess(test)
            self._saw(test, "passed")

        def addError(self, test, err):
            if not watched.is_tripwire(test):
                super().addError(test, err)
            self._saw(test, "failed", err)

        def addFailure(self, test, err):
            if not watched.is_tripwire(test):
                super().addFailure(test, err)
            self._saw(test, "failed", err)

        def addSubTest(self, test, subtest, err):
            if not watched.is_tripwire(test):
                super().addSubTest(test, subtest, err)
            if err is not None:
                self._saw(test, "failed", err)

        def addSkip(self, test, reason):
            if not watched.is_tripwire(test):
                super().addSkip(test, reason)
            self._saw(getattr(test, "test_case", test), "skipped")

        def addExpectedFailure(self, test, err):
            if not watched.is_tripwire(test):
                super().addExpectedFailure(test, err)
            self._saw(test, "skipped")

        def addUnexpectedSuccess(self, test):
            if not watched.is_tripwire(test):
                super().addUnexpectedSuccess(test)
            self._saw(test, "failed")

        def addDuration(self, test, elapsed):
            if not watched.is_tripwire(test) and hasattr(unittest.TestResult, "addDuration"):
                super().addDuration(test, elapsed)  # pyright: ignore[reportAttributeAccessIssue]

    class Runner(unittest.TextTestRunner):
        resultclass = Result  # pyright: ignore[reportAssignmentType]

        def run(self, test):
            watched.prepare(test, wanted)
            return super().run(test)

    return Runner


def main():
    exchange, tree, *arguments = sys.argv[1:]
    recorder = _recorder()
    results = recorder.Recorder(exchange)
    results.record({"kind": "begin", "runner": "unittest", "python": sys.version.split()[0]})
    recorder.add_site_packages()
    arguments, wanted = recorder.selection(arguments)
    watched = _Watched(recorder)
    runner = _runner(results.test, watched, wanted)
    recorder.let_in(tree)
    sys.argv = ["python -m unittest", *arguments]
    program = unittest.main(module=None, argv=sys.argv, testRunner=runner, exit=False)
    status = 5 if results.tests == 0 else int(not program.result.wasSuccessful())
    results.record(watched.record())
    results.finish(status)
    sys.exit(status)


if __name__ == "__main__":
    main()
