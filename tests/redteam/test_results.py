"""What a tree can do to the tests that judge it: attacks are red or seen as failures, honest twins are green."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gates.results.adapter import Seen
from tests.gates.test_results import Watched

BAD = "def test_good(): pass\ndef test_bad(): assert 1 == 2\n"
CASE = "import unittest\nclass T(unittest.TestCase):\n    def test_good(self): pass\n"
BAD_CASE = CASE + "    def test_bad(self): self.assertEqual(1, 2)\n"


@dataclass(frozen=True)
class Attack:
    """`files` make a failing test look green; `says` is in the sentence; "": the test is just seen to fail."""

    name: str
    files: dict[str, str]
    says: str = ""
    arguments: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict[str, str])


def conftest(text: str, tests: str = BAD, says: str = "", name: str = "") -> Attack:
    return Attack(
        name or text.split("\n")[-2].strip()[:30],
        {"conftest.py": "import pytest, sys\n" + text, "test_a.py": tests},
        says,
    )


WRAP = "@pytest.hookimpl(hookwrapper=True, {order}=True)\ndef {hook}({args}):\n    done = yield\n"
PYTEST_ATTACKS = [
    conftest(
        WRAP.format(order="tryfirst", hook="pytest_runtest_makereport", args="item, call")
        + "    done.get_result().outcome = 'passed'\n",
        says="although it raised AssertionError",
        name="makereport",
    ),
    conftest(
        "@pytest.hookimpl(tryfirst=True)\ndef pytest_runtest_logreport(report):\n    report.outcome = 'passed'\n",
        says="although it raised AssertionError",
        name="logreport",
    ),
    conftest("def pytest_report_teststatus(report, config):\n    return 'passed', '.', 'PASSED'\n", name="teststatus"),
    conftest(
        "@pytest.hookimpl(tryfirst=True)\ndef pytest_pyfunc_call(pyfuncitem):\n    return True\n",
        says="made to fail was not reported as failed",
        name="no test is called",
    ),
    conftest(
        "@pytest.hookimpl(tryfirst=True)\ndef pytest_pyfunc_call(pyfuncitem):\n"
        "    return True if pyfuncitem.name == 'test_bad' else None\n",
        says="not run by pytest itself",
        name="one test is not called",
    ),
    conftest(
        WRAP.format(order="trylast", hook="pytest_pyfunc_call", args="pyfuncitem") + "    done.force_result(True)\n",
        says="although it raised",
        name="exceptions are swallowed",
    ),
    conftest(
        "def pytest_collection_modifyitems(items):\n    for item in items: item.obj = lambda: None\n",
        says="made to fail was not reported as failed",
        name="functions are replaced",
    ),
    conftest(
        "from _pytest.reports import TestReport\n"
        "def pytest_runtest_protocol(item, nextitem):\n"
        "    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)\n"
        "    for when in ('setup', 'call', 'teardown'):\n"
        "        item.ihook.pytest_runtest_logreport(report=TestReport(\n"
        "            item.nodeid, item.location, {}, 'passed', None, when))\n"
        "    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)\n"
        "    return True\n",
        says="not run by pytest itself",
        name="protocol",
    ),
    conftest("def pytest_sessionfinish(session):\n    session.exitstatus = 0\n", says="exit code is 0", name="status"),
    conftest("import os\ndef pytest_sessionfinish(session):\n    os._exit(0)\n", says="before pytest was finished"),
    conftest(
        "import os\ndef pytest_unconfigure(config):\n    os._exit(0)\n", says="before pytest was finished", name="end"
    ),
    conftest(
        "def pytest_collection_finish(session):\n    manager = session.config.pluginmanager\n"
        "    for one in list(manager.get_plugins()):\n"
        "        if type(one).__name__ == 'Watcher': manager.unregister(one)\n",
        says="",
        name="the watcher is unregistered",
    ),
    conftest(
        "import _pytest.runner as runner\nfrom _pytest.reports import TestReport\n"
        "def fake(item, log=True, nextitem=None):\n"
        "    for when in ('setup', 'call', 'teardown'):\n"
        "        item.ihook.pytest_runtest_logreport(report=TestReport(\n"
        "            item.nodeid, item.location, {}, 'passed', None, when))\n"
        "runner.runtestprotocol = fake\n",
        says="not run by pytest itself",
        name="patched runner",
    ),
    conftest(
        "import _pytest.runner as runner\nold = runner.CallInfo.from_call.__func__\n"
        "def quiet(cls, func, when, reraise=None, **more):\n"
        "    call = old(cls, func, when, reraise, **more)\n    call.excinfo = None\n    return call\n"
        "runner.CallInfo.from_call = classmethod(quiet)\n",
        says="although it raised",
        name="patched CallInfo",
    ),
    conftest(
        "class Liar(str):\n    def __eq__(self, other): return True\n    __hash__ = str.__hash__\n"
        + WRAP.format(order="tryfirst", hook="pytest_runtest_makereport", args="item, call")
        + "    done.get_result().outcome = Liar('passed')\n",
        says="exit code is 1",
        name="equal to all",
    ),
    conftest(
        WRAP.format(order="tryfirst", hook="pytest_runtest_makereport", args="item, call").replace(
            "    done = yield\n", "    item._excinfo = None\n    call.excinfo = None\n    yield\n"
        ),
        BAD_CASE,
        says="although it raised",
        name="a TestCase's failure is forgotten",
    ),
    conftest("sys.exit(0)\n", name="exit at import of conftest"),
    Attack("exit at import", {"test_a.py": "import sys\nsys.exit(0)\n", "test_b.py": BAD}, "internal error"),
    Attack(
        "os._exit in a test", {"test_a.py": BAD + "def test_z():\n    import os\n    os._exit(0)\n"}, "before pytest"
    ),
    Attack("atexit", {"test_a.py": "import atexit, os\natexit.register(os._exit, 0)\n" + BAD}, "exit code 0 although"),
    Attack("addopts selects", {"pytest.ini": "[pytest]\naddopts = -k nothing_at_all\n", "test_a.py": BAD}),
    Attack(
        "a plugin through addopts",
        {
            "pytest.ini": "[pytest]\naddopts = -p evil\n",
            "evil.py": "def pytest_pyfunc_call(pyfuncitem): return True\n",
            "test_a.py": BAD,
        },
        "made to fail was not reported",
    ),
    Attack(
        "a plugin through metadata",
        {
            "evil-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: evil\nVersion: 1\n",
            "evil-1.dist-info/entry_points.txt": "[pytest11]\nevil = evil\n",
            "evil.py": "def pytest_pyfunc_call(pyfuncitem): return True\n",
            "test_a.py": BAD,
        },
        "made to fail was not reported",
    ),
    Attack("a pytest.py", {"pytest.py": "import os\nos._exit(0)\n", "test_a.py": BAD}),
    Attack(
        "sitecustomize",
        {
            "lib/sitecustomize.py": "import os\nos._exit(0)\n",
            "lib/usercustomize.py": "import os\nos._exit(0)\n",
            "test_a.py": BAD,
        },
        env={"PYTHONPATH": "lib"},
    ),
    Attack("a filter that matches nothing", {"test_a.py": BAD}, arguments=("-k", "nothing_at_all")),
    Attack("xfail", {"test_a.py": "import pytest\n@pytest.mark.xfail\ndef test_bad(): assert 0\n"}),
    Attack(
        "patched json, hmac, hashlib and os",
        {
            "test_a.py": "import builtins, hashlib, hmac, json, json.encoder, os\n"
            "json.JSONEncoder.encode = json.dumps = lambda *a, **k: '{}'\n"
            "json.encoder.c_make_encoder = None\n"
            "hmac.HMAC.update = hmac.HMAC.hexdigest = hmac.new = lambda *a, **k: '00'\n"
            "hashlib.sha256 = None\nreal = os.write\nos.write = lambda fd, data: len(data)\n" + BAD
        },
    ),
    Attack(
        "a thread writes records",
        {
            "test_a.py": "import glob, os, threading\n"
            "def forge():\n"
            "    for path in glob.glob('../exchange/results.jsonl'):\n"
            '        with open(path, \'a\') as file: file.write(\'00 {"kind":"finish","status":0,"tests":1}\\n\')\n'
            "thread = threading.Thread(target=forge)\nthread.start()\nthread.join()\n" + BAD
        },
        "not written by the launcher",
    ),
    Attack(
        "planted records",
        {"../exchange/results.jsonl": '{"kind":"finish","status":0,"tests":1}\n', "test_a.py": BAD},
    ),
]


def is_green(seen: Seen) -> bool:
    """Whether somebody could take this for a proof."""
    return not seen.problems and not seen.fault and set(seen.outcomes.values()) - {"skipped"} == {"passed"}


@pytest.mark.parametrize("attack", PYTEST_ATTACKS, ids=lambda attack: attack.name)
def test_no_tree_turns_a_failing_pytest_test_green(tmp_path: Path, attack: Attack) -> None:
    watched = Watched(tmp_path)
    seen = watched.run("pytest", attack.files, *attack.arguments, **attack.env)
    assert not is_green(seen), watched.output
    assert attack.says in "; ".join(seen.problems), (seen, watched.output)


HONEST = [
    conftest(
        WRAP.format(order="tryfirst", hook="pytest_runtest_makereport", args="item, call")
        + "    item.rep = done.get_result()\n",
        "def test_good(): pass\n",
        name="makereport",
    ),
    conftest(
        "def pytest_collection_modifyitems(items):\n"
        "    for item in items:\n        if 'slow' in item.keywords: item.add_marker(pytest.mark.skip)\n"
        "def pytest_configure(config): config.addinivalue_line('markers', 'slow: x')\n",
        "import pytest\n@pytest.mark.slow\ndef test_slow(): assert 0\ndef test_good(): pass\n",
        name="slow tests are skipped",
    ),
    conftest(
        "@pytest.fixture(autouse=True, scope='module')\ndef once(request):\n"
        "    assert not hasattr(request.module, 'ready')\n    request.module.ready = True\n    yield\n"
        "    del request.module.ready\n",
        "def test_one(): assert ready\nclass TestX:\n    def test_two(self): assert ready\n" + CASE,
        name="fixtures of a module",
    ),
    Attack("-k", {"test_a.py": BAD}, arguments=("-k", "good")),
    Attack("-x", {"test_a.py": "def test_one(): pass\ndef test_two(): pass\n"}, arguments=("-x", "--maxfail=1")),
    Attack("classes", {"test_a.py": "def test_one(): pass\n" + CASE.replace("T(", "A(") + CASE.replace("T(", "B(")}),
    Attack(
        "set up once for each class",
        {
            "test_a.py": "import unittest\nopened = []\nclass T(unittest.TestCase):\n"
            "    @classmethod\n    def setUpClass(cls): opened.append(cls)\n"
            "    def test_one(self): self.assertEqual(len(opened), 1)\n"
            "    def test_two(self): self.assertEqual(len(opened), 1)\n"
            "def test_plain(): assert len(opened) <= 1\n"
        },
    ),
    Attack(
        "async",
        {
            "test_a.py": "import unittest\nclass T(unittest.IsolatedAsyncioTestCase):\n"
            "    async def test_d(self): pass\n"
        },
    ),
]


@pytest.mark.parametrize("twin", HONEST, ids=lambda twin: twin.name)
def test_control_honest_trees_are_green_and_see_nothing_of_the_tripwires(tmp_path: Path, twin: Attack) -> None:
    watched = Watched(tmp_path)
    seen = watched.run("pytest", twin.files, "--junitxml=out.xml", *twin.arguments)
    assert is_green(seen), (seen, watched.output)
    assert (seen.tripwire, watched.exit_code) == ("tripped", 0), watched.output
    passed = sum(1 for outcome in seen.outcomes.values() if outcome == "passed")
    assert f"{passed} passed" in watched.output
    assert " failed" not in watched.output
    assert " error" not in watched.output
    assert "<failure" not in (watched.tree / "out.xml").read_text(encoding="utf-8")


UNITTEST_ATTACKS = [
    Attack(
        "os._exit",
        {"test_a.py": BAD_CASE + "    def test_z(self):\n        import os\n        os._exit(0)\n"},
        "before unittest",
    ),
    Attack(
        "atexit", {"test_a.py": "import atexit, os\natexit.register(os._exit, 0)\n" + BAD_CASE}, "exit code 0 although"
    ),
    Attack("exit at import", {"test_a.py": "import sys\nsys.exit(0)\n"}),
    Attack("a unittest.py", {"unittest.py": "import os\nos._exit(0)\n", "test_a.py": BAD_CASE}),
    Attack(
        "expectedFailure",
        {
            "test_a.py": BAD_CASE.replace(
                "    def test_bad", "    @unittest.expectedFailure\n    def test_bad"
            ).replace("    def test_good(self): pass\n", "")
        },
    ),
    Attack(
        "a class that swallows",
        {
            "test_a.py": BAD_CASE + "    def run(self, result=None):\n        result.startTest(self)\n"
            "        result.addSuccess(self)\n        result.stopTest(self)\n"
        },
        "made to fail was not reported as failed",
    ),
    Attack(
        "a class that swallows one",
        {
            "test_a.py": BAD_CASE + "    def run(self, result=None):\n"
            "        if self._testMethodName != 'test_bad': return super().run(result)\n"
            "        result.startTest(self)\n        result.addSuccess(self)\n        result.stopTest(self)\n"
        },
        "not run by unittest itself",
    ),
    Attack(
        "a patched result",
        {
            "test_a.py": BAD_CASE.replace("self.assertEqual(1, 2)", "self.result_lies()")
            + "    def result_lies(self):\n        kind = type(self._outcome.result)\n"
            "        kind.addFailure = lambda own, test, error: own.addSuccess(test)\n        self.assertEqual(1, 2)\n"
        },
        "although it raised AssertionError",
    ),
    Attack(
        "a suite that lies",
        {
            "test_a.py": BAD_CASE + "class Liar(unittest.TestSuite):\n    def run(self, result, debug=False):\n"
            "        for test in self:\n"
            "            result.startTest(test)\n            result.addSuccess(test)\n"
            "            result.stopTest(test)\n"
            "        return result\n"
            "def load_tests(loader, tests, pattern): return Liar([T('test_bad')])\n"
        },
        "not run by unittest itself",
    ),
    Attack(
        "a metaclass",
        {
            "test_a.py": "import unittest\nclass M(type):\n"
            "    def __call__(cls, *a): \n        made = super().__call__(*a)\n"
            "        setattr(made, a[0], lambda: None)\n        return made\n"
            "class T(unittest.TestCase, metaclass=M):\n    def test_good(self): pass\n"
            "    def test_bad(self): self.fail()\n"
        },
        "made to fail was not reported as failed",
    ),
    Attack("a filter that matches nothing", {"test_a.py": BAD_CASE}, arguments=("-k", "nothing_at_all")),
    Attack(
        "sitecustomize",
        {"lib/sitecustomize.py": "import os\nos._exit(0)\n", "test_a.py": BAD_CASE},
        env={"PYTHONPATH": "lib"},
    ),
]


@pytest.mark.parametrize("attack", UNITTEST_ATTACKS, ids=lambda attack: attack.name)
def test_no_tree_turns_a_failing_unittest_test_green(tmp_path: Path, attack: Attack) -> None:
    watched = Watched(tmp_path)
    seen = watched.run("unittest", attack.files, *attack.arguments, **attack.env)
    assert not is_green(seen), watched.output
    assert attack.says in "; ".join(seen.problems), (seen, watched.output)


def test_control_an_honest_unittest_tree_is_green_and_sees_nothing_of_the_tripwires(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    text = CASE + "    def test_more(self): self.assertFalse([n for n in dir(type(self)) if n.startswith('test_') "
    text += "and n not in ('test_good', 'test_more')])\n"
    seen = watched.run("unittest", {"test_a.py": text}, "--failfast")
    assert seen == Seen({"test_a.T.test_good": "passed", "test_a.T.test_more": "passed"}, tripwire="tripped")
    assert "Ran 2 tests" in watched.output
    assert "OK" in watched.output
