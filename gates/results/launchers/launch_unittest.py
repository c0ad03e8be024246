"""`python -I -S launch_unittest.py EXCHANGE TREE [unittest's arguments]`: unittest with a TestResult of our own."""

# ruff: noqa: N802 (unittest names its hooks so)

import sys
import unittest
from pathlib import Path


def _recorder():
    """The recorder, compiled from its source: a cached `.pyc` could have been planted by an earlier run."""
    path = Path(__file__).with_name("recorder.py")
    code = compile(path.read_text(encoding="utf-8"), str(path), "exec")
    module = type(sys)("swarm_recorder")
    exec(code, module.__dict__)
    return module


def _runner(record_test):
    """A test runner class whose results go to `record_test(id, outcome)` when each test stops."""

    class Result(unittest.TextTestResult):
        def startTest(self, test):
            self._outcome = None
            super().startTest(test)

        def stopTest(self, test):
            super().stopTest(test)
            record_test(test.id(), self._outcome or "failed")
            self._outcome = None

        def _saw(self, test, outcome):
            if isinstance(test, unittest.TestCase):
                if self._outcome != "failed":
                    self._outcome = outcome
            else:  # setUpClass, setUpModule and the like, which come without start and stop
                record_test(test.id(), outcome)

        def addSuccess(self, test):
            super().addSuccess(test)
            self._saw(test, "passed")

        def addError(self, test, err):
            super().addError(test, err)
            self._saw(test, "failed")

        def addFailure(self, test, err):
            super().addFailure(test, err)
            self._saw(test, "failed")

        def addSubTest(self, test, subtest, err):
            super().addSubTest(test, subtest, err)
            if err is not None:
                self._saw(test, "failed")

        def addSkip(self, test, reason):
            super().addSkip(test, reason)
            self._saw(getattr(test, "test_case", test), "skipped")

        def addExpectedFailure(self, test, err):
            super().addExpectedFailure(test, err)
            self._saw(test, "skipped")

        def addUnexpectedSuccess(self, test):
            super().addUnexpectedSuccess(test)
            self._saw(test, "failed")

    class Runner(unittest.TextTestRunner):
        resultclass = Result  # pyright: ignore[reportAssignmentType]

    return Runner


def main():
    exchange, tree, *arguments = sys.argv[1:]
    recorder = _recorder()
    results = recorder.Recorder(exchange)
    results.record({"kind": "begin", "runner": "unittest", "python": sys.version.split()[0]})
    recorder.add_site_packages()
    runner = _runner(results.test)
    recorder.let_in(tree)
    sys.argv = ["python -m unittest", *arguments]
    program = unittest.main(module=None, argv=sys.argv, testRunner=runner, exit=False)
    status = 5 if results.tests == 0 else int(not program.result.wasSuccessful())
    results.finish(status)
    sys.exit(status)


if __name__ == "__main__":
    main()
