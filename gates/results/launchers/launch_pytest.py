"""`python -I -S launch_pytest.py EXCHANGE TREE [pytest's arguments]`: pytest with a plugin object of our own.

pytest and the plugin are imported before the tree enters `sys.path`. The plugin keeps the raw exception of every phase,
so a conftest.py that turns a failed report into a passed one is contradicted.
"""

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


def _plugin(pytest, results):
    """The plugin object that records each test through `results`."""
    harmless = (pytest.skip.Exception, pytest.xfail.Exception, unittest.SkipTest)
    record, record_test = results.record, results.test
    outcomes, raised = {}, {}

    class Watcher:
        @pytest.hookimpl(tryfirst=True)
        def pytest_collectreport(self, report):
            if report.failed:
                record({"kind": "uncollected", "id": report.nodeid})

        @pytest.hookimpl(trylast=True)
        def pytest_collection_finish(self, session):
            record({"kind": "planned", "ids": [item.nodeid for item in session.items]})

        @pytest.hookimpl(hookwrapper=True, trylast=True)
        def pytest_runtest_call(self, item):
            done = yield
            if done.excinfo is not None and not issubclass(done.excinfo[0], harmless):
                raised.setdefault(item.nodeid, done.excinfo[0].__name__)

        @pytest.hookimpl(hookwrapper=True, trylast=True)
        def pytest_runtest_makereport(self, item, call):
            yield
            if call.excinfo is not None and not isinstance(call.excinfo.value, harmless):
                raised.setdefault(item.nodeid, call.excinfo.typename)

        @pytest.hookimpl(trylast=True)
        def pytest_runtest_logreport(self, report):
            before = outcomes.get(report.nodeid)
            if report.outcome not in ("passed", "skipped"):
                outcomes[report.nodeid] = "failed"
            elif before != "failed":
                if report.outcome == "skipped" or hasattr(report, "wasxfail"):
                    outcomes[report.nodeid] = "skipped"
                elif report.when == "call" and before != "skipped":
                    outcomes[report.nodeid] = "passed"

        @pytest.hookimpl(trylast=True)
        def pytest_runtest_logfinish(self, nodeid):
            outcome, note = outcomes.pop(nodeid, "failed"), raised.pop(nodeid, "")
            if outcome != "passed":
                note = ""
            record_test(nodeid, "failed" if note else outcome, note)

    return Watcher()


def main():
    exchange, tree, *arguments = sys.argv[1:]
    recorder = _recorder()
    results = recorder.Recorder(exchange)
    recorder.add_site_packages()
    try:
        import pytest
    except ImportError as error:
        results.record({"kind": "missing", "what": str(error), "program": sys.executable})
        sys.exit(recorder.CANNOT_START)
    results.record({"kind": "begin", "runner": "pytest " + pytest.__version__, "python": sys.version.split()[0]})
    plugin = _plugin(pytest, results)
    recorder.let_in(tree)
    sys.argv = ["pytest", *arguments]
    own = ["-p", "no:cacheprovider"]
    if not any(argument.startswith("--rootdir") for argument in arguments):
        own.append("--rootdir=" + tree)
    status = int(pytest.main([*own, *arguments], plugins=[plugin]))
    results.finish(status)
    sys.exit(status)


if __name__ == "__main__":
    main()
