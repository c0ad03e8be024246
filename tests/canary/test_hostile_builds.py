"""What a commit and its build can bend: links out of the checkout, things in the artifact's place, the build cache."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from canary.warmth import Warmth
from engine.models.flow import Flow
from tests.canary.test_runner import Station
from tests.canary.worlds import GOOD, World, flow, python

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")

BUILD = """
    import pathlib
    pathlib.Path("out").mkdir(exist_ok=True)
    pathlib.Path("out/app").write_text("built")
"""


def built(build: str = BUILD, artifact: str = "out/app") -> Flow:
    return flow(GOOD, package=python(build), artifact=artifact)


async def test_an_honest_build_is_kept_and_what_lay_there_is_not(tmp_path: Path) -> None:
    world = World(tmp_path)
    (world.ground.tree / "out").mkdir()
    (world.ground.tree / "out" / "app").write_text("committed", encoding="utf-8")
    outcome = await world.run(built())
    assert outcome.verdict == "PASS", outcome.reason
    assert world.artifact(outcome, "artifact") == "built"


async def test_a_folder_in_the_artifact_s_place_is_no_fault_of_the_machine(tmp_path: Path) -> None:
    world = World(tmp_path)
    (world.ground.tree / "out" / "app" / "deep").mkdir(parents=True)
    assert (await world.run(built())).verdict == "PASS"
    outcome = await world.run(built("import pathlib; pathlib.Path('out/app').mkdir(parents=True)"))
    assert (outcome.verdict, "which is not there" in outcome.reason) == ("FAIL", True)


async def test_a_committed_link_leads_to_no_file_outside_that_could_be_removed(tmp_path: Path) -> None:
    world, host = World(tmp_path), tmp_path / "host"
    host.mkdir()
    (host / "app").write_text("of the user", encoding="utf-8")
    (world.ground.tree / "out").symlink_to(host)
    outcome = await world.run(built())
    assert (host / "app").read_text(encoding="utf-8") == "of the user"
    assert outcome.verdict == "FAIL"
    assert "out/app inside the repository, saw a link" in outcome.reason


@pytest.mark.parametrize("place", ["out", "out/app"])
async def test_a_build_cannot_pass_a_file_of_the_user_for_its_artifact(tmp_path: Path, place: str) -> None:
    world, host = World(tmp_path), tmp_path / "host"
    host.mkdir()
    (host / "app").write_text("a secret", encoding="utf-8")
    target = host if place == "out" else host / "app"
    link = f"""
        import pathlib
        pathlib.Path({place!r}).parent.mkdir(exist_ok=True)
        pathlib.Path({place!r}).symlink_to({str(target)!r})
    """
    outcome = await world.run(built(link))
    assert outcome.verdict == "FAIL"
    assert "artifact" not in outcome.artifacts
    inside = BUILD.replace("out/app", "out/app-1") + '\n    pathlib.Path("out/app").symlink_to("app-1")'
    honest = World(tmp_path / "honest")
    outcome = await honest.run(built(inside))
    assert (outcome.verdict, honest.artifact(outcome, "artifact")) == ("PASS", "built")


async def test_a_link_that_an_earlier_build_left_in_the_cache_blames_nobody_else(tmp_path: Path) -> None:
    world, host = World(tmp_path), tmp_path / "host"
    host.mkdir()
    (host / "app").write_text("of the user", encoding="utf-8")
    world.ground.cache.mkdir()
    (world.ground.cache / "out").symlink_to(host)
    into = (
        f"import pathlib; p = pathlib.Path({str(world.ground.cache)!r}, 'out'); p.mkdir(); (p / 'app').write_text('x')"
    )
    outcome = await world.run(built(into, "{cache}/out/app"))
    assert (outcome.verdict, outcome.reason) == ("PASS", "it became ready")
    assert (host / "app").read_text(encoding="utf-8") == "of the user"


@pytest.mark.parametrize("content", ["#!/no/such/interpreter\n", "neither text nor a program"])
async def test_a_program_of_the_commit_that_cannot_be_run_is_the_commit_s_fault(tmp_path: Path, content: str) -> None:
    world = World(tmp_path)
    program = world.ground.tree / "app"
    program.write_text(content, encoding="utf-8")
    program.chmod(0o755 if content.startswith("#!") else 0o644)
    asked = flow(GOOD, start={"run": ["./app"]})
    outcome = await world.run(asked)
    assert outcome.verdict == "FAIL"
    assert "to start, saw" in outcome.reason
    program.write_text("#!/bin/sh\necho ready\ncat\n", encoding="utf-8")
    program.chmod(0o755)
    assert (await world.run(asked)).verdict == "PASS"


@pytest.mark.parametrize("name", ["loop/x", "loop"])
async def test_a_loop_of_links_in_its_home_is_no_fault_of_the_machine(tmp_path: Path, name: str) -> None:
    world = World(tmp_path)
    code = "import os, pathlib\npathlib.Path(os.environ['HOME'], 'loop').symlink_to('loop')" + GOOD.replace(
        "\n    ", "\n"
    )
    sampled = flow(code, steps=[{"sample": {"name": "ms", "from": name, "path": "ms"}}])
    assert (await world.run(sampled)).verdict == "INCONCLUSIVE"
    ready = flow(code, start={"ready": {"file": name}, "within": "300ms"})
    outcome = await world.run(ready)
    assert (outcome.verdict, "was not ready" in outcome.reason) == ("FAIL", True)


# ---- the cache

CACHED = {
    "name": "cached",
    "package": ["python", "build.py", "{cache}"],
    "start": {"run": ["python", "-c", "print('ready')"], "ready": {"log": "ready"}},
}
TRUSTING = """
    import pathlib, sys
    made = pathlib.Path(sys.argv[1], "made")
    if not made.exists():
        made.write_text("sound")
    print(made.read_text())
    sys.exit(made.read_text() != "sound")
"""
"""A builder that believes its cache, as all of them do."""
POISON = "import pathlib, sys\npathlib.Path(sys.argv[1], 'made').write_text('poison')\nsys.exit(1)\n"


async def test_a_red_commit_leaves_no_poison_in_the_cache_for_its_control(tmp_path: Path) -> None:
    station = Station(tmp_path)
    good, asked = station.commit({"build.py": TRUSTING}), Flow.model_validate(CACHED)
    bad = station.commit({"build.py": POISON})

    async def verdict(commit: str, key: str) -> str:
        return (await station.runner.run(station.request(commit, asked, key=key))).verdict

    assert await verdict(good, "a") == "PASS"
    cache = tmp_path / "slots" / "canary-1" / "cache"
    (cache / "warm").touch()
    assert await verdict(good, "b") == "PASS"
    assert (cache / "warm").exists()
    assert await verdict(bad, "c") == "FAIL"
    assert (cache / "warm").exists()
    assert await verdict(good, "control") == "PASS"
    assert not (cache / "warm").exists()


def test_the_cache_of_a_run_that_did_not_end_is_not_believed(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    warmth = Warmth(cache)
    warmth.begin("one")
    cache.mkdir()
    (cache / "made").touch()
    warmth.begin("one")  # its own rerun may use it
    assert (cache / "made").exists()
    warmth.green("one")
    warmth.begin("two")
    assert (cache / "made").exists()
    warmth.begin("three")
    assert not cache.exists()
