"""What could leave a night waiting for ever: settings that change meanwhile, a machine that is mended, blame that no
run of a flow can tell."""

from __future__ import annotations

import pytest
from simulated_night import SimulatedNight
from test_canary_night import CALM, bad_is, flows, hold_until, landed, of, orders, ran, sampled

from engine.actions import Action, Restore, RunCanary
from engine.effects.canary import told
from engine.models.event import NewEvent
from engine.ports import Comparison


def compares(action: Action) -> bool:
    return isinstance(action, RunCanary) and action.purpose == "compare"


@pytest.mark.parametrize("slower", ["bug", "revert"])
def test_a_comparison_whose_samples_are_taken_out_of_the_settings_keeps_nobody_waiting(slower: str) -> None:
    chain = [order.model_copy(update={"depends_on": [f"w{n - 1}"] if n else []}) for n, order in enumerate(orders(6))]
    night = SimulatedNight(1, chain, sampled(slower), CALM)
    while not any(compares(action) for action in night.pending.values()):
        assert night.step()
    night.held = compares
    assert night.step()
    night.settings = flows()
    night.held = lambda _action: False
    night.run()
    assert night.state.last_good == night.state.main
    assert {order.phase for order in night.state.orders.values()} == {"healthy"}


@pytest.mark.parametrize("mended", [True, False])
def test_what_could_not_be_put_back_is_tried_again_after_a_new_start(
    mended: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = SimulatedNight(1, orders(3), flows(), CALM)
    bad_is(night, lambda: (landed(night) + ["-"] * 3)[2])

    def fails(action: Restore) -> None:
        night.emit(NewEvent("effect_failed", {"effect": action.effect, "error": "the disk is full", "traceback": ""}))

    with monkeypatch.context() as patch:
        patch.setattr(night, "_Restore", fails)
        ran(night)
        assert "cannot be put back: the disk is full; mend that, and start again" in night.state.frozen
        assert len(of(night, "landing_frozen")) < 4, "it is said once"
        if not mended:
            night.start_engine()
            ran(night)
    if mended:
        night.start_engine()
        ran(night)
    assert bool(of(night, "main_restored")) is mended
    assert bool(night.state.frozen) is not mended


@pytest.mark.parametrize("seed", range(3))
def test_one_of_many_that_is_slower_is_blamed_when_they_have_landed_one_by_one(seed: int) -> None:
    """A run of the flow alone is green on each of them."""
    night = SimulatedNight(seed, orders(6), sampled("revert"), CALM)
    says = night.canary_says

    def slow(action: RunCanary) -> tuple[str, str]:
        bad = (landed(night) + ["-"] * 4)[3]
        if action.purpose == "compare" and bad in night.commits[action.commit]:
            return "FAIL", "frame_ms 10 to 13 ms"
        return says(action)

    night.canary_says = slow  # type: ignore[method-assign]
    hold_until(night, 6)
    ran(night)
    bad = landed(night)[3]
    (unresolved,) = of(night, "culprit_unresolved")
    assert len(unresolved.fields["range"]) == 6
    assert not [event for event in of(night, "canary_finished") if event.fields["purpose"] == "culprit"]
    assert [event.fields["change"] for event in of(night, "culprit_found", "change_reverted")] == [bad] * 2
    assert len(of(night, "main_restored")) == 2
    assert [event.fields["regression"] for event in of(night, "work_order_added")] == [
        of(night, "main_restored")[1].fields["red"]
    ]
    assert {order.phase for order in night.state.orders.values()} == {"healthy"}


@pytest.mark.parametrize("failed", [("smoke",), ()])
def test_a_flow_that_fails_on_the_new_commit_alone_while_it_is_measured_is_somebodys_work(
    failed: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    night = SimulatedNight(1, orders(3), sampled(), CALM)
    runs = night._RunCanary  # pyright: ignore[reportPrivateUsage]

    def measures(action: RunCanary) -> None:
        if not compares(action):
            runs(action)
            return
        found = Comparison("FAIL" if failed else "PASS", "flow smoke failed in 2 runs", failed=failed)
        fields = {"commit": action.commit, "about": action.about, "purpose": action.purpose, **told(found, "c")}
        night.emit(NewEvent("canary_finished", fields))

    monkeypatch.setattr(night, "_RunCanary", measures)
    ran(night)
    assert bool(of(night, "work_order_added")) is bool(failed)
    assert of(night, "main_restored") == []
