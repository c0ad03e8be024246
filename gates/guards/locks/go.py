"""Go: go.sum, and go.mod with its replacements and tools."""

from __future__ import annotations

import re

from gates.guards.locks.package import Listing, Package, Unreadable, decode, listing, local_source

_DIRECTIVE = re.compile(r"^(module|go|toolchain|require|exclude|replace|retract|tool|godebug|ignore)\b\s*(.*)$")


def go_sum(path: str, content: bytes) -> Listing:
    """A version may end in `/go.mod`: then the hash is of that file alone."""
    hashes: dict[tuple[str, str], set[str]] = {}
    for line in decode(content).splitlines():
        words = line.split()
        if not words:
            continue
        if len(words) != 3:
            raise Unreadable("it has a line without module, version and hash")
        module, version, digest = words
        hashes.setdefault((module, version), set()).add(digest)
    return listing(Package(name, version, hashes=frozenset(some)) for (name, version), some in hashes.items())


def go_mod(path: str, content: bytes) -> Listing:
    found: set[Package] = set()
    redirects: dict[str, str] = {}
    block = ""
    for raw in decode(content).splitlines():
        line = raw.partition("//")[0].strip()
        if not line:
            continue
        if block and line == ")":
            block = ""
            continue
        if not block:
            directive = _DIRECTIVE.match(line)
            if directive is None:
                raise Unreadable("it has a line that is no directive of Go")
            kind, line = directive[1], directive[2].strip()
            if line == "(":
                block = kind
                continue
        else:
            kind = block
        if kind == "require":
            name, _, version = line.replace('"', "").partition(" ")
            found.add(Package(name, version.strip()))
        elif kind == "replace":
            old, _, new = (part.strip() for part in line.replace('"', "").partition("=>"))
            if local_source(path, new) != f"path+{new}" and new.startswith("."):
                continue  # its code is in the tree
            redirects[f"replace {old}"] = new
        elif kind == "toolchain":
            redirects["toolchain"] = line
    return listing(found, redirects)
