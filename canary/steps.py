"""The steps of a flow, done on a started program. A step holds, or says what was expected and what was seen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from canary import wording
from canary.drivers.doors import Doors
from canary.drivers.driver import Picture, ProgramFault, Screen, SeenEvent, Session
from canary.numbers import Missing, numbers_of
from canary.places import is_there
from canary.verdicts import Miss
from canary.wording import as_json, how_it_is, shown
from engine.models.flow import Assert, HttpCall, Ready, Sample, Send, Shot, Step, Until, Wait

if TYPE_CHECKING:
    from canary.drivers.http import Http

POLL_S = 0.05
"""Between two looks at what does not tell when it changes."""
PROBE_S = 2.0
STEP_S = 30.0
"""Longer than this, beyond what it is given to wait, no step may take."""


class Steps:
    """Does steps, one after the other. `samples`: name -> values; `exits`: exit codes that some step expected; `shots`:
    what was seen, to be held against its golden. home: where the program leaves its files."""

    def __init__(self, session: Session, doors: Doors | None = None, home: Path | None = None) -> None:
        self.samples: dict[str, list[float]] = {}
        self.exits: set[int] = set()
        self.shots: list[tuple[Shot, Picture]] = []
        self._session = session
        self._doors = doors or Doors({})
        self._home = home
        self._next_event = 0
        self._next_line = 0

    @cached_property
    def http(self) -> Http:
        from canary.drivers.http import Http  # it takes long to import, and few flows need it

        return Http(self._doors.ports)

    @property
    def spoke_http(self) -> bool:
        return "http" in self.__dict__

    async def close(self) -> None:
        if self.spoke_http:
            await self.http.close()

    # ---- ready

    async def ready(self, ready: Ready, within_s: float) -> None:
        """Wait until the started program is ready. Raises Miss."""
        event, line = self._event_finder(ready.event, {}), self._line_finder(ready.log)

        def look() -> bool | None:
            on_screen = ready.screen is not None and ready.screen in self._screen().screen_text()
            return event() or line() or on_screen or None

        if not await self._until(look, lambda left_s: self._probe(ready, left_s), within_s, _is_probed(ready)):
            wanted = " or ".join(_wanted(ready))
            seen = self._seen(ready.event)
            raise Miss("FAIL", f"it was not ready: expected {wanted} within {within_s:g} s, saw {seen}")

    async def _probe(self, ready: Ready, left_s: float) -> bool:
        if ready.file is not None and self._home is not None and is_there(self._home / ready.file, self._home):
            return True
        if ready.tcp is not None and await self._doors.takes(ready.tcp):
            return True
        return ready.http is not None and await self.http.probe(ready.http, max(min(left_s, PROBE_S), POLL_S))

    async def _until(
        self,
        look: Callable[[], bool | None],
        probe: Callable[[float], Awaitable[bool]],
        within_s: float,
        probed: bool,
    ) -> bool:
        """Whether `look` finds something in time, or `probe`, which is asked again and again."""
        session, loop = self._session, asyncio.get_running_loop()
        deadline = loop.time() + within_s
        while probed:
            left_s = deadline - loop.time()
            if look() is not None or await probe(left_s):
                return True
            if left_s <= 0 or session.ended or session.overflow:
                return False
            if await session.until(look, min(POLL_S, left_s)) is not None:
                return True
        return await session.until(look, within_s) is not None

    # ---- steps

    async def perform(self, step: Step) -> None:
        """Do one step. Raises Miss, or ProgramFault when the program cannot be spoken to."""
        limit_s = STEP_S + (step.wait.within if step.wait is not None else 0.0)
        if step.send is not None and step.send.http is not None:
            limit_s += step.send.http.within
        try:
            async with asyncio.timeout(limit_s):
                await self._perform(step)
        except TimeoutError as error:
            raise Miss("FAIL", f"expected it to be done within {limit_s:g} s, saw that {self._how()}") from error

    async def _perform(self, step: Step) -> None:
        if step.send is not None:
            await self.send(step.send)
        elif step.wait is not None:
            await self._wait(step.wait)
        else:
            await self._session.settle()
            if step.assert_ is not None:
                await self._assert(step.assert_)
            elif step.sample is not None:
                self._sample(step.sample)
            elif step.shot is not None:
                self.shots.append((step.shot, await self._screen().shot()))

    async def send(self, send: Send) -> None:
        """Raises Miss, and ProgramFault."""
        if send.http is not None:
            await self._call(send.http)
        elif send.keys is not None:
            await self._screen().press(send.keys)
        elif send.text is not None:
            await self._screen().type(send.text)
        elif send.click is not None:
            await self._screen().click(send.click)
        elif send.resize is not None:
            await self._screen().resize(send.resize.w, send.resize.h)
        elif send.open is not None:
            await self._screen().open(send.open)
        else:
            await self._session.send(wording.text_of(send))

    async def _call(self, call: HttpCall) -> None:
        exchange = await self.http.call(call)
        if exchange.status is None:
            wanted = f"an answer to {call.method} {shown(call.path)} within {call.within:g} s"
            raise Miss("FAIL", f"expected {wanted}, saw {exchange.trouble}, {self._how()}")

    async def _wait(self, wait: Wait) -> None:
        until, session = wait.until, self._session
        if until.exit is not None:
            await session.until(lambda: session.ended or None, wait.within)
            if not session.ended or session.exit_code != until.exit:
                raise Miss("FAIL", f"expected exit {until.exit} within {wait.within:g} s, saw {self._seen(None)}")
            self.exits.add(until.exit)
            return
        if until.element is not None:
            screen, selector = self._screen(), until.element
            held = await self._until(lambda: None, lambda _: screen.element(selector), wait.within, True)
        else:
            held = await session.until(self._finder(until), wait.within) is not None
        if not held:
            on_screen = until.event is None and until.log is None
            seen = self._seen_on_screen() if on_screen else self._seen(until.event)
            raise Miss("FAIL", f"expected {wording.until(until)} within {wait.within:g} s, saw {seen}")

    def _finder(self, until: Until) -> Callable[[], bool | None]:
        if until.event is not None:
            return self._event_finder(until.event, until.where)
        if until.log is not None:
            return self._line_finder(until.log)
        screen, wanted, unwanted = self._screen(), until.screen, until.no_screen
        if wanted is not None:
            return lambda: wanted in screen.screen_text() or None
        return lambda: (unwanted is not None and unwanted not in screen.screen_text()) or None

    async def _assert(self, told: Assert) -> None:
        session = self._session
        if told.event is not None:
            if not any(_is(event, told.event, told.where) for event in session.events):
                raise Miss("FAIL", f"expected {wording.named(told.event, told.where)}, saw {self._seen(told.event)}")
        elif told.no_event is not None:
            found = next((event for event in session.events if _is(event, told.no_event, told.where)), None)
            if found is not None:
                unwanted = wording.named(told.no_event, told.where)
                raise Miss("FAIL", f"expected no {unwanted}, saw {as_json(found.fields)}")
        elif told.log is not None:
            if not any(told.log in line.text for line in session.log):
                raise Miss("FAIL", f"expected {wording.line(told.log)}, saw {self._seen(None)}")
        elif told.no_log is not None:
            line = next((line.text for line in session.log if told.no_log in line.text), None)
            if line is not None:
                raise Miss("FAIL", f"expected no {wording.line(told.no_log)}, saw {shown(line)}")
        elif told.exit is not None:
            if not session.ended or session.exit_code != told.exit:
                raise Miss("FAIL", f"expected exit {told.exit}, saw {self._seen(None)}")
            self.exits.add(told.exit)
        elif told.screen is not None or told.no_screen is not None or told.element is not None:
            await self._assert_shown(told)
        else:
            self._assert_answer(told)

    async def _assert_shown(self, told: Assert) -> None:
        screen = self._screen()
        if told.element is not None:
            held = await screen.element(told.element)
        elif told.screen is not None:
            held = told.screen in screen.screen_text()
        else:
            held = told.no_screen is not None and told.no_screen not in screen.screen_text()
        if not held:
            shape = Until(screen=told.screen, no_screen=told.no_screen, element=told.element)
            raise Miss("FAIL", f"expected {wording.until(shape)}, saw {self._seen_on_screen()}")

    def _assert_answer(self, told: Assert) -> None:
        """About the last HTTP answer. One that was not read to its end proves no absence."""
        answer = self.http.exchanges[-1] if self.spoke_http and self.http.exchanges else None
        if answer is None or answer.status is None:
            raise Miss("INCONCLUSIVE", "expected an HTTP answer to judge, saw none")
        if told.status is not None:
            if answer.status != told.status:
                said = f"{answer.status} {shown(answer.text)}"
                raise Miss("FAIL", f"expected status {told.status}, saw {said}")
            return
        if told.fields is not None:
            wanted, held = f"fields {as_json(told.fields)}", matches(_parsed(answer.text), told.fields)
        elif told.body is not None:
            wanted, held = f"an answer with {shown(told.body)}", told.body in answer.text
        else:
            unwanted = told.no_body or ""
            wanted, held = f"no answer with {shown(unwanted)}", unwanted not in answer.text
        if answer.cut and held == (told.no_body is not None):
            raise Miss("INCONCLUSIVE", f"expected {wanted}, saw an answer too long to be read")
        if not held:
            raise Miss("FAIL", f"expected {wanted}, saw {shown(answer.text)}")

    def _sample(self, sample: Sample) -> None:
        took = [each.took_ms for each in self.http.exchanges if each.status] if self.spoke_http else []
        try:
            self.samples[sample.name] = numbers_of(sample, self._session.events, took, self._home)
        except Missing as missing:
            raise Miss("INCONCLUSIVE", f"sample {sample.name} is missing: {missing}") from missing

    # ---- what was seen

    def _screen(self) -> Screen:
        if not isinstance(self._session, Screen):
            raise ProgramFault("it has no screen that this driver could see")
        return self._session

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

    def _how(self) -> str:
        return f"{how_it_is(self._session)}{wording.last_line(self._session)}"

    def _seen(self, kind: str | None) -> str:
        """What there was instead, in a few words."""
        session = self._session
        words: list[str] = []
        if kind is not None:
            of_kind = [event for event in session.events[self._next_event :] if event.kind == kind]
            if of_kind:
                words.append(f"{as_json(of_kind[-1].fields)} as the last of {len(of_kind)}")
            else:
                words.append(f"none of that kind among {len(session.events) - self._next_event} events")
        words.append(how_it_is(session))
        if session.log and (session.ended or kind is None):
            words.append(f"last line {shown(session.log[-1].text)}")
        return ", ".join(words)

    def _seen_on_screen(self) -> str:
        text = " ".join(self._screen().screen_text().split())
        return f"{shown(text) if text else 'an empty screen'}, {how_it_is(self._session)}"


def matches(fields: Any, where: Any) -> bool:
    """Whether `where` is a subset of `fields`, field by field at every depth. True is not 1."""
    if isinstance(where, Mapping):
        return isinstance(fields, Mapping) and all(k in fields and matches(fields[k], v) for k, v in where.items())
    return fields == where and isinstance(fields, bool) == isinstance(where, bool)


def _is(event: SeenEvent, kind: str, where: Mapping[str, Any]) -> bool:
    return event.kind == kind and matches(event.fields, where)


def _is_probed(ready: Ready) -> bool:
    return ready.file is not None or ready.tcp is not None or ready.http is not None


def _wanted(ready: Ready) -> Iterator[str]:
    if ready.event is not None:
        yield wording.named(ready.event, {})
    if ready.log is not None:
        yield wording.line(ready.log)
    if ready.http is not None:
        yield f"an answer to {ready.http}"
    if ready.tcp is not None:
        yield f"somebody on the port {ready.tcp}"
    if ready.file is not None:
        yield f"the file {ready.file}"
    if ready.screen is not None:
        yield wording.until(Until(screen=ready.screen))


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
