"""What `swarm gates --sabotage` says of broken versions."""

from __future__ import annotations

from gates.sabotage import Mutant, Sabotage
from swarm_tui.gating.sabotaging import lines_of

MUTANT = Mutant("a.py", 3, "a = 1", "a = 2")


def test_the_share_is_of_those_about_which_something_could_be_said() -> None:
    assert lines_of(Sabotage(2), 1.0) == ["✔ 2 of 2 broken versions caught (100%), in 1.0 s"]
    lines = lines_of(Sabotage(2, unclear=(MUTANT,)), 1.0)
    assert lines[0] == "✘ 2 of 2 broken versions caught (100%), and 1 unclear, in 1.0 s"
    assert "on these no gate could say anything:" in lines
    assert lines_of(Sabotage(0, (MUTANT,)), 1.0)[0] == "✘ 0 of 1 broken version caught (0%), in 1.0 s"
