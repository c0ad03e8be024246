"""Writes scripts of the `script` agent: the steps that make one tree out of another, and all of a script as TOML."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

Step = dict[str, Any]
MOST_COMPARED = 200_000
"""Characters of a file in which changed places are looked for; of a longer one the whole text is kept."""
CONTEXTS = (1, 3, 8, 20)
"""Lines around a changed place, until they are there only once."""


def edits_of(path: str, old: bytes | None, new: bytes, executable: bool | None = None) -> list[Step]:
    """The steps that turn the file `old` (None: there is none) into `new`. executable: what it is to be made.

    A changed text is kept as its changed places, so that it can also be played on a file that others have changed
    elsewhere; where no place can be told for certain, and for a new text, all of it is kept; what is no text as base64.
    """
    mode: Step = {} if executable is None else {"executable": executable}
    try:
        text = new.decode("utf-8")
        before = None if old is None else old.decode("utf-8")
    except UnicodeDecodeError:
        return [{"edit": {"path": path, "base64": base64.b64encode(new).decode("ascii"), **mode}}]
    places = replacements(before, text) if before else None
    if not places:
        return [{"edit": {"path": path, "content": text, **mode}}]
    steps: list[Step] = [{"edit": {"path": path, "find": find, "replace": put}} for find, put in places]
    steps[-1]["edit"].update(mode)
    return steps


def replacements(old: str, new: str) -> list[tuple[str, str]] | None:
    """(text that is there exactly once, what to put there) one after the other; None where that cannot be said."""
    if max(len(old), len(new)) > MOST_COMPARED:
        return None
    a, b = old.splitlines(keepends=True), new.splitlines(keepends=True)
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    for context in CONTEXTS:
        now, found = old, list[tuple[str, str]]()
        for group in matcher.get_grouped_opcodes(context):
            find = "".join(a[group[0][1] : group[-1][2]])
            put = "".join(b[group[0][3] : group[-1][4]])
            if not find or now.count(find) != 1:
                break
            now = now.replace(find, put)
            found.append((find, put))
        if now == new and found:
            return found
    return None


def script_text(attempts: Sequence[Sequence[Step]], head: str) -> str:
    """The TOML of a script. `head`: a comment, one line or more. What it says is what `parse_script` reads again."""
    parts = ["".join(f"# {line}\n" for line in head.splitlines()), 'schema = "script/1"\n']
    for steps in attempts:
        parts.append("\n[[attempt]]\n")
        for step in steps:
            ((name, value),) = step.items()
            parts.append("\n[[attempt.steps]]\n")
            if name == "edit":  # its texts are long: a key a line
                parts += [f"edit.{key} = {toml_of(each)}\n" for key, each in value.items()]
            else:
                parts.append(f"{name} = {toml_of(value)}\n")
    return "".join(parts)


def toml_of(value: Any) -> str:
    """A value as TOML: texts, numbers, booleans, lists and tables of them. What is None is left out."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        pairs: Mapping[Any, Any] = value
        rows = (f"{_key(str(key))} = {_line(each)}" for key, each in pairs.items() if each is not None)
        return f"{{ {', '.join(rows)} }}"
    if isinstance(value, Sequence):
        items: Sequence[Any] = value
        return f"[{', '.join(_line(each) for each in items if each is not None)}]"
    return repr(value)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _line(value: Any) -> str:
    return _quoted(value) if isinstance(value, str) else toml_of(value)


def _text(text: str) -> str:
    """Several lines as they are, if a literal text can hold them."""
    plain = all(sign in "\n\t" or (sign >= " " and sign != "\x7f") for sign in text)
    if "\n" in text and plain and "'''" not in text and not text.endswith("'"):
        return f"'''\n{text}'''"
    return _quoted(text)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
