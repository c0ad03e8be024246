"""What was expected and what was seen, in a few words."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from canary.drivers.driver import Session
from engine.models.flow import Send, Step, Until

SHOWN_CHARS = 160


def how_it_is(session: Session) -> str:
    """Whether the program runs, and if not, how it ended."""
    if session.overflow:
        return session.overflow
    if not session.ended:
        return "it was still running"
    code = session.exit_code
    if code is None:
        return "it was killed"
    return f"it exited with {code}" if code >= 0 else f"it was killed by signal {-code}"


def last_line(session: Session) -> str:
    return f', last line "{session.log[-1].text[:SHOWN_CHARS]}"' if session.log else ""


def text_of(send: Send) -> str:
    """What goes to the program's standard input."""
    if send.json_ is not None:
        return json.dumps(send.json_, separators=(",", ":")) + "\n"
    return send.stdin or ""


def describe(step: Step) -> str:
    """The step in a few words."""
    if step.send is not None:
        return f"send {_sent(step.send)}"
    if step.wait is not None:
        return f"wait until {until(step.wait.until)}"
    if step.assert_ is not None:
        return "assert"
    if step.shot is not None:
        return f"shot {step.shot.name}"
    return f"sample {step.sample.name}" if step.sample is not None else "nothing"


def _sent(send: Send) -> str:
    if send.http is not None:
        return f"{send.http.method} {shown(send.http.path)}"
    if send.keys is not None:
        return f"keys {capped(' '.join(send.keys))}"
    if send.click is not None:
        return f"click {shown(send.click.selector)}" if send.click.selector else f"click {send.click.x},{send.click.y}"
    if send.resize is not None:
        return f"resize {send.resize.w}x{send.resize.h}"
    if send.open is not None:
        return f"open {shown(send.open)}"
    return shown(text_of(send).rstrip() if send.text is None else send.text)


def until(told: Until) -> str:
    if told.event is not None:
        return named(told.event, told.where)
    if told.log is not None:
        return line(told.log)
    if told.screen is not None:
        return f"a screen with {shown(told.screen)}"
    if told.no_screen is not None:
        return f"a screen without {shown(told.no_screen)}"
    return f"the element {shown(told.element)}" if told.element is not None else f"exit {told.exit}"


def named(kind: str, where: Mapping[str, Any]) -> str:
    return f'event "{kind}"' + (f" with {as_json(where)}" if where else "")


def line(text: str) -> str:
    return f"a line with {shown(text)}"


def as_json(value: Any) -> str:
    return capped(json.dumps(value, ensure_ascii=False))


def shown(text: str) -> str:
    return f'"{capped(text)}"'


def capped(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"
