"""What a person's room.toml may say, and that a mistake in it is said and left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from nights import a_night, opener_of

from swarm_tui.app import RoomApp
from swarm_tui.room.all_bindings import Bound, all_bindings
from swarm_tui.room.preferences import (
    Preferences,
    keymap_of,
    load_preferences,
    parse_preferences,
    preferences_path,
    theme_of,
)

HERE = Path("room.toml")


def keymap(text: str) -> tuple[dict[str, str], list[str]]:
    chosen = parse_preferences(f"[keys]\n{text}", HERE)
    assert chosen.problems == ()
    return keymap_of(chosen.keys, all_bindings())


def test_without_a_file_there_are_the_defaults(tmp_path: Path) -> None:
    assert load_preferences(tmp_path / "room.toml") == Preferences(tmp_path / "room.toml")


def test_everything_that_can_be_chosen_is_read() -> None:
    chosen = parse_preferences(
        'theme = "nord"\nbell = false\nnotify = false\npopup = false\neditor = "vim -p"\n[keys]\n"app.detach" = "Q"\n',
        HERE,
    )
    assert (chosen.theme, chosen.bell, chosen.notify, chosen.popup, chosen.editor) == (
        "nord", False, False, False, "vim -p",
    )  # fmt: skip
    assert [(key.ident, key.keys, key.where) for key in chosen.keys] == [("app.detach", "Q", "room.toml:7")]
    assert chosen.problems == ()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('\nthem = "nord"', 'room.toml:2: there is no setting "them"; write "theme" instead'),
        ("theme = 3", 'room.toml:1: theme is no text; write it in quotes, such as "…"'),
        ('bell = "no"', "room.toml:1: bell is neither on nor off; write true or false"),
        ("keys = 1", 'room.toml:1: keys is no table; write [keys] and below it lines such as "app.detach" = "Q"'),
        ('[keys]\n"app.help" = "esc"', 'room.toml:2: the key of app.help is wrong: "esc" is no key; write "escape"'),
        ('[keys]\napp.help = "pgdn"', 'room.toml:2: the key of app.help is wrong: "pgdn" is no key; write "pagedown"'),
        ('[keys]\n"app.help" = ""', 'room.toml:2: app.help has no key; write one, such as "Q"'),
        ('[keys]\n"app.help" = 4', 'room.toml:2: the key of app.help is no text; write it in quotes, such as "Q"'),
        ('[keys]\n"app.help" = "ctrl+i"',
         'room.toml:2: the key of app.help is wrong: terminals send it as "tab"; choose another'),
        ('[keys]\n"app.help" = "strg+h"',
         'room.toml:2: the key of app.help is wrong: "strg" is no modifier; use ctrl or shift or alt'),
    ],
)  # fmt: skip
def test_a_mistake_is_one_sentence_with_file_line_and_what_to_do(text: str, problem: str) -> None:
    chosen = parse_preferences(text, HERE)
    assert chosen.problems == (problem,)
    assert (chosen.theme, chosen.bell, chosen.keys) == ("", True, ())


def test_what_is_right_counts_beside_what_is_wrong() -> None:
    chosen = parse_preferences('theme = "nord"\nbell = 1\nnotify = false\n', HERE)
    assert (chosen.theme, chosen.bell, chosen.notify, len(chosen.problems)) == ("nord", True, False, 1)


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        (b'theme = "nord', "room.toml:1: this is not TOML"),
        (b"\n\nbell = yes\n", "room.toml:3: this is not TOML"),
        (b'a = "x"\nb = "\xff"', "room.toml:2: this is not UTF-8"),
        (b"a = " + b"[" * 100_000, "room.toml: values are nested too deeply"),
        (b"# " + b"x" * 300_000, "room.toml: it is larger than 200 kB"),
        (b"[" * 3, "room.toml:1: this is not TOML"),
    ],
)
def test_a_broken_file_gives_the_defaults_and_says_why(tmp_path: Path, raw: bytes, where: str) -> None:
    path = tmp_path / "room.toml"
    path.write_bytes(raw)
    chosen = load_preferences(path)
    assert chosen == Preferences(path, problems=chosen.problems)
    assert len(chosen.problems) == 1
    assert chosen.problems[0].startswith(where)
    assert chosen.problems[0].endswith("until then the defaults are used")


def test_what_cannot_be_read_gives_the_defaults_and_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "room.toml"
    folder.mkdir()
    assert "cannot be read" in load_preferences(folder).problems[0]


def test_editors_of_windows_may_have_written_it(tmp_path: Path) -> None:
    path = tmp_path / "room.toml"
    path.write_bytes(b'\xef\xbb\xbftheme = "nord"\r\nbel = 1\r\n')
    chosen = load_preferences(path)
    assert chosen.theme == "nord"
    assert chosen.problems[0].startswith("room.toml:2: ")


def test_a_variable_names_another_folder(tmp_path: Path) -> None:
    assert preferences_path({"SWARM_CONFIG": str(tmp_path)}) == tmp_path / "room.toml"
    assert preferences_path({}).name == "room.toml"


def test_keys_can_be_given_as_characters_and_as_names() -> None:
    assert keymap('"app.detach" = "Q, ctrl+x"\n"roadmap.filter" = ["?", "f7"]\n"app.help" = "f1"') == (
        {"app.detach": "Q,ctrl+x", "roadmap.filter": "question_mark,f7", "app.help": "f1"}, [],
    )  # fmt: skip


def test_an_unknown_binding_is_named_with_the_nearest_one() -> None:
    assert keymap('"app.detatch" = "Q"') == (
        {}, ['room.toml:2: there is no binding "app.detatch"; write "app.detach" instead'],
    )  # fmt: skip


def test_a_key_that_another_binding_has_is_left_out() -> None:
    found, problems = keymap('"app.detach" = "t"')
    assert found == {}
    assert problems == [
        "room.toml:2: t is the key of app.timeline (Timeline) already; choose another, or give app.timeline another one"
    ]


def test_a_key_of_a_list_is_a_key_everywhere() -> None:
    assert keymap('"app.detach" = "j"')[0] == {}
    assert keymap('"main.zoom" = "j"')[0] == {}


def test_keys_can_be_swapped() -> None:
    assert keymap('"app.metrics" = "t"\n"app.timeline" = "m"') == ({"app.metrics": "t", "app.timeline": "m"}, [])


def test_one_key_for_two_bindings_goes_to_the_first() -> None:
    found, problems = keymap('"app.pause" = "Q"\n"app.timeline" = "Q"')
    assert found == {"app.pause": "Q"}
    assert [problem.partition(":")[2].partition(":")[0] for problem in problems] == ["3"]


def test_when_one_is_left_out_its_own_key_is_taken_again() -> None:
    found, problems = keymap('"app.metrics" = "t"\n"app.approvals" = "m"')
    assert found == {}
    assert len(problems) == 2


def test_the_same_key_is_fine_where_both_are_never_active_together() -> None:
    roadmap, log = (next(each for each in all_bindings() if each.ident == ident) for ident in ("rows.down", "log.down"))
    assert (
        keymap_of(parse_preferences('[keys]\n"rows.down" = "s"\n"log.down" = "s"', HERE).keys, [roadmap, log])[1] == []
    )


@pytest.mark.parametrize(
    ("chosen", "colors", "theme"),
    [
        ("", "truecolor", "textual-dark"),
        ("", "256", "textual-dark"),
        ("", "standard", "ansi-dark"),
        ("", None, "ansi-dark"),
        ("nord", "standard", "nord"),
        ("nort", "truecolor", "textual-dark"),
    ],
)
def test_the_theme_is_the_chosen_one_or_what_the_terminal_can_show(chosen: str, colors: str | None, theme: str) -> None:
    found, problem = theme_of(Preferences(theme=chosen), ["nord", "textual-dark", "ansi-dark"], colors)
    assert found == theme
    assert ('write "nord" instead' in problem) == (chosen == "nort")


async def test_the_room_does_as_it_was_told(tmp_path: Path) -> None:
    writer = a_night(tmp_path)
    text = 'theme = "gruvbox"\n[keys]\n"app.detach" = "Q"\n"main.zoom" = "t"\n'
    app = RoomApp(opener_of(writer.folders, tmp_path), parse_preferences(text, tmp_path / "room.toml"))
    async with app.run_test() as pilot:
        await app.workers.wait_for_complete()
        await pilot.pause()
        assert app.theme == "gruvbox"
        bound = {key: active.binding.id for key, active in app.screen.active_bindings.items()}
        assert (bound.get("Q"), bound.get("q")) == ("app.detach", None)
        assert bound["t"] == "app.timeline"
        notes = [note.message for note in app._notifications]
        assert any("room.toml:4: t is the key of app.timeline" in note for note in notes)


def test_bindings_of_one_class_and_its_subclass_meet() -> None:
    from textual.screen import Screen
    from textual.widget import Widget

    class Sub(Screen[None]): ...

    def bound(ident: str, owner: type[Widget]) -> Bound:
        return Bound(ident, ("s",), "x", "", "", owner)

    from swarm_tui.room.all_bindings import meet

    assert meet(bound("a.x", Screen), bound("b.y", Sub))
    assert not meet(bound("a.x", Screen), bound("a.x", Sub))


@pytest.mark.parametrize("theme", ["textual-dark", "textual-light", "ansi-dark", "ansi-light"])
async def test_without_colour_text_stands_out_in_every_theme(
    theme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = RoomApp(opener_of(a_night(tmp_path).folders, tmp_path))
    async with app.run_test() as pilot:
        app.theme = theme
        await pilot.pause()
        text = [each for line in app.screen._compositor.render_strips() for each in line if each.text.strip()]
        assert text
        for each in text:
            color, background = (each.style.color, each.style.bgcolor) if each.style else (None, None)
            assert color is None or color.is_default or color != background, each
