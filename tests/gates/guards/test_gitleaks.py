"""gitleaks beside our own guard: what it finds in new lines counts, whatever the change says about gitleaks itself."""

from __future__ import annotations

import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import InfrastructureFault
from engine.models.report import GuardResult
from engine.process.environment import allowed_environment
from engine.process.programs import Programs
from gates.guards.gitleaks import Gitleaks, installed_gitleaks
from gates.guards.secrets import SecretsGuard
from tests.gates.guards.changes import Base, Files, change
from tests.gates.guards.test_secrets import UPPER, chance

STAND_IN = """\
import json, os, pathlib, sys

words = sys.argv[1:]
if words == ["version"]:
    print("v8.19.0")
    sys.exit()
assert words[0] == "dir" and words[-1] == ".", words
options = dict(word.removeprefix("--").partition("=")[::2] for word in words[1:-1])
assert {"no-banner", "no-color", "redact", "ignore-gitleaks-allow"} <= set(options), options
assert options["exit-code"] == "0" and options["report-format"] == "json", options
settings, ignored = pathlib.Path(options.get("config", "none")), pathlib.Path(options["gitleaks-ignore-path"])
exempt = settings.read_text() if settings.is_file() else ""
for place in (ignored, pathlib.Path(".")):
    if (place / ".gitleaksignore").is_file():
        exempt += (place / ".gitleaksignore").read_text()
if pathlib.Path(".gitleaks.toml").is_file() and not settings.is_file():
    exempt += pathlib.Path(".gitleaks.toml").read_text()
rows = []
for folder, _, names in os.walk("."):
    for name in names:
        path = pathlib.Path(folder, name)
        for number, line in enumerate(path.read_bytes().split(b"\\n"), 1):
            if b"hush" in line and path.as_posix() not in exempt.split():
                rows.append({"RuleID": "hushed", "File": str(path), "StartLine": number, "EndLine": number})
pathlib.Path(options["report-path"]).write_text(json.dumps(rows))
"""
"""Speaks as gitleaks 8.28 does; a secret is a line with "hush" in it, and its settings name files to leave out."""


MALFORMED = """\
import sys
report = next(word for word in sys.argv if word.startswith("--report-path="))
open(report.partition("=")[2], "w").write("[{}]")
"""


@pytest.fixture
def gitleaks(tmp_path: Path) -> Gitleaks:
    return stand_in(tmp_path, STAND_IN)


def stand_in(folder: Path, code: str) -> Gitleaks:
    program = folder / "gitleaks"
    program.write_text(f"#!{sys.executable}\n{code}", encoding="utf-8")
    program.chmod(0o755)
    if sys.platform == "win32":
        pytest.skip("a script is no program there")
    return Gitleaks(program)


def judged(gitleaks: Gitleaks | None, files: Files, base: Base | None = None, **fields: Any) -> GuardResult:
    return SecretsGuard().judge(replace(change(files, base, **fields), gitleaks=gitleaks))


def test_what_it_finds_in_a_new_line_is_refused_with_its_place(gitleaks: Gitleaks) -> None:
    files = {"src/a.py": "x = 1\nhush = 2\n", "src/b.py": "y = 1\n"}
    said = judged(gitleaks, files)
    assert (said.ok, said.paths) == (False, ["src/a.py"])
    assert "src/a.py:2 holds what gitleaks calls hushed" in said.reason
    assert judged(None, files).ok


def test_what_stood_there_before_or_was_moved_is_not_new(gitleaks: Gitleaks) -> None:
    base = {"a.py": "hush = 1\n", "old.py": "hush = 2\n"}
    assert judged(gitleaks, {"a.py": "x = 1\nhush = 1\n"}, base).ok
    assert judged(gitleaks, {"old.py": None, "new.py": "hush = 2\n"}, base).ok
    assert not judged(gitleaks, {"a.py": "hush = 1\nhush = 3\n"}, base).ok


def test_a_file_that_the_order_names_in_full_may_hold_it(gitleaks: Gitleaks) -> None:
    assert judged(gitleaks, {"a.py": "hush\n"}, allow=("a.py",)).ok
    assert not judged(gitleaks, {"a.py": "hush\n"}, allow=("*.py",)).ok
    assert judged(gitleaks, {"a.py": "hush\n"}, secrets=False).ok


@pytest.mark.parametrize("name", [".gitleaks.toml", ".gitleaksignore"])
def test_settings_and_exceptions_are_those_of_the_base(gitleaks: Gitleaks, name: str) -> None:
    assert judged(gitleaks, {"a.py": "hush\n"}, {name: "a.py"}).ok
    assert not judged(gitleaks, {"a.py": "hush\n", name: "a.py"}).ok
    assert not judged(gitleaks, {"a.py": "hush\n", f"sub/{name}": "a.py"}).ok
    assert not judged(gitleaks, {"a.py": "hush\n", name: "a.py"}, {name: "b.py"}).ok


