"""Changes in memory: two trees as mappings of paths to contents, judged by the real guards."""

from collections.abc import Mapping
from typing import Any

from engine.models.report import GuardResult
from engine.models.settings import Guards
from engine.ports import GuardRequest
from gates.guards.guard import NO_FILE, SYMLINK, Guard, Judged, Row

Files = Mapping[str, str | bytes | None]
Base = Mapping[str, str | bytes] | Mapping[str, str]


class Link(bytes):
    """The content of a symbolic link: its target."""


def _bytes(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode()


def _mode(content: bytes | None) -> str:
    return NO_FILE if content is None else SYMLINK if isinstance(content, Link) else "100644"


def change(
    files: Files,
    base: Base | None = None,
    allow: tuple[str, ...] = (),
    scripts: tuple[str, ...] = (),
    modes: Mapping[str, str] | None = None,
    **guards: Any,
) -> Judged:
    """The change that writes `files` (None: deletes) on a tree with the files of `base`."""
    old = {path: _bytes(content) for path, content in (base or {}).items()}
    new = dict(old)
    for path, content in files.items():
        if content is None:
            del new[path]
        else:
            new[path] = _bytes(content)
    trees = {"old": old, "new": new}
    rows = [
        Row(path, _mode(old.get(path)), (modes or {}).get(path, _mode(new.get(path))), len(new.get(path, b"")))
        for path in sorted({*old, *new})
        if old.get(path) != new.get(path)
    ]
    return Judged(
        request=GuardRequest("new", "old", allow, (), Guards.model_validate(guards), "wo", scripts),
        rows=rows,
        read=lambda tree, path: trees[tree].get(path),
        paths=lambda: sorted(new),
        modes=lambda tree: {path: _mode(content) for path, content in trees[tree].items()},
    )


def judge(guard: Guard, files: Files, base: Base | None = None, **fields: Any) -> GuardResult:
    """One guard's word; a red one always says why in a line that can be shown, and names paths."""
    result = guard.judge(change(files, base, **fields))
    assert result.rule == guard.name
    if not result.ok:
        assert result.reason
        assert result.reason.isprintable()
        assert result.paths
    return result
