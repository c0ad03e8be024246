"""Which golden counts for a system and a renderer, and what is proposed where it says something else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from canary.against_golden import Held, hold
from canary.golden_files import keyed, lookups, renderer_of, system
from engine.errors import InfrastructureFault
from engine.models.flow import Judge
from tests.canary.worlds import World, flow

GOLDEN = "canary/golden/nav.jsonl"
OWN, DRAWN = keyed(GOLDEN), keyed(GOLDEN, "software")


def events(word: str, renderer: str = "") -> list[dict[str, Any]]:
    return [{"kind": "ready", "data": {"renderer": renderer} if renderer else {}}, {"kind": word}]


def written(*rows: Mapping[str, Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def held(files: Mapping[str, bytes], trace: list[dict[str, Any]]) -> Held:
    return hold(Judge(golden=GOLDEN, mask=["data.renderer"]), GOLDEN, trace, files.get)


def test_names_hold_the_system_and_the_renderer() -> None:
    assert keyed("a/b.c.jsonl", "gl", "windows") == "a/b.c.windows-gl.jsonl"
    assert keyed("nav.jsonl", name="macos") == "nav.macos.jsonl"
    assert lookups(GOLDEN, "gl") == [f"canary/golden/nav.{system()}-gl.jsonl", OWN, GOLDEN]
    assert lookups(GOLDEN) == [OWN, GOLDEN]


@pytest.mark.parametrize("said", ["../../etc", "a/b", "", "x" * 41, "a.b", "a\nb"])
def test_a_renderer_that_could_lead_elsewhere_counts_for_none(said: str) -> None:
    assert renderer_of([{"kind": "ready", "data": {"renderer": said}}]) == ""
    assert renderer_of([{"kind": "ready", "data": {"renderer": "OpenGL"}}]) == "opengl"


def test_the_plain_golden_counts_where_there_is_no_other() -> None:
    files = {GOLDEN: written(*events("a"))}
    assert held(files, events("a", "software")).finding is None
    assert held(files, events("b")).path == GOLDEN


@pytest.mark.parametrize("own", [OWN, DRAWN])
def test_the_golden_of_this_system_or_renderer_comes_before_it(own: str) -> None:
    files = {GOLDEN: written(*events("a")), own: written(*events("b"))}
    assert held(files, events("b", "software")).finding is None
    told = held(files, events("a", "software"))
    assert told.finding is not None
    assert told.finding.verdict == "FAIL"
    assert told.path == own
    assert own in told.finding.reason


def test_a_missing_golden_is_inconclusive_and_may_be_accepted() -> None:
    told = held({}, events("a", "software"))
    assert told.finding is not None
    assert (told.finding.verdict, told.path, told.keyed, told.was, told.asks) == (
        "INCONCLUSIVE", GOLDEN, DRAWN, "", True
    )  # fmt: skip


def test_a_golden_that_cannot_be_read_is_inconclusive_and_nothing_is_to_be_accepted() -> None:
    told = held({GOLDEN: b"not json\n"}, events("a"))
    assert told.finding is not None
    assert (told.finding.verdict, told.asks) == ("INCONCLUSIVE", False)

    def fails(path: str) -> bytes | None:
        raise InfrastructureFault("the disk is gone")

    broken = hold(Judge(golden=GOLDEN), GOLDEN, events("a"), fails)
    assert broken.finding is not None
    assert (broken.finding.verdict, broken.asks) == ("ENVIRONMENT", False)


def test_a_run_that_showed_nothing_proposes_nothing() -> None:
    assert not held({}, []).asks


@pytest.mark.parametrize(("word", "count"), [("hello", 1), ("ghp_" + "0a1b2c3d" * 4, 0)])
async def test_what_would_be_kept_with_a_hidden_secret_is_not_proposed(tmp_path: Path, word: str, count: int) -> None:
    """Once accepted, it could never be shown again: main would be red for ever."""
    code = f"""
        import json, sys
        print(json.dumps({{"kind": "said", "text": {word!r}}}))
        print("ready", flush=True)
        sys.stdin.read()
    """
    asked = flow(code, judge={"golden": GOLDEN}, stop={"within": "10s"})
    outcome = await World(tmp_path).run(asked)
    assert (outcome.verdict, len(outcome.proposed)) == ("INCONCLUSIVE", count)
    assert ("secret" in outcome.reason) == (not count)
