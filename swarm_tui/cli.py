"""Where the command `swarm` begins: errors are one sentence on stderr, and the exit code of the contract.

`swarm status` is what prompts and scripts ask again and again. Plainly written it goes straight to its function, since
loading the full parser takes a third of its time; everything else, and `status` with anything unusual, goes there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engine.errors import SwarmError, UserError

EXIT_FAILED = 1
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class PlainStatus:
    """`swarm status` as the quick way understands it."""

    repo: Path | None = None
    state: Path | None = None
    as_json: bool = False


def plain_status(words: Sequence[str]) -> PlainStatus | None:
    """What `words` ask for if they are `status` with its options, written out; None leaves them to the full parser."""
    if not words or words[0] != "status":
        return None
    found: dict[str, str] = {}
    rest = iter(words[1:])
    for word in rest:
        name, equals, value = word.partition("=")
        if word == "--json":
            found[name] = word
        elif name in ("--repo", "--state"):
            found[name] = value if equals else next(rest, "")
        else:
            return None
    if any(not value or value.startswith("-") for name, value in found.items() if name != "--json"):
        return None
    repo, state = (Path(found[name]) if name in found else None for name in ("--repo", "--state"))
    return PlainStatus(repo, state, "--json" in found)


def main() -> None:
    """The entry point."""
    try:
        sys.exit(_run(sys.argv[1:]))
    except UserError as error:
        sys.stderr.write(f"swarm: {error}\n")
        sys.exit(error.exit_code)
    except SwarmError as error:
        sys.stderr.write(f"swarm: {error}\n")
        sys.exit(EXIT_FAILED)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)


def _run(words: Sequence[str]) -> int | None:
    if (plain := plain_status(words)) is not None:
        from swarm_tui.inspecting import print_status

        print_status(plain.repo, plain.state, as_json=plain.as_json)
        return 0
    from swarm_tui.command_line import run

    return run()


if __name__ == "__main__":
    main()
