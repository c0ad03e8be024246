"""Where git's attributes ask for LFS, the tree holds a pointer."""

import pytest

from gates.guards.lfs import LfsGuard
from tests.gates.guards.changes import Base, Files, judge

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a1" * 32 + "\nsize 12345\n"


def lfs(files: Files, base: Base):
    return judge(LfsGuard(), files, base)


@pytest.mark.parametrize(
    ("attributes", "path"),
    [
        ("*.psd filter=lfs diff=lfs merge=lfs -text\n", "deep/a.psd"),
        ("art/** filter=lfs\n", "art/x/y.txt"),
        ("/a.bin filter=lfs\n", "a.bin"),
        ("# x\n\n*.psd -text\n*.psd filter=lfs\n", "a.psd"),
        ("[attr]big filter=lfs -text\n*.psd big\n", "a.psd"),
    ],
)
def test_a_tracked_path_holds_a_pointer(attributes: str, path: str) -> None:
    base = {".gitattributes": attributes}
    assert lfs({path: "the content itself"}, base).paths == [path]
    assert lfs({path: POINTER}, base).ok
    assert lfs({path: ""}, base).ok
    assert not lfs({path: POINTER + "and more"}, base).ok
    assert lfs({"other.txt": "x"}, base).ok


def test_later_and_deeper_lines_win() -> None:
    base = {".gitattributes": "*.psd filter=lfs\n", "sub/.gitattributes": "*.psd -filter\n"}
    assert lfs({"sub/a.psd": "x"}, base).ok
    assert not lfs({"a.psd": "x"}, base).ok
    assert lfs({"a.psd": "x"}, {".gitattributes": "*.psd filter=lfs\n*.psd !filter\n"}).ok
    assert not lfs({"sub/a.psd": "x"}, {"sub/.gitattributes": "*.psd filter=lfs\n"}).ok
    assert lfs({"b/a.psd": "x"}, {"sub/.gitattributes": "*.psd filter=lfs\n"}).ok
