"""Binaries: what nobody can review stays out; pictures and fonts that are what they say may come in."""

import io
import zipfile

import pytest

from gates.guards.binaries import BinariesGuard
from tests.gates.guards.changes import Base, Files, Link, judge

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"


def binaries(files: Files, base: Base | None = None, **fields: object):
    return judge(BinariesGuard(), files, base, **fields)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", "b")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("path", "content", "what"),
    [
        ("tool", b"\x7fELF\2\1\1\0", "a program"),
        ("tool.exe", b"MZ\x90\0", "a program"),
        ("lib.a", b"!<arch>\n", "a library"),
        ("x.pyc", b"\xcb\r\r\n\0\0", "a binary file"),
        ("x.zip", zipped(), "an archive"),
        ("x.whl", zipped(), "an archive"),
        ("x.tar.gz", b"\x1f\x8b\x08", "an archive"),
        ("x.wasm", b"\0asm\1", "compiled WebAssembly"),
        ("x.png", zipped(), "an archive"),
        ("x.png", b"\x7fELF\0", "a program"),
        ("x.png", b"not a picture\0", "a binary file"),
        ("x.py", PNG, "a binary file"),
        ("x.txt", b"a" * 8000 + b"\0", "a binary file"),
        ("x.db", b"SQLite format 3\0", "a database"),
    ],
)
def test_binary_content_is_refused(path: str, content: bytes, what: str) -> None:
    refused = binaries({path: content})
    assert (refused.ok, refused.paths) == (False, [path])
    assert what in refused.reason
    assert binaries({path: content}, allow=(path,)).ok
    assert not binaries({path: content}, allow=("**",)).ok
    assert binaries({path: content}, binaries=False).ok
    assert not binaries({path: content}, {path: "text\n"}).ok
    assert binaries({path: None}, {path: content}).ok


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("a.png", PNG),
        ("A.PNG", PNG),
        ("a.jpg", b"\xff\xd8\xff\xe0\0\x10JFIF"),
        ("a.gif", b"GIF89a\1\0"),
        ("a.webp", b"RIFF\0\0\0\0WEBPVP8 "),
        ("a.ico", b"\0\0\1\0\1\0"),
        ("a.woff2", b"wOF2\0\1\0\0"),
        ("a.py", "x = 'ä'\n"),
        ("a.txt", b"\xff latin"),
        ("a.md", b"MZ is how it starts"),
        ("a.txt", b"a" * 8192 + b"\0"),
        ("link", Link(b"target")),
    ],
)
def test_pictures_fonts_and_text_pass(path: str, content: bytes) -> None:
    assert binaries({path: content}).ok


def test_a_picture_is_no_program() -> None:
    assert not binaries({"a.png": PNG}, modes={"a.png": "100755"}).ok
