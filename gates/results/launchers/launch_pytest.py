"""`python -I -S launch_pytest.py EXCHANGE TREE [pytest's arguments]`: pytest with a plugin object of our own.

pytest and the plugin are imported before the tree enters `sys.path`. Three things contradict a tree that turns failures
green: the raw exception of every phase, seen from inside every hook of the tree; whether the test's body ran at all;
and tripwires, freshly made tests that must fail. All tests run in this process: workers of xdist could not be watched.

A tripwire is an item in memory, made before the tree's hooks choose and change the items, one for each module, each
TestCase class and each set of marks among their tests. It runs just before its first neighbour, through every hook that
decides an outcome. Only the hooks that tell of outcomes (logstart, logreport, logfinish, interaction, warnings) reach
nobody but us, so that exit status, --maxfail, summaries and JUnit files are those of the tree's own tests. The tree
gains nothing by that: what it does to told outcomes is contradicted by the raw exceptions.
"""

import inspect
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


class _ToldToNobody:
    """A hook that calls nothing."""

    def __call__(self, **_named):
        return None

    call_historic = __call__


class _Hooks:
    """A tripwire's hooks: the real ones, but for those that tell of outcomes. `told` takes its reports."""

    pytest_runtest_logstart = pytest_runtest_logfinish = _ToldToNobody()
    pytest_exception_interact = pytest_warning_recorded = _ToldToNobody()

    def __init__(self, hooks, told):
        self._hooks, self.pytest_runtest_logreport = hooks, told

    def __getattr__(self, name):
        return getattr(self._hooks, name)


# Marks that a tripwire does not take over from its neighbour: they change whether or how often it runs.
_NOT_COPIED = frozenset(
    {
        "parametrize",
        "skip",
        "skipif",
        "xfail",
        "usefixtures",
        "flaky",
        "asyncio",
        "anyio",
        "trio",
        "dependency",
        "order",
        "run",
        "repeat",
        "xdist_group",
    }
)


class _Tripwires:
    """The tripwires of a run. A group is (module or class, names of marks); `ended`: group -> failed, passed, …"""

    def __init__(self, pytest, recorder):
        self._pytest, self._recorder = pytest, recorder
        self._function, self._method = self._item_class(pytest.Function), None
        self._group_of, self._group_made_for, self._items, self._passed, self.ended = {}, {}, {}, set(), {}
        self.all = set()

    def lay(self, items):
        """Put a tripwire before the first test of each group."""
        laid = []
        for item in items:
            group = self._group(item)
            if group is not None:
                self._group_of[item.nodeid] = group
                if group not in self._items:
                    trip = self._made(item, group)
                    self._items[group] = trip
                    self.all.add(trip)
                    laid.append(trip)
            laid.append(item)
        items[:] = laid

    def run_before(self, item):
        """Run those whose module or class begins with this item."""
        chain = item.listchain()[:-1]
        begin = [group for group in self._items if group not in self.ended and group[0] in chain]
        # The module's before the class's: a class that is set up is not left again for a test of its module.
        for group in sorted(begin, key=lambda group: chain.index(group[0])):
            self.ended[group] = "not run"
            trip = self._items[group]
            item.config.hook.pytest_runtest_protocol(item=trip, nextitem=item)
            if isinstance(group[0].obj, type):
                delattr(group[0].obj, trip.name)

    def passed(self, nodeid):
        if nodeid in self._group_of:
            self._passed.add(self._group_of[nodeid])

    def record(self):
        """What is recorded of them: a test that passed is worth nothing where a must-fail test did not fail."""
        silent = sorted({group[0].nodeid for group in self._passed if self.ended.get(group) != "failed"})
        tripped = sum(1 for end in self.ended.values() if end == "failed")
        return {"kind": "tripwires", "tripped": tripped, "silent": silent}

    def _group(self, item):
        if not isinstance(item, self._pytest.Function):
            return None
        owner = item.getparent(self._pytest.Module)
        if isinstance(getattr(item, "cls", None), type) and issubclass(item.cls, unittest.TestCase):
            owner = item.parent
        return None if owner is None else (owner, tuple(sorted({mark.name for mark in self._marks(item)})))

    def _marks(self, item):
        return [mark for mark in item.own_markers if mark.name not in _NOT_COPIED]

    def _made(self, item, group):
        owner = group[0]
        method = isinstance(getattr(owner, "obj", None), type)
        taken = {*dir(owner.obj), *(test.name for test in self.all)}
        name, function = self._recorder.tripwire(str(item.path), taken, "self" if method else "")
        if method:
            setattr(owner.obj, name, function)
            self._method = self._method or self._item_class(type(item))
            trip = self._method.from_parent(owner, name=name, callobj=function)
        else:
            trip = self._function.from_parent(owner, name=name, callobj=function)
        for mark in self._marks(item):
            trip.add_marker(getattr(self._pytest.mark, mark.name).with_args(*mark.args, **mark.kwargs))
        self._group_made_for[trip] = group
        return trip

    def _item_class(self, kind):
        told = self._told

        def hooks(item):
            return _Hooks(kind.ihook.fget(item), lambda report: told(item, report))

        return type(kind)(kind.__name__, (kind,), {"ihook": property(hooks), "__module__": kind.__module__})

    def _told(self, item, report):
        group = self._group_made_for[item]
        if report.outcome not in ("passed", "skipped"):
            self.ended[group] = "failed"
        elif self.ended.get(group) != "failed":
            self.ended[group] = "skipped" if report.outcome == "skipped" or hasattr(report, "wasxfail") else "passed"


