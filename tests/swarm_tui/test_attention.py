"""Calling a person who does not look: bell, title and a note, each when it is due and never more."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from approvals import a_room, asked
from nights import a_night

from swarm_tui.room.attention import BELL_EVERY_S, GIVE_BACK_TITLE, NOTE_EVERY_S, Attention, voice_of
from swarm_tui.room.needs import Need


def a_need(key: str, title: str = "somebody asks") -> Need:
    return Need(key, "approval", key, title, "", "")


@dataclass
class Terminal:
    """Collects what is written, and has a clock."""

    bell: bool = True
    notify: bool = True
    at: float = 0.0
    written: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.attention = Attention("repo", self.written.append, lambda: self.at, self.bell, self.notify)

    def sees(self, *needs: Need, focused: bool = False) -> str:
        """What is written now."""
        self.written.clear()
        self.attention.look(needs, focused=focused)
        return "".join(self.written)


def test_what_waited_already_shows_in_the_title_alone() -> None:
    terminal = Terminal()
    said = terminal.sees(a_need("a"))
    assert "]2;(!) 1 needs you – repo" in said
    assert "\a" not in said
    assert "]9;" not in said


def test_a_new_need_rings_and_shows_a_note() -> None:
    terminal = Terminal()
    terminal.sees()
    said = terminal.sees(a_need("a", "one asks to run: rm"), a_need("b"))
    assert "\a" in said
    assert "]2;(!) 2 need you – repo\x1b\\" in said
    assert "\x1b]777;notify;swarm repo;one asks to run: rm (+1 more)\x1b\\" in said
    assert "\x1b]9;swarm repo: one asks" in said
    assert terminal.sees(a_need("a"), a_need("b")) == ""


def test_the_title_goes_back_when_nothing_waits_and_the_terminals_own_when_the_room_closes() -> None:
    terminal = Terminal()
    terminal.sees()
    terminal.sees(a_need("a"))
    assert terminal.sees() == "\x1b]2;swarm – repo\x1b\\"
    terminal.attention.close()
    assert terminal.written[-1] == GIVE_BACK_TITLE


def test_whoever_has_the_terminal_in_front_gets_no_note() -> None:
    terminal = Terminal()
    terminal.sees()
    assert "]9;" not in terminal.sees(a_need("a"), focused=True)
    terminal.at += NOTE_EVERY_S
    assert terminal.sees(a_need("a")) == ""


def test_many_needs_ring_and_note_once_and_the_rest_is_told_later() -> None:
    terminal = Terminal()
    terminal.sees()
    terminal.sees(a_need("a"))
    needs = [a_need(f"n{number}") for number in range(9)]
    for upto in range(1, 10):
        terminal.at += 0.1
        said = terminal.sees(*needs[:upto])
        assert "\a" not in said
        assert "]9;" not in said
    terminal.at += BELL_EVERY_S
    assert terminal.sees(*needs) == "\a"
    terminal.at += NOTE_EVERY_S
    assert "(+8 more)" in terminal.sees(*needs)


def test_what_is_settled_before_its_turn_is_not_told() -> None:
    terminal = Terminal()
    terminal.sees()
    terminal.sees(a_need("a"))
    terminal.sees(a_need("b"))
    terminal.sees()
    terminal.at += NOTE_EVERY_S
    assert terminal.sees() == ""


def test_preferences_are_kept() -> None:
    terminal = Terminal(bell=False, notify=False)
    terminal.sees()
    said = terminal.sees(a_need("a"))
    assert "\a" not in said
    assert "]9;" not in said
    assert "(!) 1 needs you" in said


def test_no_text_can_steer_the_terminal() -> None:
    terminal = Terminal()
    terminal.attention.name = "r\x1b]0;x\a"
    terminal.sees()
    said = terminal.sees(a_need("a", "x\x1b]52;c;aGk=\a\x9c;1;2\n" + "y" * 1_000_000))
    assert said.count("\a") == 1
    assert said.count("\x1b") == 6  # title, 777 and 9: each begins and ends with one
    assert "52;c;" not in said
    assert not {"\x9c", "\n"} & set(said)
    assert len(said) < 1_000


async def test_nothing_is_written_where_there_is_no_terminal(tmp_path: Path) -> None:
    async with a_room(a_night(tmp_path)) as hand:
        assert voice_of(hand.app) is None
        hand.writer.write(asked("ap-1"))
        await hand.until_open("ap-1")
