"""Where the command `swarm` begins: errors are one sentence on stderr, and the exit code of the contract.

`swarm status` is what prompts and scripts ask again and again, and the room should be there at once. Plainly written
they go straight to their functions, since loading the full parser takes a third of the time, and so does `swarm gates`
when its last answer still stands; everything else, and these with anything unusual, goes there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import SwarmError, UserError

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


_FLAGS = {"status": ("--json",), "": ("--read-only",)}


@dataclass(frozen=True)
class Plain:
    """`swarm status` (`command` "status") or the room ("") as the quick way understands them."""

    command: str
    repo: Path | None = None
    state: Path | None = None
    flag: bool = False
    """`--json` of status, `--read-only` of the room."""


def plainly(words: Sequence[str]) -> Plain | None:
    """What `words` ask for if they are `status` or the room with options written out; None leaves them to the full
    parser."""
    command = words[0] if words and not words[0].startswith("-") else ""
    if command not in _FLAGS:
        return None
    found: dict[str, str] = {}
    rest = iter(words[1:] if command else words)
    for word in rest:
        name, equals, value = word.partition("=")
        if word in _FLAGS[command]:
            found["flag"] = word
        elif name in ("--repo", "--state"):
            found[name] = value if equals else next(rest, "")
        else:
            return None
    if any(not value or value.startswith("-") for name, value in found.items() if name != "flag"):
        return None
    repo, state = (Path(found[name]) if name in found else None for name in ("--repo", "--state"))
    return Plain(command, repo, state, "flag" in found)


def main() -> None:
    """The entry point."""
    try:
        sys.exit(_run(sys.argv[1:]))
    except UserError as error:
        _say(error)
        sys.exit(error.exit_code)
    except SwarmError as error:
        _say(error)
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def _say(error: SwarmError) -> None:
    from engine.text.sanitise import sanitise  # names of files and branches come from anybody

    sys.stderr.write(f"swarm: {sanitise(str(error))}\n")


def _run(words: Sequence[str]) -> int | None:
    plain = plainly(words)
    if words and words[0] == "gates":
        from swarm_tui.gating.quick import answer_quickly

        if (said := answer_quickly(words[1:])) is not None:
            return said
    if plain is not None and plain.command == "status":
        from swarm_tui.inspecting import print_status

        print_status(plain.repo, plain.state, as_json=plain.flag)
        return 0
    if plain is not None:
        from swarm_tui.terminal import Asked, can_show_a_room

        if can_show_a_room():
            from swarm_tui.opening import run_room

            return run_room(Asked(plain.repo, plain.state, read_only=plain.flag))
    from swarm_tui.command_line import run

    return run()


if __name__ == "__main__":
    main()