def _plugins(pytest, results, recorder, tree, wanted):
    """(the plugin that watches, what is to be called when pytest has ended)."""
    from _pytest import python as python_plugin

    harmless = (pytest.skip.Exception, pytest.xfail.Exception, unittest.SkipTest)
    checks = (AssertionError, pytest.fail.Exception)
    record, record_test, tripwires = results.record, results.test, _Tripwires(pytest, recorder)
    outcomes, raised, how, called, bodies = {}, {}, {}, set(), set()

    def raised_by(item, when, kind, traceback):
        if issubclass(kind, harmless):
            return
        raised.setdefault(item.nodeid, kind.__name__)
        if when != "call":
            how.setdefault(item.nodeid, "error")
        elif issubclass(kind, checks):
            how.setdefault(item.nodeid, "assertion")
        else:
            how.setdefault(item.nodeid, recorder.failed_by(kind, traceback, str(item.path)))

    def has_own_body(item):
        """Whether pytest itself has to run the body: of a plain function, where nobody of outside the tree does it."""
        if type(item) is not pytest.Function or inspect.isasyncgenfunction(item.obj):
            return False
        if inspect.iscoroutinefunction(inspect.unwrap(item.obj)):
            return False
        others = [one for one in item.ihook.pytest_pyfunc_call.get_hookimpls() if one.plugin_name != "anyio"]
        others = [one.function for one in others if not (one.hookwrapper or getattr(one, "wrapper", False))]
        files = [getattr(getattr(one, "__code__", None), "co_filename", "") for one in others]
        return all(file.startswith(tree) or file == __file__ for file in files)

    class Innermost:
        """Registered after every conftest, so that its wrappers stand inside of theirs."""

        @pytest.hookimpl(hookwrapper=True, trylast=True)
        def pytest_runtest_setup(self, item):
            done = yield
            if done.excinfo is not None:
                raised_by(item, "setup", done.excinfo[0], done.excinfo[2])

        @pytest.hookimpl(hookwrapper=True, trylast=True)
        def pytest_runtest_call(self, item):
            done = yield
            called.add(item.nodeid)
            if done.excinfo is not None:
                raised_by(item, "call", done.excinfo[0], done.excinfo[2])
            for excinfo in getattr(item, "_excinfo", None) or ():
                raised_by(item, "call", excinfo.type, excinfo.tb)

        @pytest.hookimpl(hookwrapper=True, trylast=True)
        def pytest_runtest_teardown(self, item):
            done = yield
            if done.excinfo is not None:
                raised_by(item, "teardown", done.excinfo[0], done.excinfo[2])

    def watch_bodies(config):
        for one in config.hook.pytest_pyfunc_call.get_hookimpls():
            if one.plugin is python_plugin:
                own = one.function

                def run(pyfuncitem, own=own):
                    bodies.add(pyfuncitem.nodeid)
                    try:
                        return own(pyfuncitem)
                    except BaseException as error:
                        raised_by(pyfuncitem, "call", type(error), error.__traceback__)
                        raise

                one.function = run

    def doubt(item_id, outcome):
        """Why a pass is not believed, as the end of a sentence."""
        if outcome != "passed":
            return ""
        if item_id in raised:
            return "it raised " + raised[item_id]
        return "" if item_id in called and item_id not in must_run - bodies else "it was not run by pytest itself"

    must_run = set()

    class Watcher:
        @pytest.hookimpl(tryfirst=True)
        def pytest_configure(self, config):
            for name, value in (("dist", "no"), ("tx", []), ("numprocesses", None)):
                if hasattr(config.option, name):
                    setattr(config.option, name, value)
            files = dict.fromkeys(name.partition("::")[0] for name in wanted or ())
            there = [name for name in files if name.endswith(".py") and (Path(tree) / name).is_file()]
            # In an argument, pytest takes a bracket for the beginning of parameters.
            if there and all(name.endswith(".py") and "[" not in name for name in files):
                config.args[:] = [str(Path(tree) / name) for name in there]

        @pytest.hookimpl(tryfirst=True)
        def pytest_collectreport(self, report):
            if report.failed:
                record({"kind": "uncollected", "id": report.nodeid})

        @pytest.hookimpl(hookwrapper=True, tryfirst=True)
        def pytest_collection_modifyitems(self, items):
            if wanted is not None:
                items[:] = [item for item in items if recorder.is_selected(item.nodeid, wanted)]
            before = [item.nodeid for item in items]
            tripwires.lay(items)
            yield
            items[:] = [item for item in items if item not in tripwires.all]
            kept = {item.nodeid for item in items}
            record({"kind": "deselected", "ids": [name for name in before if name not in kept]})

        @pytest.hookimpl(tryfirst=True)
        def pytest_deselected(self, items):
            if isinstance(items, list):
                items[:] = [item for item in items if item not in tripwires.all]

        @pytest.hookimpl(trylast=True)
        def pytest_collection_finish(self, session):
            record({"kind": "planned", "ids": [item.nodeid for item in session.items]})

        @pytest.hookimpl(hookwrapper=True, tryfirst=True)
        def pytest_runtestloop(self, session):
            watch_bodies(session.config)
            session.config.pluginmanager.register(Innermost())
            must_run.update(item.nodeid for item in session.items if has_own_body(item))
            yield

        @pytest.hookimpl(hookwrapper=True, tryfirst=True)
        def pytest_runtest_protocol(self, item):
            if item not in tripwires.all:
                tripwires.run_before(item)
            yield

        @pytest.hookimpl(hookwrapper=True, trylast=True)
        def pytest_runtest_makereport(self, item, call):
            yield
            if call.excinfo is not None:
                raised_by(item, call.when, call.excinfo.type, call.excinfo.tb)

        @pytest.hookimpl(trylast=True)
        def pytest_runtest_logreport(self, report):
            before = outcomes.get(report.nodeid)
            if report.outcome not in ("passed", "skipped"):
                outcomes[report.nodeid] = "failed"
                how.setdefault(report.nodeid, "assertion" if report.when == "call" else "error")
            elif before != "failed":
                if report.outcome == "skipped" or hasattr(report, "wasxfail"):
                    outcomes[report.nodeid] = "skipped"
                elif report.when == "call" and before != "skipped":
                    outcomes[report.nodeid] = "passed"

        @pytest.hookimpl(trylast=True)
        def pytest_runtest_logfinish(self, nodeid):
            outcome = outcomes.pop(nodeid, "failed")
            note = doubt(nodeid, outcome)
            if outcome == "passed":
                tripwires.passed(nodeid)
            outcome = "failed" if note else outcome
            record_test(nodeid, outcome, note, how.get(nodeid, "assertion") if outcome == "failed" else "")
            for seen in (called, bodies):
                seen.discard(nodeid)
            for seen in (raised, how):
                seen.pop(nodeid, None)

    return Watcher(), lambda: record(tripwires.record())


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
    arguments, wanted = recorder.selection(arguments)
    plugin, conclude = _plugins(pytest, results, recorder, tree, wanted)
    recorder.let_in(tree)
    sys.argv = ["pytest", *arguments]
    own = ["-p", "no:cacheprovider"]
    if not any(argument.startswith("--rootdir") for argument in arguments):
        own.append("--rootdir=" + tree)
    status = int(pytest.main([*own, *arguments], plugins=[plugin]))
    conclude()
    results.finish(status)
    sys.exit(status)


if __name__ == "__main__":
    main()
