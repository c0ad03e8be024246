"""Pointers from keys to reports: one file, several writers, and whatever somebody wrote into it."""

import hashlib
from pathlib import Path

import pytest

from gates import pointers as module
from gates.pointers import Pointers


def digest(text: str) -> str:
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_the_newest_pointer_of_a_key_is_found_by_every_process(tmp_path: Path) -> None:
    here, there = Pointers(tmp_path / "deep" / "pointers"), Pointers(tmp_path / "deep" / "pointers")
    assert here.find(digest("a")) is None
    there.add([digest("a"), digest("b")], digest("one"))
    assert (here.find(digest("a")), here.find(digest("b"))) == (digest("one"), digest("one"))
    here.add([digest("a")], digest("two"))
    assert (there.find(digest("a")), there.find(digest("b"))) == (digest("two"), digest("one"))
    assert Pointers(tmp_path / "deep" / "pointers").find(digest("a")) == digest("two")


def test_a_file_that_is_gone_or_another_one_is_read_afresh(tmp_path: Path) -> None:
    pointers = Pointers(tmp_path / "pointers")
    pointers.add([digest("a")], digest("one"))
    assert pointers.find(digest("a")) == digest("one")
    (tmp_path / "pointers").unlink()
    assert pointers.find(digest("a")) is None
    pointers.add([digest("b")], digest("two"))
    assert (pointers.find(digest("a")), pointers.find(digest("b"))) == (None, digest("two"))


@pytest.mark.parametrize("junk", [b"\xff\xfe\0\n", b"{}\n", b"a" * 70_000 + b"\n", b"torn by a crash"])
def test_junk_is_no_pointer_and_hides_none(tmp_path: Path, junk: bytes) -> None:
    pointers = Pointers(tmp_path / "pointers")
    pointers.add([digest("a")], digest("one"))
    with (tmp_path / "pointers").open("ab") as file:
        file.write(junk)
    assert pointers.find(digest("a")) == digest("one")
    pointers.add([digest("b")], digest("two"))
    pointers.add([digest("c")], digest("three"))
    assert pointers.find(digest("c")) == digest("three")


def test_the_oldest_go_when_there_are_too_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEPT", 3)
    pointers = Pointers(tmp_path / "pointers")
    for name in "abcde":
        pointers.add([digest(name)], digest("one"))
    pointers.shorten()
    assert pointers.find(digest("a")) == digest("one")
    pointers.add([digest("a")], digest("two"))
    pointers.shorten()
    found = [name for name in "abcde" if pointers.find(digest(name))]
    assert found == ["a", "d", "e"]
    assert pointers.find(digest("a")) == digest("two")
    assert len((tmp_path / "pointers").read_bytes().splitlines()) == 3
    assert list(tmp_path.iterdir()) == [tmp_path / "pointers"]
