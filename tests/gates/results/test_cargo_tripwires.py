"""Tripwires that are kept beside a warm build: when they serve again, and when fresh ones are made."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gates.results.adapter import Seen
from tests.gates.results.launcher_source import source
from tests.gates.results.test_cargo_test import CARGO, WRAPPER
from tests.gates.results.watched import Watched, crate, rust

needs_cargo = pytest.mark.skipif(CARGO is None, reason="needs cargo, which is not installed")


# ---- the key


def a_build(folder: Path, **env: str) -> tuple[Any, dict[str, Any], dict[str, str]]:
    """What `kept` is given: a workspace of one package, a plan, an environment."""
    tree = folder / "tree"
    tree.mkdir(exist_ok=True)
    for name in ("Cargo.toml", "Cargo.lock", "build.rs"):
        if not (tree / name).exists():
            (tree / name).write_text(f"# {name}\n", encoding="utf-8")
    script = {"kind": ["custom-build"], "src_path": str(tree / "build.rs")}
    package = {"name": "one", "manifest_path": str(tree / "Cargo.toml"), "targets": [script]}
    found = SimpleNamespace(tree=tree, root=tree, target=folder / "target", members=[package])
    plan = {"program": sys.executable, "build": ["--workspace"]}
    return found, plan, {"PATH": str(folder), "HOME": str(folder / "home"), **env}


def place_of(kept: Any) -> Path | None:
    return kept and kept._folder


def test_the_key_stays_while_only_sources_and_private_folders_change(tmp_path: Path) -> None:
    kept = source("cargo_tripwires").kept
    before = place_of(kept(*a_build(tmp_path)))
    assert before is not None
    assert before.is_relative_to(tmp_path / "target")
    (tmp_path / "tree" / "lib.rs").write_text("// edited", encoding="utf-8")
    assert place_of(kept(*a_build(tmp_path, TMPDIR="/x", SWARM_RUN="2", CARGO_BUILD_JOBS="1"))) == before


def write(name: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("# another\n", encoding="utf-8")

    return change


@pytest.mark.parametrize("name", ["Cargo.toml", "Cargo.lock", "build.rs", "rust-toolchain.toml"])
def test_what_has_a_say_in_the_build_changes_the_key(tmp_path: Path, name: str) -> None:
    kept = source("cargo_tripwires").kept
    before = place_of(kept(*a_build(tmp_path)))
    write(f"tree/{name}")(tmp_path)
    after = place_of(kept(*a_build(tmp_path)))
    assert after is not None
    assert after != before


@pytest.mark.skipif(sys.platform == "win32", reason="cc is called otherwise there")
def test_another_linker_flag_or_variable_changes_the_key(tmp_path: Path) -> None:
    kept = source("cargo_tripwires").kept
    places = [place_of(kept(*a_build(tmp_path)))]
    places.append(place_of(kept(*a_build(tmp_path, ANY="1"))))
    found, plan, env = a_build(tmp_path)
    places.append(place_of(kept(found, {**plan, "build": ["--release"]}, env)))
    (tmp_path / "cc").write_text("#!/bin/sh\n", encoding="utf-8")
    (tmp_path / "cc").chmod(0o755)
    places.append(place_of(kept(*a_build(tmp_path))))
    assert None not in places
    assert len(set(places)) == 4


@pytest.mark.parametrize("place", ["tree/.cargo/config.toml", ".cargo/config", "home/.cargo/config.toml"])
def test_with_a_configuration_of_cargos_nothing_is_kept(tmp_path: Path, place: str) -> None:
    write(place)(tmp_path)
    assert source("cargo_tripwires").kept(*a_build(tmp_path)) is None


@pytest.mark.parametrize(
    "env", [{"RUSTC_WRAPPER": "x"}, {"RUSTFLAGS": "x"}, {"LD_PRELOAD": "x"}, {"CARGO_TARGET_X_LINKER": "x"}]
)
def test_with_a_variable_that_may_name_a_file_nothing_is_kept(tmp_path: Path, env: dict[str, str]) -> None:
    assert source("cargo_tripwires").kept(*a_build(tmp_path, **env)) is None


def test_with_programs_or_builds_in_the_tree_nothing_is_kept(tmp_path: Path) -> None:
    kept = source("cargo_tripwires").kept
    assert kept(*a_build(tmp_path, PATH=str(tmp_path / "tree" / "tools"))) is None
    found, plan, env = a_build(tmp_path)
    found.target = tmp_path / "tree" / "target"
    assert kept(found, plan, env) is None
    found, plan, env = a_build(tmp_path)
    assert kept(found, {**plan, "build": ["--config", "x"]}, env) is None


# ---- what is kept


def packages(*names: str) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


def test_two_that_are_missing_are_laid_until_none_is_and_then_only_now_and_then(tmp_path: Path) -> None:
    module, able = source("cargo_tripwires"), packages("a", "b", "c")
    built = tmp_path / "built"
    built.write_bytes(b"program")
    rounds = list[int]()
    while missing := module.Kept(tmp_path / "kept" / "key").missing(able):
        rounds.append(len(missing))
        for package in missing:
            module.Kept(tmp_path / "kept" / "key").keep(package["name"], built, "t1")
        if len(rounds) > 1:
            break
    assert rounds == [2, 1]
    kept = module.Kept(tmp_path / "kept" / "key")
    laid = [len(kept.missing(able)) for _ in range(2_000)]
    assert set(laid) == {0, 1}
    assert 100 < sum(laid) < 500
    assert sorted(package["name"] for package, _, _ in kept.some(able, 0)) == ["a", "b", "c"]
    assert kept.some(able, 1) == []


def test_a_kept_program_that_was_cut_short_is_none(tmp_path: Path) -> None:
    module, built = source("cargo_tripwires"), tmp_path / "built"
    built.write_bytes(b"program")
    module.Kept(tmp_path / "kept" / "key").keep("a", built, "t1")
    ((_, program, test),) = module.Kept(tmp_path / "kept" / "key").some(packages("a"), 0)
    assert (program.read_bytes(), test) == (b"program", "t1")
    program.unlink()
    program.write_bytes(b"pro")
    assert module.Kept(tmp_path / "kept" / "key").some(packages("a"), 0) == []


def test_the_oldest_keys_go(tmp_path: Path) -> None:
    module, built = source("cargo_tripwires"), tmp_path / "built"
    built.write_bytes(b"program")
    for number in range(9):
        module.Kept(tmp_path / "kept" / f"key-{number}").keep("a", built, "t1")
    assert len(list((tmp_path / "kept").iterdir())) == 5
    assert (tmp_path / "kept" / "key-8").is_dir()


# ---- with the real cargo


def run(watched: Watched) -> Seen:
    assert CARGO is not None
    target = watched.folder / "target"
    return watched.run(
        "cargo-test", CARGO.path, "test", CARGO_TARGET_DIR=str(target), PATH=str(CARGO.path.parent) + ":/usr/bin:/bin"
    )


def programs(watched: Watched) -> dict[str, int]:
    found = (watched.folder / "target").rglob(".swarm-tripwires/*/*")
    return {path.name: path.stat().st_ino for path in found if path.suffix != ".json"}


@needs_cargo
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="paths of POSIX")
def test_a_warm_build_runs_the_tripwires_of_earlier_runs_also_after_an_edit(tmp_path: Path) -> None:
    watched = rust(tmp_path)
    for _ in range(2):
        assert run(watched).tripwire == "tripped", watched.output
    kept = programs(watched)
    assert len(kept) == 3
    lib = watched.tree / "geometry" / "src" / "lib.rs"
    watched.write({"geometry/src/lib.rs": lib.read_text(encoding="utf-8") + "// edited\n"})
    assert (run(watched).tripwire, watched.exit_code) == ("tripped", 0), watched.output
    assert len(programs(watched).items() & kept.items()) >= 2  # a fresh one is made now and then
    assert not list((tmp_path / "target" / "debug").rglob("*swarm_*"))
    assert not list(watched.tree.rglob("*swarm_*"))


@needs_cargo
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the wrapper is a script")
def test_a_build_that_lies_is_seen_although_honest_tripwires_are_kept(tmp_path: Path) -> None:
    watched = crate(tmp_path, "", tests__api="#[test]\nfn bad() { assert_eq!(1, 2); }\n")
    for _ in range(2):
        assert run(watched).tripwire == "tripped"
    assert programs(watched)
    wrapper = tmp_path / "wrapper"
    wrapper.write_text(WRAPPER.format(python=sys.executable, folder=tmp_path), encoding="utf-8")
    wrapper.chmod(0o755)
    watched.write({"tests/api.rs": "\n#[test]\nfn bad() { assert_eq!(1, 2); }\n"})
    seen = run(watched.write({".cargo/config.toml": f'[build]\nrustc-wrapper = "{wrapper}"\njobs = 1\n'}))
    assert (seen.outcomes, seen.tripwire) == ({"one::test/api::bad": "passed"}, "silent"), watched.output


@needs_cargo
@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="a program is replaced by a script")
def test_a_kept_tripwire_that_does_not_trip_is_red_once_and_then_made_afresh(tmp_path: Path) -> None:
    watched = crate(tmp_path, "", tests__api="#[test]\nfn good() {}\n")
    for _ in range(2):  # the first run makes Cargo.lock, which is a part of the key
        assert run(watched).tripwire == "tripped"
    seen = Seen()
    for _ in range(8):  # one time in eight a fresh one is laid, and what is kept does not run
        for program in (tmp_path / "target").rglob(".swarm-tripwires/*/*-swarm_*"):
            size = program.stat().st_size
            program.unlink()
            program.write_bytes(b"#!/bin/sh\nexit 0\n".ljust(size, b"#"))
            program.chmod(0o755)
        seen = run(watched)
        if seen.tripwire == "silent":
            break
    assert "was not seen to fail" in seen.problems[0]
    assert (run(watched).tripwire, watched.exit_code) == ("tripped", 0)
