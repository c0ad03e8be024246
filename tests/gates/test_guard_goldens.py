"""Goldens of the canary: nobody's to change but a person's, who accepts exactly one content."""

from __future__ import annotations

import hashlib

from engine.models.report import GuardResult
from engine.models.settings import Guards
from engine.ports import GuardRequest
from tests.gates.bench import Bench

GOLDEN = "canary/golden/nav.jsonl"
OLD, NEW = '{"kind": "a"}\n{"kind": "b"}\n', '{"kind": "a"}\n{"kind": "c"}\n'


async def said(
    bench: Bench, files: dict[str, str | bytes | None], accepted: dict[str, str], allow: tuple[str, ...] = ("src/**",)
) -> dict[str, GuardResult]:
    tree = bench.change(files)
    request = GuardRequest(tree, bench.base_tree, allow, (), Guards(), "wo", accepted=accepted)
    return {result.rule: result for result in await bench.runner.guard(request)}


def digest(content: str | bytes) -> str:
    raw = content.encode() if isinstance(content, str) else content
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"


def with_golden(bench: Bench) -> None:
    bench.base = bench.commit({GOLDEN: OLD})
    bench.hub.fetch_objects(bench.repo, bench.base)


async def test_no_work_orders_allow_is_enough(bench: Bench) -> None:
    for path in (GOLDEN, "Canary/GOLDEN/nav.txt"):
        refused = (await bench.guard({path: NEW}, allow=(path,)))["protected"]
        assert (refused.ok, refused.ask, refused.paths) == (False, "golden", [path])


async def test_the_difference_is_what_a_person_judges_by(bench: Bench) -> None:
    with_golden(bench)
    facts = (await bench.guard({GOLDEN: NEW}))["protected"].facts
    assert facts[0].startswith(GOLDEN)
    assert facts[1:] == [' {"kind": "a"}', '-{"kind": "b"}', '+{"kind": "c"}', " "]


async def test_what_is_asked_names_the_content_and_another_content_is_another_question(bench: Bench) -> None:
    first, again, other = [
        (await bench.guard({GOLDEN: text}))["protected"].reason for text in (NEW, NEW, NEW + '{"kind": "d"}\n')
    ]
    assert first == again != other


async def test_what_a_person_accepted_to_the_byte_passes(bench: Bench) -> None:
    with_golden(bench)
    files: dict[str, str | bytes | None] = {GOLDEN: NEW, "src/a.py": "1\n"}
    assert all(result.ok for result in (await said(bench, files, {GOLDEN: digest(NEW)})).values())
    for accepted in ({}, {GOLDEN: digest(OLD)}, {"canary/golden/other.jsonl": digest(NEW)}):
        found = await said(bench, files, accepted)
        assert (found["protected"].ok, found["paths"].ok) == (False, False)


async def test_beside_an_accepted_golden_everything_else_is_judged(bench: Bench) -> None:
    accepted = {GOLDEN: digest(NEW)}
    assert not (await said(bench, {GOLDEN: NEW, "swarm.toml": "x\n"}, accepted, ("**",)))["protected"].ok
    assert not (await said(bench, {GOLDEN: NEW, "docs/a.md": "x\n"}, accepted))["paths"].ok
    with_golden(bench)
    assert not (await said(bench, {GOLDEN: None}, accepted))["protected"].ok


async def test_what_hides_in_an_accepted_golden_is_looked_for_all_the_same(bench: Bench) -> None:
    text = '{"kind": "a", "text": "x\u202ey"}\n'
    assert not (await said(bench, {GOLDEN: text}, {GOLDEN: digest(text)}))["hidden_text"].ok


async def test_an_accepted_picture_may_be_a_binary_file(bench: Bench) -> None:
    path, content = "canary/golden/nav/a.bin", b"\0\1\2"
    assert not (await said(bench, {path: content}, {}))["binaries"].ok
    assert (await said(bench, {path: content}, {path: digest(content)}))["binaries"].ok
