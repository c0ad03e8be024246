"""What is installed, with what, and by which commands: a newcomer needs Python, git and make, and nothing else."""

from __future__ import annotations

import importlib
import re
import subprocess
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from engine.loading import load_roadmap, load_settings, read_roadmap, read_settings

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("swarm_tui", "engine", "roles", "gates", "canary")
BASE = {
    "textual", "rich", "pydantic", "httpx", "gitpython", "watchfiles", "psutil", "tomlkit", "typer", "platformdirs",
    "cryptography", "agent-client-protocol", "pyte", "wcwidth",
}  # fmt: skip


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def lock() -> str:
    return (ROOT / "requirements-dev.lock").read_text(encoding="utf-8")


def names(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(each).name) for each in requirements}


def locked(lock: str) -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE)}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_tests_import_the_packages_beside_them(package: str) -> None:
    module = importlib.import_module(package)
    assert Path(module.__path__[0]).resolve() == ROOT / package


def test_base_dependencies_are_those_of_the_architecture(project: dict[str, Any]) -> None:
    assert names(project["dependencies"]) == BASE


def test_the_product_imports_only_what_it_declares(project: dict[str, Any]) -> None:
    """Every third-party package that is imported at the top of a module is a base dependency."""
    modules = {"git": "gitpython", "acp": "agent-client-protocol", "pydantic_core": "pydantic", "click": "typer"}
    stdlib = importlib.import_module("sys").stdlib_module_names
    foreign: dict[str, Path] = {}
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            if file.is_relative_to(ROOT / "swarm_tui" / "demo" / "repository"):
                continue
            for name in re.findall(r"^(?:import|from) (\w+)", file.read_text(encoding="utf-8"), re.MULTILINE):
                if name not in stdlib and name not in PACKAGES and modules.get(name, name) not in BASE:
                    foreign.setdefault(name, file)
    # A gate's launcher runs in the tree's own environment, where its test runner is.
    launchers = ROOT / "gates" / "results" / "launchers"
    # The served room is a package of its own behind an extra, loaded when `swarm serve` is asked for.
    web = ROOT / "swarm_tui" / "web"
    # So is the arithmetic of pictures, loaded when a flow compares some.
    pixels = ROOT / "canary" / "pixel_math.py"
    apart = {name: file for name, file in foreign.items() if not file.is_relative_to(launchers) and file != pixels}
    assert {name for name, file in foreign.items() if file == pixels} <= names(
        project["optional-dependencies"]["pixels"]
    )
    assert {name for name, file in apart.items() if file.is_relative_to(web)} <= names(
        project["optional-dependencies"]["web"]
    )
    assert {name: file for name, file in apart.items() if not file.is_relative_to(web)} == {}


def test_the_lock_pins_every_declared_requirement_in_its_range(project: dict[str, Any], lock: str) -> None:
    pinned = locked(lock)
    declared = [Requirement(each) for each in (*project["dependencies"], *project["optional-dependencies"]["dev"])]
    missing = [str(each) for each in declared if canonicalize_name(each.name) not in pinned]
    assert not missing, "run make lock"
    outside = [str(each) for each in declared if not each.specifier.contains(pinned[canonicalize_name(each.name)])]
    assert not outside, "run make lock"


def test_every_entry_of_the_lock_has_hashes(lock: str) -> None:
    entries = re.split(r"^(?=[\w.-]+==)", lock, flags=re.MULTILINE)[1:]
    assert len(entries) > len(BASE)
    assert [entry.split()[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_the_lock_names_no_place_to_download_from(lock: str) -> None:
    assert not re.search(r"://|--index|--extra-index|--find-links|--trusted-host|^-", lock, re.MULTILINE)


def test_the_lock_marks_what_only_windows_needs(lock: str) -> None:
    assert re.search(r"^colorama==\S+ ; sys_platform == 'win32'", lock, re.MULTILINE)


def test_the_wheel_has_the_five_packages_with_their_data_and_nothing_else(tmp_path: Path) -> None:
    (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with zipfile.ZipFile(wheel) as archive:
        files = {name for name in archive.namelist() if ".dist-info/" not in name}
        entry_points = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "swarm = swarm_tui.cli:main" in archive.read(entry_points).decode()
    assert {name.split("/")[0] for name in files} == set(PACKAGES)
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                assert file.relative_to(ROOT).as_posix() in files


def test_make_knows_the_targets_of_the_readme() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    promised = set(re.findall(r"(?:^|`)make ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.M))
    assert {"demo", "test"} <= promised <= targets
    assert {"test-all", "lint", "types", "contracts", "bench", "lock", "clean", "help"} <= targets


def test_ci_runs_the_test_command_of_the_readme_and_stops_at_the_first_failure() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "set -euo pipefail" in script
    positions = [script.index(f"make {target}") for target in ("test\n", "test-slow", "lint", "types", "contracts")]
    assert positions == sorted(positions)
    done = subprocess.run(["bash", "-n", ".ci/run"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_projects_own_settings_and_roadmap_are_sound() -> None:
    settings = load_settings(ROOT / "swarm.toml")
    load_roadmap(ROOT / "roadmap.toml", settings)
    assert {"tests", "lint", "types", "contracts"} <= {gate.name for gate in settings.gate}
    text = (ROOT / "roadmap.toml").read_text(encoding="utf-8")
    files = [path.relative_to(ROOT).as_posix() for path in (ROOT / "engine").rglob("*.py")]
    assert read_roadmap(text, settings=settings, files=files).problems == ()
    assert read_settings((ROOT / "swarm.toml").read_text(encoding="utf-8")).problems == ()
