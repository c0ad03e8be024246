"""The steps of a flow, done on a started program: send, wait, assert, sample. A step holds, or says what it saw."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from canary.drivers.driver import SeenEvent, Session
from canary.verdicts import Miss
from engine.models.flow import Assert, Ready, Sample, Send, Step, Until, Wait

SHOWN_CHARS = 160


class Steps:
    """Does steps, one after the other. `samples`: name -> values; `exits`: exit codes that some step expected."""

    def __init__(self, session: Session) -> None:
        self.samples: dict[str, list[float]] = {}
        self.exits: set[int] = set()
        self._session = session
        self._next_event = 0
        self._next_line = 0

    async def ready(self, ready: Ready, within_s: float) -> None:
        """Wait until the started program is ready. Raises Miss."""
        event, line = self._event_finder(ready.event, {}), self._line_finder(ready.log)
        if await self._session.until(lambda: event() or line(), within_s) is None:
            wanted = " or ".join(
                [*([_named(ready.event, {})] if ready.event else []), *([_line(ready.log)] if ready.log else [])]
            )
            raise Miss(
                "FAIL", f"it was not ready: expected {wanted} within {within_s:g} s, saw {self._seen(ready.event)}"
            )

    async def perform(self, step: Step) -> None:
        """Do one step. Raises Miss, or ProgramFault when the program cannot be spoken to."""
        if step.send is not None:
            await self._session.send(text_of(step.send))
        elif step.wait is not None:
            await self._wait(step.wait)
        elif step.assert_ is not None:
            await self._session.settle()
            self._assert(step.assert_)
        elif step.sample is not None:
            await self._session.settle()
            self._sample(step.sample)

    async def _wait(self, wait: Wait) -> None:
        until = wait.until
        if until.exit is not None:
            await self._session.until(lambda: self._session.ended or None, wait.within)
            if not self._session.ended or self._session.exit_code != until.exit:
                raise Miss("FAIL", f"expected exit {until.exit} within {wait.within:g} s, saw {self._seen(None)}")
            self.exits.add(until.exit)
            return
        look = self._event_finder(until.event, until.where) if until.event else self._line_finder(until.log)
        if await self._session.until(look, wait.within) is None:
            raise Miss("FAIL", f"expected {_until(until)} within {wait.within:g} s, saw {self._seen(until.event)}")

    def _assert(self, told: Assert) -> None:
        session = self._session
        if told.event is not None:
            if not any(_is(event, told.event, told.where) for event in session.events):
                raise Miss("FAIL", f"expected {_named(told.event, told.where)}, saw {self._seen(told.event)}")
        elif told.no_event is not None:
            found = next((event for event in session.events if _is(event, told.no_event, told.where)), None)
            if found is not None:
                raise Miss("FAIL", f"expected no {_named(told.no_event, told.where)}, saw {_json(found.fields)}")
        elif told.log is not None:
            if not any(told.log in line.text for line in session.log):
                raise Miss("FAIL", f"expected {_line(told.log)}, saw {self._seen(None)}")
        elif told.no_log is not None:
            line = next((line.text for line in session.log if told.no_log in line.text), None)
            if line is not None:
                raise Miss("FAIL", f"expected no {_line(told.no_log)}, saw {_shown(line)}")
        elif told.exit is not None:
            if not session.ended or session.exit_code != told.exit:
                raise Miss("FAIL", f"expected exit {told.exit}, saw {self._seen(None)}")
            self.exits.add(told.exit)

    def _sample(self, sample: Sample) -> None:
        values: list[float] = []
        for event in self._session.events:
            if event.kind == sample.event:
                value = _at(event.fields, sample.path)
                if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
                    what = f'"{sample.path}" of {_json(event.fields)} is not a number'
                    raise Miss("INCONCLUSIVE", f"sample {sample.name} is missing: {what}")
                values.append(float(value))
        if not values:
            raise Miss("INCONCLUSIVE", f'sample {sample.name} is missing: expected events "{sample.event}", saw none')
        self.samples[sample.name] = values

    def _event_finder(self, kind: str | None, where: Mapping[str, Any]) -> Callable[[], bool | None]:
        """Looks on from where it looked last; what it finds is used up."""
        at = self._next_event

        def look() -> bool | None:
            nonlocal at
            events = self._session.events
            while kind is not None and at < len(events):
                at += 1
                if _is(events[at - 1], kind, where):
                    self._next_event = at
                    return True
            return None

        return look

    def _line_finder(self, text: str | None) -> Callable[[], bool | None]:
        at = self._next_line

        def look() -> bool | None:
            nonlocal at
            lines = self._session.log
            while text is not None and at < len(lines):
                at += 1
                if text in lines[at - 1].text:
                    self._next_line = at
                    return True
            return None

        return look

    def _seen(self, kind: str | None) -> str:
        """What there was instead, in a few words."""
        session = self._session
        words: list[str] = []
        if kind is not None:
            of_kind = [event for event in session.events[self._next_event :] if event.kind == kind]
            if of_kind:
                words.append(f"{_json(of_kind[-1].fields)} as the last of {len(of_kind)}")
            else:
                words.append(f"none of that kind among {len(session.events) - self._next_event} events")
        words.append(how_it_is(session))
        if session.log and (session.ended or kind is None):
            words.append(f"last line {_shown(session.log[-1].text)}")
        return ", ".join(words)


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


def text_of(send: Send) -> str:
    """What goes to the program's standard input."""
    if send.json_ is not None:
        return json.dumps(send.json_, separators=(",", ":")) + "\n"
    return send.stdin or ""


def describe(step: Step) -> str:
    """The step in a few words."""
    if step.send is not None:
        return f"send {_shown(text_of(step.send).rstrip())}"
    if step.wait is not None:
        return f"wait until {_until(step.wait.until)}"
    if step.assert_ is not None:
        return "assert"
    return f"sample {step.sample.name}" if step.sample is not None else "nothing"


def matches(fields: Any, where: Any) -> bool:
    """Whether `where` is a subset of `fields`, field by field at every depth. True is not 1."""
    if isinstance(where, Mapping):
        return isinstance(fields, Mapping) and all(k in fields and matches(fields[k], v) for k, v in where.items())
    return fields == where and isinstance(fields, bool) == isinstance(where, bool)


def _is(event: SeenEvent, kind: str, where: Mapping[str, Any]) -> bool:
    return event.kind == kind and matches(event.fields, where)


def _at(fields: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(fields, Mapping) or name not in fields:
            return None
        fields = fields[name]
    return fields


def _until(until: Until) -> str:
    if until.event is not None:
        return _named(until.event, until.where)
    return _line(until.log) if until.log is not None else f"exit {until.exit}"


def _named(kind: str, where: Mapping[str, Any]) -> str:
    return f'event "{kind}"' + (f" with {_json(where)}" if where else "")


def _line(text: str | None) -> str:
    return f"a line with {_shown(text or '')}"


def _json(value: Any) -> str:
    return _capped(json.dumps(value, ensure_ascii=False))


def _shown(text: str) -> str:
    return f'"{_capped(text)}"'


def _capped(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}…"
