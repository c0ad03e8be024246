"""`swarm approve`: yes to one question. On a terminal the highest class is shown first and wants its name typed."""

from __future__ import annotations

import sys
from pathlib import Path

from engine.approvals.asked import judged_of, word_of
from engine.client import Client
from engine.errors import UserError
from engine.history import History
from engine.state import Approval, State
from engine.text.sanitise import sanitise_line
from swarm_tui.place import find_folders
from swarm_tui.sending import send_or_refuse


def run_approve(repo: Path | None, state: Path | None, ident: str, typed: str | None) -> int:
    """Send the answer; 0. Raises UserError when it is refused, or another word is typed than is wanted.

    typed: the name, where it was given; else it is asked for, if somebody sits at a terminal. A script that names one
    exact id needs no more.
    """
    client = Client.attach(find_folders(repo, state))
    try:
        approval = client.state.approvals.get(ident)
        args = {"id": ident}
        if approval is not None and approval.status == "pending":
            args["hash"] = approval.hash
            if typed is None and judged_of(approval).highest and sys.stdin.isatty() and sys.stdout.isatty():
                typed = _ask(approval, client.state)
        if typed is not None:
            args["typed"] = typed
        said = send_or_refuse(client, "approve", args)
    finally:
        client.close()
    sys.stdout.write(said + "\n")
    return 0


def _ask(approval: Approval, state: State) -> str:
    """Show all that the answer is bound to, and read one line."""
    from swarm_tui.room.question import class_words, question_of

    question = question_of(approval, state, History())
    word, source = class_words(question.judged)
    lines = [question.heading, f"{word} · highest class · {source}"]
    lines += [f"{line.label:<12} {line.text}" for line in (*question.lines, *question.bound)]
    sys.stdout.write("\n".join(lines) + f"\nType {word_of(approval, state)} to approve exactly this: ")
    sys.stdout.flush()
    given = sys.stdin.readline()
    if not given:
        raise UserError(f"nothing was typed, so {sanitise_line(approval.id)} was not answered: run it again")
    return given.strip("\r\n")
