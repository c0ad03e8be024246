"""When a guarantee is given: what was tried, what got through, and what works without a sandbox."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.ports import GUARANTEES, Sandbox, SandboxPolicy
from engine.sandbox import attack, probe
from engine.sandbox.attack import ESCAPES, MUST_WORK_OUTSIDE, escaped, judge, short_folder, unguarded
from engine.sandbox.meanings import MEANINGS, described, promises
from engine.sandbox.none import NoSandbox

EVERY = frozenset(name for tried in ESCAPES.values() for name in tried)
SOME = st.frozensets(st.sampled_from(sorted(EVERY)))


def test_every_promise_is_attacked_and_has_a_meaning() -> None:
    assert set(GUARANTEES) - set(ESCAPES) == {"limits"}, "the supervisor holds it, and is probed for it"
    assert set(MEANINGS) == {*GUARANTEES, *ESCAPES}
    assert MUST_WORK_OUTSIDE < EVERY


@given(worked=SOME, free=SOME)
def test_what_is_promised_was_seen_to_be_broken_outside_and_not_inside(
    worked: frozenset[str], free: frozenset[str]
) -> None:
    held = judge(worked, free)
    for name, holds in {**held.guarantees, **held.extras}.items():
        tried = set(ESCAPES.get(name, ()))
        assert not holds or (not worked & tried and free & tried and tried & MUST_WORK_OUTSIDE <= free)
    assert set(held.broken) == worked


def test_an_escape_that_gets_through_breaks_exactly_its_promise() -> None:
    for name, tried in ESCAPES.items():
        for escape in tried:
            held = judge(frozenset([escape]), EVERY)
            lost = [each for each, holds in {**held.guarantees, **held.extras}.items() if not holds]
            assert lost == [each for each in (*GUARANTEES, *ESCAPES) if each in (name, "limits")][: len(lost)]
            assert name in lost


def test_a_strange_machine_is_no_protection() -> None:
    nothing = judge(frozenset(), frozenset())
    assert not any(nothing.guarantees.values())
    assert nothing.extras == {}, "what cannot be seen is not spoken of"


def test_without_a_sandbox_everything_that_must_work_works() -> None:
    with tempfile.TemporaryDirectory(dir=short_folder()) as folder:  # addresses of sockets are short
        assert unguarded(Path(folder)) >= MUST_WORK_OUTSIDE


def test_no_sandbox_holds_nothing_when_it_is_attacked() -> None:
    seen = probe.probe("none", [((), lambda home: NoSandbox())])
    assert not any(seen.guarantees.values())
    assert set(seen.broken) >= MUST_WORK_OUTSIDE


def test_a_program_that_says_nothing_is_no_sandbox(tmp_path: Path) -> None:
    class Silent(NoSandbox):
        def wrap(
            self, argv: tuple[str, ...], cwd: Path, env: Mapping[str, str], policy: SandboxPolicy
        ) -> tuple[str, ...]:
            return (sys.executable, "-I", "-S", "-c", "import sys; sys.exit('broken on purpose')")

    silent: Sandbox = Silent()
    seen = probe.probe("silent", [((), lambda home: silent)])
    assert seen.problem == "silent does not work here (broken on purpose)"
    assert not any(seen.guarantees.values())
    with pytest.raises(attack.ProbeFailed):
        escaped(tmp_path / "x", tmp_path / "home", lambda argv, cwd, policy: (silent.wrap(argv, cwd, {}, policy), {}))


def test_people_and_scripts_are_told_the_same() -> None:
    sandbox = NoSandbox("there is none")
    sandbox.guarantees = {**sandbox.guarantees, "net": True}
    sandbox.broken = ("written", "mode")  # type: ignore[attr-defined]
    told = {name: (held, meaning) for name, held, meaning in promises(sandbox)}
    assert told["net"] == (True, MEANINGS["net"])
    assert told["fs_write"] == (False, MEANINGS["fs_write"] + " (got through: written, mode)")
    assert described(sandbox)["guarantees"] == {name: held for name, (held, _) in told.items()}
    assert described(sandbox)["reason"] == "there is none"