@pytest.mark.parametrize(
    "path",
    ["é/a.py", "con.txt", "a:b", "*", ".gitleaksignore", ".GitLeaks.toml", "a\\..\\..\\b.py", "x" * 255, "-a", " "],
)
def test_a_file_with_an_awkward_name_is_looked_at_too(gitleaks: Gitleaks, path: str) -> None:
    said = judged(gitleaks, {path: "hush\n", "b.py": "y = 1\n"})
    assert said.paths == [path]


def test_files_that_differ_only_in_case_are_both_looked_at(gitleaks: Gitleaks) -> None:
    assert judged(gitleaks, {"A.py": "hush 1\n", "a.py": "hush 2\n"}).paths == ["A.py", "a.py"]


def test_a_finding_of_our_own_is_not_said_twice(gitleaks: Gitleaks) -> None:
    said = judged(gitleaks, {"a.py": f'hush = "gh{"p_"}{chance(36)}"\n'})
    assert said.reason.count("a.py:1") == 1


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ('import sys\nsys.exit(\'Error: unknown command "dir" for "gitleaks"\')', "8.19 or newer is needed"),
        ("pass", "report cannot be read"),
        (MALFORMED, "report cannot be read ('File')"),
        ("import time\ntime.sleep(60)", "was not done after 1 s"),
    ],
)
def test_when_it_cannot_look_nothing_is_let_through(tmp_path: Path, code: str, why: str) -> None:
    broken = replace(stand_in(tmp_path, code), timeout_s=1.0)
    with pytest.raises(InfrastructureFault, match=re.escape(why)) as fault:
        judged(broken, {"a.py": "x = 1\n"})
    assert str(fault.value).isprintable()
    own = judged(broken, {"a.py": f'k = "gh{"p_"}{chance(36)}"\n'})
    assert own.paths == ["a.py"], "what we know ourselves is said all the same"


def test_one_that_is_gone_lets_nothing_through(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureFault, match="cannot be run"):
        judged(Gitleaks(tmp_path / "gone"), {"a.py": "x = 1\n"})


def test_settings_that_lead_to_another_file_are_refused(gitleaks: Gitleaks) -> None:
    with pytest.raises(InfrastructureFault, match="extends another file"):
        judged(gitleaks, {"a.py": "x = 1\n"}, {".gitleaks.toml": '[extend]\npath = "ci/rules.toml"\n'})


def test_a_change_without_text_does_not_start_it(tmp_path: Path) -> None:
    assert judged(Gitleaks(tmp_path / "gone"), {"a.py": None}, {"a.py": "x\n"}).ok


def test_the_installed_one_finds_what_our_own_guard_does_not_know() -> None:
    programs = Programs(allowed_environment({}).values.get("PATH", ""))
    if shutil.which("gitleaks") is None or (real := installed_gitleaks(programs)) is None:
        pytest.skip("gitleaks is not installed")
    token = "EZ" + "AK" + chance(54)
    files = {
        "src/pay.py": f'x = 1\nkey = "{token}"  # gitleaks:allow\n',
        "src/aws.py": f'k = "AKI{"A"}{chance(16, UPPER)}"\n',
    }
    assert judged(None, {"src/pay.py": files["src/pay.py"]}).ok
    said = judged(real, files)
    assert said.paths == ["src/aws.py", "src/pay.py"]
    assert "src/pay.py:2 holds what gitleaks calls easypost" in said.reason
    assert token[8:] not in said.reason
    assert judged(real, {"src/pay.py": "x = 1\n"}).ok
    exceptions = {".gitleaks.toml": "[extend]\nuseDefault = true\n[allowlist]\npaths = ['^src/pay']\n"}
    assert judged(real, {"src/pay.py": files["src/pay.py"]}, exceptions).ok
    assert real.version()[0].isdigit()
    allowing = "[extend]\nuseDefault = true\n[[allowlists]]\npaths = ['.*']\n"
    for name in (".gitleaks.toml", ".gitleaks.toml/x", ".gitleaks", ".gitleaks.json", ".gitleaksignore"):
        bold = judged(real, {"src/pay.py": files["src/pay.py"], name: allowing})
        assert bold.paths == ["src/pay.py"]
    both = {"src/pay.py": files["src/pay.py"], ".gitleaks.toml/x": "", ".gitleaks": allowing}
    assert not judged(real, both).ok
