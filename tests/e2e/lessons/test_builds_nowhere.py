"""A bisect once accused the first commit because the canary could be built nowhere, and left figures in the tree."""

from __future__ import annotations

import pytest
from command_line import SETTINGS, Desk, Ended, order
from conftest import MakeDesk

FLOW = """
[[canary.flow]]
name = "smoke"
package = ["python3", "make.py"]
artifact = "out/app.py"
start = { run = ["python3", "-u", "{artifact}"], ready = { log = "ready" }, within = "10s" }
steps = [{ assert = { no_log = "ERROR" } }]
"""
ONE_ATTEMPT = SETTINGS.replace("implementers = 2", "implementers = 1\nattempts = 1")
MAKE = """\
import pathlib, py_compile, shutil

py_compile.compile("src/app.py", doraise=True)
pathlib.Path("out").mkdir(exist_ok=True)
shutil.copy("src/app.py", "out/app.py")
"""
APP = "import sys\nprint('ready')\nsys.stdin.read()\n"


def night(make_desk: MakeDesk, make: str, *orders: str) -> tuple[Desk, Ended]:
    desk = make_desk(*orders, settings=ONE_ATTEMPT + FLOW, **{"make.py": make, "src/app.py": APP})
    return desk, desk.until_idle()


@pytest.mark.slow
def test_a_canary_that_can_be_built_nowhere_blames_nobody_and_leaves_the_tree_clean(make_desk: MakeDesk) -> None:
    orders = (order("one", "write a.txt hello"), order("two", "write b.txt hello", depends_on=["one"]))
    desk, ended = night(make_desk, "raise SystemExit('no compiler here')\n", *orders)
    assert ended.of("canary_finished")
    assert {row["verdict"] for row in ended.of("canary_judged")} == {"INCONCLUSIVE"}
    for kind in ("main_restored", "culprit_found", "change_reverted", "work_order_added"):
        assert ended.of(kind) == []
    assert (desk.has("a.txt"), desk.has("b.txt"), ended.summary["last_good"]) == (True, True, "")
    assert desk.git("status", "--porcelain", "--ignored", "--untracked-files=all") == ""
    assert set(desk.git("diff", "--name-only", "main~2", "main").splitlines()) == {"a.txt", "b.txt"}


@pytest.mark.slow
def test_one_landing_that_breaks_the_build_is_blamed(make_desk: MakeDesk) -> None:
    orders = (order("one", "write a.txt hello"), order("two", "write src/app.py def (", depends_on=["one"]))
    desk, ended = night(make_desk, MAKE, *orders)
    assert {row["work_order"] for row in ended.of("change_reverted")} == {"two"}
    assert desk.has("a.txt")
    assert desk.git("show", "main:src/app.py") == APP.strip()
