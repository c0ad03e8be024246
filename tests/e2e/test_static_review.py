"""A change over the limit of the settings goes back to its agent, and a smaller one lands: with real git."""

from __future__ import annotations

from pathlib import Path

import pytest
from night import SETTINGS, Night

from engine.git.hub import Hub

LONG = "".join(f"WORD_{n} = {n}\n" for n in range(10))


@pytest.mark.slow
def test_a_change_of_too_many_lines_is_sent_back_and_a_smaller_one_lands(tmp_path: Path) -> None:
    night = Night(tmp_path / "night", settings=SETTINGS + "\n[merge]\nmax_lines = 5\n")
    night.order("large", {"tiny/large.py": LONG}, {"tiny/large.py": "WORD_1 = 1\n"}, kind="refactor")
    night.order("small", {"tiny/more.py": "WORD = 1\n"}, kind="refactor")
    night.until_idle()
    night.assert_sound()
    assert night.phases() == {"large": "healthy", "small": "healthy"}
    (rejected,) = night.events("change_rejected")
    assert rejected.work_order == "large"
    assert rejected.fields["reasons"] == [
        "it changes 10 lines, and merge.max_lines is 5: hand in a smaller step.",
    ]
    assert {event.fields["lines"] for event in night.events("change_queued")} == {1}


def test_lines_are_counted_even_where_attributes_call_a_file_binary(tmp_path: Path) -> None:
    night = Night(tmp_path / "night")
    before = night.git("rev-parse", "HEAD")
    after = night.person_commits({".gitattributes": "*.py binary\n", "tiny/large.py": LONG}, "Hidden lines")
    hub = Hub.create_or_open(night.state, night.repo, "main")
    hub.fetch_objects(night.repo, after)
    assert hub.changed_lines(before, after) == 11
    assert hub.changed_lines(after, after) == 0
