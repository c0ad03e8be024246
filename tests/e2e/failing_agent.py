"""An agent that does what its work order is called, as ACP or as a command: `python -S failing_agent.py KIND TOKEN`.

It first writes `tiny/<order>.py`, so that there is something to lose. TOKEN is in the argv of all that it starts. It
lies beside `fake_acp_agent.py`, whose end of the protocol it uses. A folder outside its workspace is in `outside.txt`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

from fake_acp_agent import Peer  # pyright: ignore[reportMissingImports, reportUnknownVariableType]

COST = 0.25
HANDOFF = {"summary": "says so", "risk": "none", "rollback": "delete it"}
BROKEN = b'{"type": "result", \n{not json}\n\xff\xfe\n' + b"[" * 5_000 + b"\n"
SLEEPER = "import sys,time\ntime.sleep(600)"


class Act:
    """One run. `peer`: the engine's end for kind acp, None for a command."""

    def __init__(self, peer: Any, token: str) -> None:
        self.peer, self.token = peer, token
        task: dict[str, Any] = json.loads(Path(os.environ["SWARM_TASK"]).read_text(encoding="utf-8"))
        self.order, self.granted = str(task["work_order"]["id"]), task["granted"]
        self.file = Path("tiny", f"{self.order.replace('-', '_')}.py")

    def play(self) -> None:
        self.file.write_text("KEPT = 1\n", encoding="utf-8")
        self.spend(COST)
        getattr(self, self.order.replace("-", "_"))()

    # ---- what both kinds can

    def spend(self, cost: float) -> None:
        if self.peer:
            self.peer.update(sessionUpdate="usage_update", used=1, size=100, cost={"amount": cost, "currency": "USD"})
        else:
            Path(os.environ["SWARM_USAGE"]).write_text(json.dumps({"cost": cost}), encoding="utf-8")

    def hand_in(self, handoff: Any = HANDOFF) -> None:
        if self.peer:
            self.peer.hand_in(**handoff)
            self.peer.end()
        else:
            Path(os.environ["SWARM_HANDOFF"]).write_text(json.dumps(handoff), encoding="utf-8")
            sys.exit(0)

    def leave(self, *, hidden: bool) -> None:
        """A process in a session of its own whose parents have ended; hidden: without our environment."""
        argv = [sys.executable, "-S", "-c", SLEEPER, self.token]
        script = f"import os,subprocess\nos.setsid()\nsubprocess.Popen({argv!r}, start_new_session=True"
        script += ", env={})" if hidden else ")"
        subprocess.run([sys.executable, "-S", "-c", script], stdin=subprocess.DEVNULL, check=True)

    # ---- behaviours, by the order's name

    def good(self) -> None:
        self.hand_in()

    def crashes(self) -> NoReturn:
        print("Traceback: boom", file=sys.stderr, flush=True)
        os._exit(7)

    def hangs(self) -> None:
        time.sleep(600)

    def daemonises(self) -> None:
        self.leave(hidden=False)
        self.leave(hidden=True)
        self.hand_in()

    def daemonises_and_crashes(self) -> NoReturn:
        self.leave(hidden=False)
        self.leave(hidden=True)
        os._exit(9)

    def floods(self) -> None:
        while True:
            if self.peer:
                self.peer.talk("x" * 100_000)
            else:
                os.write(1, b"x" * 100_000)

    def prints_broken_json(self) -> None:
        self.peer.write(BROKEN * 50)
        time.sleep(600)

    def leaves_half_a_handoff(self) -> None:
        Path(os.environ["SWARM_HANDOFF"]).write_bytes(b'{"summary": "half of')

    def prints_broken_json_and_is_honest(self) -> None:
        self.peer.write(BROKEN) if self.peer else os.write(1, BROKEN)
        self.hand_in()

    def hands_in_nonsense(self) -> None:
        self.hand_in({"summary": ["not", "a", "text"]})

    def hands_in_nothing(self) -> None:
        if self.peer:
            self.peer.end()

    def claims_the_impossible(self) -> None:
        self.spend(900_000.0)
        self.hand_in()

    def overspends(self) -> None:
        """And would go on."""
        self.spend(7.0)
        time.sleep(600)

    def loses_its_connection(self) -> None:
        if self.peer:
            self.peer.fail(-32603, "Internal error", {"details": "fetch failed: socket hang up"})
        else:
            sys.exit("fetch failed: socket hang up")

    def never_asks(self) -> None:
        self.write_outside()
        self.hand_in()

    def asks_for_outside(self) -> None:
        """By its path, through a link, from a folder above, by what was told before; it does what it is allowed."""
        outside = Path("outside.txt").read_text(encoding="utf-8").strip()
        Path("away").symlink_to(outside)
        Path("up").symlink_to("..")
        inputs: list[dict[str, Any]] = [
            {"kind": "edit", "locations": [{"path": f"{outside}/asked"}]},
            {"kind": "edit", "locations": [{"path": "away/asked"}]},
            {"kind": "edit", "rawInput": {"file_path": "up/up/asked"}},
            {"kind": "delete", "locations": [{"path": "away/precious"}]},
            {"kind": "move", "rawInput": {"source": "tiny/words.py", "destination": "away/asked"}},
            {"kind": "execute", "rawInput": {"command": "touch asked", "cwd": "away"}},
        ]
        said = [self.peer.permission(**{"toolCallId": f"t{nth}", **call}) for nth, call in enumerate(inputs)]
        said.append(self.peer.permission(toolCallId="inside", kind="edit", locations=[{"path": str(self.file)}]))
        written = self.peer.ask("fs/write_text_file", path="away/asked", content="x")
        self.write_outside()
        for link in ("away", "up"):
            Path(link).unlink()
        self.file.write_text(f"SAID = {said}\nWRITTEN = {sorted(written)!r}\n", encoding="utf-8")
        self.hand_in()

    def asks_for_a_folder_outside(self) -> NoReturn:
        Path(os.environ["SWARM_ASK"]).write_text(json.dumps({"argv": ["touch", "x"], "cwd": "../.."}), "utf-8")
        sys.exit(75)

    def write_outside(self) -> None:
        """What it was not allowed, with nobody's permission."""
        outside = Path("outside.txt").read_text(encoding="utf-8").strip()
        for name in (f"{outside}/taken", f"{outside}/precious"):
            try:
                print(f"it writes {name}", file=sys.stderr, flush=True)
                Path(name).write_text("mine", encoding="utf-8")
            except OSError as error:
                print(f"no {name}: {error.strerror}", file=sys.stderr, flush=True)

    # ---- moments at which engines are killed

    @property
    def is_doomed(self) -> bool:
        """Whether this engine is one of those that are killed: `kills.txt` says how many are."""
        epoch = os.environ["SWARM_RUN"].partition("/")[0].rpartition("-")[2]
        return int(epoch) <= int(Path("kills.txt").read_text(encoding="utf-8"))

    def wait_to_be_killed(self) -> NoReturn:
        """Deaf to the polite signals, and not alone."""
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, signal.SIG_IGN)
        self.leave(hidden=False)
        self.leave(hidden=True)
        Path("moment").touch()
        while True:
            time.sleep(600)

    def before_the_session(self) -> None:
        self.hand_in()

    def in_a_tool_call(self) -> None:
        call = {"toolCallId": "t", "kind": "edit", "title": "Write", "rawInput": {"path": str(self.file)}}
        self.peer.update(sessionUpdate="tool_call", status="pending", **call)
        if self.is_doomed and self.peer.permission(**call) == "yes":
            self.peer.update(sessionUpdate="tool_call_update", toolCallId="t", status="in_progress")
            self.wait_to_be_killed()
        self.hand_in()

    def while_it_asks(self) -> None:
        """Told to end its turn it does not."""
        if not self.granted:
            self.peer.permission(kind="execute", title="Clear up", rawInput={"command": "rm -r old"})
            if self.is_doomed:
                self.wait_to_be_killed()
            self.peer.end("cancelled")
            return
        self.hand_in()

    def after_its_handoff(self) -> None:
        self.peer.hand_in(**HANDOFF)
        if self.is_doomed:
            self.wait_to_be_killed()
        self.peer.end()

    def limited(self) -> None:
        """The provider of its first run refuses, in the words of `limit.txt`."""
        words = Path("limit.txt").read_text(encoding="utf-8").strip()
        if not os.environ["SWARM_RUN"].endswith(".1"):
            self.hand_in()
        elif self.peer:
            self.peer.fail(-32603, "Internal error", {"details": words})
        else:
            sys.exit(words)


class Client(Peer):
    """One of the moments comes before its first turn."""

    act: Act

    def read(self) -> dict[str, Any]:
        message: dict[str, Any] = super().read()
        if message.get("method") == "session/new" and self.act.order == "before-the-session" and self.act.is_doomed:
            self.act.wait_to_be_killed()
        return message


def main() -> None:
    kind, token = sys.argv[1:]
    if kind == "acp":
        peer = Client([token])
        peer.act = Act(peer, token)
        peer.serve(lambda _: peer.act.play())
    else:
        Act(None, token).play()


if __name__ == "__main__":
    main()
