"""Runs every test of the catalogue on this machine and writes docs/security.md from what was seen.

python -m tests.redteam [--out FILE] [--only CASE…]
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.redteam.catalogue import Case, Catalogue, load

ROOT = Path(__file__).resolve().parents[2]
Outcomes = Mapping[str, Counter[str]]
"""`file::test` or file -> how many of its runs passed, failed, were skipped."""


def run(tests: Sequence[str]) -> dict[str, Counter[str]]:
    """Run these and read their results."""
    with tempfile.TemporaryDirectory(prefix="swarm-redteam-") as folder:
        report = Path(folder) / "junit.xml"
        options = ["-q", "-p", "no:cacheprovider", "-o", "junit_family=xunit2", f"--junit-xml={report}"]
        subprocess.run([sys.executable, "-m", "pytest", *options, *tests], cwd=ROOT, check=False)
        return outcomes(report.read_text(encoding="utf-8"))


def outcomes(junit: str) -> dict[str, Counter[str]]:
    """What a results file says, for each test and for each file."""
    found: dict[str, Counter[str]] = {}
    for row in ElementTree.fromstring(junit).iter("testcase"):
        modules = [part for part in row.get("classname", "").split(".") if not part[:1].isupper()]  # without classes
        file = "/".join(modules) + ".py"
        name = row.get("name", "").partition("[")[0]
        said = {child.tag for child in row}
        result = "failed" if said & {"failure", "error"} else "skipped" if "skipped" in said else "passed"
        for key in (f"{file}::{name}", file):
            found.setdefault(key, Counter())[result] += 1
    return found


def result_of(case: Case, seen: Outcomes) -> str:
    """What is told of a case: it holds only if each of its tests ran, and every one passed."""
    if not case.tests:
        return "not tested here"
    counts = [seen.get(test, Counter[str]()) for test in case.tests]
    total = sum(counts, Counter[str]())
    if total["failed"]:
        return f"**FAILS** ({total['failed']} of {total.total()} checks)"
    if missing := sum(not count["passed"] for count in counts):
        return f"**not shown**: {missing} of {len(counts)} tests did not run here"
    return f"holds ({total['passed']} checks)"


def page(catalogue: Catalogue, seen: Outcomes, where: str) -> str:
    """docs/security.md."""
    told = Counter(result_of(case, seen).partition(" ")[0].strip("*:") for case in catalogue.cases)
    unshown = told.total() - told["holds"] - told["FAILS"]
    lines = [
        *HEAD.splitlines(),
        "",
        f"Seen on {where}: of {told.total()} cases {told['holds']} hold, {told['FAILS']} fail, {unshown} are unshown.",
        "",
        "| layer | |",
        "|---|---|",
        *(f"| {name} | {what} |" for name, what in catalogue.layers.items()),
    ]
    for each in catalogue.classes:
        lines += ["", f"## {each.letter}. {each.title}", "", *TABLE]
        lines += [
            f"| {case.id} | {case.title} | {case.layer} | {result_of(case, seen)} | {case.why or case.rest} |"
            for case in each.cases
        ]
    return "\n".join([*lines, "", *TAIL.splitlines()]) + "\n"


TABLE = ("| | attack | layer | here | what is left |", "|---|---|---|---|---|")
HEAD = """\
# Security: what a hostile agent can and cannot do

Written by `make security-docs`, which runs the tests of `tests/redteam/catalogue.toml`; not edited by hand. An agent
is taken to be mistaken, misled or hostile. What stops it is what the engine enforces, never what a prompt asks. A case
holds when every one of its tests passed; each contains, or stands beside, a control in which the same attack succeeds
with nothing in its way, so that a missing tool never counts as protection. `swarm check` tells which promises the
sandbox of a machine was seen to keep.

Beside the cases there are whole nights (`tests/redteam/test_hostile_night.py`): nineteen hostile agents among honest
ones. All honest work lands and no hostile work does; the home folder, the repository, other workspaces and the hub's
refs stay as they are; nothing arrives outside; every hostile work order ends parked, with the rule that denied it in
the journal. The same agents without a sandbox and without limits are the control: they change all of that."""

TAIL = """\
## What is left, said openly

* **Allowed hosts.** To a host that settings or a person allow, an agent can send whatever it can read: its own key, and
  the repository. Allow the model's host and nothing more.
* **Its own key.** An agent that gets a key by `env = { KEY = "$NAME" }` has it. It is hidden from logs, prompts,
  handoffs, the journal, reports and commits, in every form the redactor knows; a change with it in a file is refused.
* **Encodings.** The redactor finds a value as it is, reversed, in base64, hex, URL and JSON form, over any chunks. It
  does not find one that is printed in pieces with other text between, in base64 with line breaks, or in an encoding of
  the agent's own.
* **Kept files.** What a run left is kept in the hub under `refs/swarm/keep`, as it is, even where a guard refused it
  for a secret. After a leak: make the key void, and delete that ref.
* **The .env of a repository** looks empty to agents, unless an order names it in full in `allow`. In git's history it
  can be read all the same: what must stay secret must not be committed. Gates see it, without any network.
* **No sandbox.** Where there is none, a process of the same user reads and writes what the user may: settings decide
  whether to run then (`[sandbox] without`, `require`), `swarm check` and every report say so. Landing stays as safe as
  with one; the person's files, keys and the engine's signing key do not.
* **Landlock** (where user namespaces are closed) does not govern modes, owners and times of files outside, and cannot
  mask files.
* **Windows and macOS.** The code for both is type-checked or tested as text only; nothing of it has run there. On
  Windows a process without administrator rights cannot be kept from reading what its user may: run in WSL2.
* **The kernel.** Sandboxes share it. Who has a fault of the kernel is outside.
* **The person.** Who approves an operation has approved it; the highest class wants a name typed, and says why.
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.redteam", description="Writes docs/security.md.")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "security.md")
    parser.add_argument("--only", nargs="*", default=[], metavar="CASE", help="run these alone; the page is printed")
    options = parser.parse_args()
    catalogue = load()
    wanted: Iterable[Case] = [case for case in catalogue.cases if not options.only or case.id in options.only]
    seen = run(list(dict.fromkeys(test for case in wanted for test in case.tests)))
    where = f"{platform.system()} {platform.release()}, {datetime.now(UTC):%Y-%m-%d}"
    if options.only:
        print("\n".join(f"{case.id} {result_of(case, seen)}" for case in wanted))
        return
    options.out.write_text(page(catalogue, seen, where), encoding="utf-8", newline="\n")
    failed = [case.id for case in catalogue.cases if "FAILS" in result_of(case, seen)]
    print(f"wrote {options.out}" + (f"; these fail: {', '.join(failed)}" if failed else ""))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
