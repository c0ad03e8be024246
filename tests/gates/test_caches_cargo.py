"""Warm build caches with cargo: its own idea of what is fresh, and what a change may try with it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.git.slots import Slot
from engine.ports import Sandbox
from engine.process.programs import Programs
from tests.gates.results.watched import found
from tests.gates.yard import PATH, Yard, overlaying

cargo_only = pytest.mark.skipif(found("cargo") is None, reason="there is no cargo that works here")

MANIFEST = '[package]\nname = "{0}"\nversion = "0.1.0"\nedition = "2021"\n[lib]\ndoctest = false\n'
LOW = "pub fn n() -> u32 {{ {0} }}\n#[test] fn low() {{ assert_eq!(n(), 1); }}\n"
WORKSPACE = {
    ".gitattributes": "",
    "Cargo.toml": '[workspace]\nmembers = ["low", "high", "other"]\nresolver = "2"\n',
    "Cargo.lock": "version = 4\n"
    '\n[[package]]\nname = "high"\nversion = "0.1.0"\ndependencies = [\n "low",\n]\n'
    '\n[[package]]\nname = "low"\nversion = "0.1.0"\n\n[[package]]\nname = "other"\nversion = "0.1.0"\n',
    "low/Cargo.toml": MANIFEST.format("low"),
    "low/src/lib.rs": LOW.format(1),
    "high/Cargo.toml": MANIFEST.format("high") + '[dependencies]\nlow = { path = "../low" }\n',
    "high/src/lib.rs": "pub fn m() -> u32 { low::n() + 1 }\n#[test] fn high() { assert_eq!(m(), 2); }\n",
    "other/Cargo.toml": MANIFEST.format("other"),
    "other/src/lib.rs": "#[test] fn other() {}\n",
}
FORGER = """
#[test] fn other() {
    let deps = std::path::Path::new(&std::env::var("CARGO_TARGET_DIR").unwrap()).join("debug/deps");
    for entry in std::fs::read_dir(deps).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if name.starts_with("low-") && path.extension().is_none() {
            std::fs::remove_file(&path).unwrap();
            std::fs::copy("/usr/bin/true", &path).unwrap();
        }
    }
}
"""


class Workshop(Yard):
    """A yard with a small cargo workspace on main, built and promoted."""

    def __init__(self, folder: Path, sandbox: Sandbox) -> None:
        super().__init__(folder, sandbox)
        self.cargo = Programs(PATH).resolve("cargo")
        self.main = self.tree(WORKSPACE)

    async def test(self, tree: str, *, again: bool = False) -> str:
        return await self.run(tree, "test", "--workspace", program=self.cargo, again=again)

    async def land(self, tree: str) -> None:
        assert "RED" not in await self.test(tree)
        self.caches.promote(tree)


def compiled(said: str) -> set[str]:
    return {line.split()[1] for line in said.splitlines() if line.split()[:1] == ["Compiling"]}


@pytest.fixture
def workshop(tmp_path: Path) -> Workshop:
    return Workshop(tmp_path, overlaying(tmp_path))


@cargo_only
async def test_a_warm_slot_builds_only_the_changed_crate_and_what_depends_on_it(workshop: Workshop) -> None:
    assert compiled(await workshop.test(workshop.main)) == {"low", "high", "other"}
    assert compiled(await workshop.test(workshop.main)) == {"low", "high", "other"}, "nothing has landed yet"
    workshop.caches.promote(workshop.main)
    assert compiled(await workshop.test(workshop.main)) == set()
    other = workshop.tree({"other/src/lib.rs": "#[test] fn other() { assert!(true); }\n"})
    assert compiled(await workshop.test(other)) == {"other"}
    low = workshop.tree({"low/src/lib.rs": LOW.format("0 + 1"), "other/src/lib.rs": WORKSPACE["other/src/lib.rs"]})
    assert compiled(await workshop.test(low)) == {"low", "high", "other"}, (
        "its file was written anew for the tree before"
    )
    workshop.caches.promote(low)
    assert compiled(await workshop.test(low)) == set()


@pytest.mark.slow
@cargo_only
async def test_switching_to_and_fro_never_serves_a_stale_build(workshop: Workshop) -> None:
    await workshop.land(workshop.main)
    broken = workshop.tree({"low/src/lib.rs": LOW.format(2)})  # as long as main's
    for _ in range(3):
        assert "left: 3" in await workshop.test(broken)
        assert "RED" not in await workshop.test(workshop.main)


@cargo_only
async def test_a_source_whose_time_was_set_back_is_built_again(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await workshop.land(workshop.main)
    broken = workshop.tree({"low/src/lib.rs": LOW.format(2)})
    set_back = ("-c", "touch -d 1990-01-01 low/src/lib.rs")
    assert await workshop.run(broken, *set_back) == ""
    with monkeypatch.context() as patched:
        patched.setattr(Slot, "freshen", lambda self: None)
        assert "RED" not in await workshop.test(broken, again=True), "cargo believes times: the test proves nothing"
    assert "left: 3" in await workshop.test(broken, again=True)
    assert await workshop.run(broken, *set_back) == ""
    assert "left: 3" in await workshop.test(broken)


@cargo_only
async def test_a_test_binary_that_one_change_forged_is_not_run_for_the_next(workshop: Workshop) -> None:
    await workshop.land(workshop.main)
    forging = workshop.tree({"other/src/lib.rs": FORGER})
    clean = workshop.tree({"other/src/lib.rs": WORKSPACE["other/src/lib.rs"], "README": "clean\n"})
    for overlaid in (True, False):
        workshop.overlaid = overlaid
        await workshop.test(forging)
        said = await workshop.test(clean)
        assert "RED" not in said
        assert ("test low ... ok" in said) == overlaid, "the forged binary prints nothing"


@cargo_only
async def test_dependencies_that_the_user_has_fetched_are_used_and_his_folder_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "cargo-home"
    monkeypatch.setenv("CARGO_HOME", str(home))
    yard = Workshop(tmp_path, overlaying(tmp_path))
    library = tmp_path / "library"
    shutil.copytree(yard.repo / "low", library)
    git = ("git", "-c", "user.name=p", "-c", "user.email=p@p")
    for argv in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "x")):
        subprocess.run([*git, *argv], cwd=library, check=True)
    high = MANIFEST.format("high") + f'[dependencies]\nlow = {{ git = "file://{library}" }}\n'
    user = {"Cargo.toml": '[workspace]\nmembers = ["high"]\nresolver = "2"\n', "high/Cargo.toml": high}
    env = {**os.environ, "PATH": f"{yard.cargo.path.parent}{os.pathsep}{PATH}"}
    yard.commit(user)
    subprocess.run([str(yard.cargo.path), "update"], cwd=yard.repo, check=True, capture_output=True, env=env)
    subprocess.run([str(yard.cargo.path), "fetch"], cwd=yard.repo, check=True, capture_output=True, env=env)
    (home / "credentials.toml").write_text("secret", encoding="utf-8")
    shutil.rmtree(home / "git" / "checkouts")
    before = sorted(path for path in home.rglob("*"))
    said = await yard.test(yard.tree({}))
    assert "test high ... ok" in said, said
    assert sorted(path for path in home.rglob("*")) == before
    assert "No such file" in await yard.run(yard.tree({}), "-c", f"cat {home}/credentials.toml")
