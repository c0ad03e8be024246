"""The command `swarm` on a machine that has no sandbox at all: the control of what sandboxes hold."""

from __future__ import annotations

from engine.sandbox import choose

choose.BACKENDS = {}

if __name__ == "__main__":
    from swarm_tui.cli import main

    main()
