"""What makes a flow senseless as a whole, beyond what each part of it says of itself: steps that its driver cannot do,
ports and samples that are not there. Found when the settings are read, and not in the night.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from engine.models.flow import Assert, Flow, Ready, Send, Step, Until

SCREENS = ("terminal", "browser")
"""Drivers whose programs show something."""
_PORT = re.compile(r"\{port(?:\.([^{}]*))?\}")
_PORT_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_OF_ANSWERS = ("status", "body", "no_body", "fields")


def what_is_wrong(flow: Flow) -> Iterator[str]:
    """Sentences without a full stop, as the settings' errors show them."""
    yield from _program(flow)
    yield from _ports(flow)
    if flow.size is not None and flow.driver not in SCREENS:
        yield _needs("size", SCREENS)
    if flow.start is not None and flow.start.ready is not None:
        yield from _ready(flow, flow.start.ready)
    answered = False
    for number, step in enumerate(flow.steps, 1):
        yield from (f"step {number}: {wrong}" for wrong in _step(flow, step, answered))
        answered = answered or (step.send is not None and step.send.http is not None)
    if flow.stop.send is not None:
        yield from (f"stop: {wrong}" for wrong in _send(flow, flow.stop.send))
    yield from _judge(flow)


def _program(flow: Flow) -> Iterator[str]:
    if (flow.start is None) == (not flow.run):
        yield "a flow has either start, with steps, or run, an argv that is the whole flow"
    if flow.run:
        if flow.driver != "process" or "stop" in flow.model_fields_set:
            yield "a flow with run has neither a driver nor stop: its exit code is the word"
        if any(step.sample is None for step in flow.steps):
            yield "the steps of a flow with run are samples only: nobody speaks to it"
    if any("{artifact}" in part for part in flow.argv) and not flow.artifact:
        yield f'{"run" if flow.run else "start.run"} names {{artifact}}, so the flow needs artifact = "path"'
    parts = flow.artifact.removeprefix("{cache}/").replace("\\", "/").split("/")
    if flow.artifact and (".." in parts or parts[0] == "" or ":" in parts[0]):
        yield "artifact is a path inside the repository or the cache"
    if flow.artifact and not flow.package:
        yield "an artifact needs package = [...], which builds it: a stale one would prove nothing"


def _ports(flow: Flow) -> Iterator[str]:
    names = flow.isolate.ports
    if len(set(names)) != len(names) or not all(_PORT_NAME.fullmatch(name) for name in names):
        yield 'isolate.ports are different short names such as "web"'
    for text in _texts(flow.model_dump(by_alias=True)):
        for found in _PORT.finditer(text):
            if not names or (found[1] is not None and found[1] not in names):
                yield f"it names {found[0]}, so isolate.ports has to have {found[1] or 'a name'}"
    if flow.driver in ("http", "browser") and not names:
        yield f'driver = "{flow.driver}" needs isolate.ports = ["web"], and a program that listens on {{port}}'


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        inner = cast("list[Any]", value if isinstance(value, list) else list(cast("dict[str, Any]", value).values()))
        for each in inner:
            yield from _texts(each)


def _ready(flow: Flow, ready: Ready) -> Iterator[str]:
    if ready.screen is not None and flow.driver not in SCREENS:
        yield f"ready: {_needs('screen', SCREENS)}"
    if ready.http is not None:
        if not ready.http.startswith("/"):
            yield 'ready: http is a path such as "/health"'
        if not flow.isolate.ports:
            yield "ready: http needs isolate.ports"
    if ready.tcp is not None and ready.tcp not in flow.isolate.ports:
        yield f'ready: tcp names a port, and isolate.ports has no "{ready.tcp}"'
    if ready.file is not None and not is_inside(ready.file):
        yield "ready: file is a path inside the flow's home"


def _step(flow: Flow, step: Step, answered: bool) -> Iterator[str]:
    if step.send is not None:
        yield from _send(flow, step.send)
    if step.wait is not None:
        yield from _look(flow, step.wait.until)
    if step.assert_ is not None:
        yield from _look(flow, step.assert_)
        named = next((name for name in _OF_ANSWERS if getattr(step.assert_, name) is not None), None)
        if named is not None and not answered:
            yield f"assert {named} is about the last HTTP answer, and no step before it sends http"
    if step.shot is not None and flow.driver not in SCREENS:
        yield _needs("shot", SCREENS)
    if step.sample is not None and step.sample.from_:
        if step.sample.from_ == "http":
            if not any(each.send is not None and each.send.http is not None for each in flow.steps):
                yield 'a sample from = "http" needs a step that sends http'
        elif not is_inside(step.sample.from_):
            yield "from is http, or a path inside the flow's home"


def _send(flow: Flow, send: Send) -> Iterator[str]:
    for name in ("keys", "text", "click", "resize"):
        if getattr(send, name) is not None and flow.driver not in SCREENS:
            yield _needs(f"send {name}", SCREENS)
    if flow.driver != "browser" and (send.open is not None or (send.click is not None and send.click.selector)):
        yield _needs("send open" if send.open is not None else "click with a selector", ("browser",))
    if send.http is not None:
        if not flow.isolate.ports:
            yield "send http needs isolate.ports, and a program that listens on {port}"
        elif send.http.port and send.http.port not in flow.isolate.ports:
            yield f'send http names the port "{send.http.port}", which isolate.ports does not have'
        if flow.start is None or flow.start.ready is None:
            yield "send http needs start.ready: before that nobody may listen"
        if send.http.json_ is not None and send.http.text is not None:
            yield "send http has either json or text"
        words = (*send.http.headers, *send.http.headers.values())
        if " " in send.http.path or not all(each.isascii() and each.isprintable() for each in (send.http.path, *words)):
            yield "send http: path and headers are one line of ASCII each, and the path has no spaces"


def _look(flow: Flow, look: Until | Assert) -> Iterator[str]:
    for name in ("screen", "no_screen"):
        if getattr(look, name) is not None and flow.driver not in SCREENS:
            yield _needs(name, SCREENS)
    if look.element is not None and flow.driver != "browser":
        yield _needs("element", ("browser",))


def _judge(flow: Flow) -> Iterator[str]:
    samples = [step.sample.name for step in flow.steps if step.sample is not None]
    shots = [step.shot.name for step in flow.steps if step.shot is not None]
    for what, names in (("sample", samples), ("shot", shots)):
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            yield f'two steps take the {what} "{twice}": give one of them another name'
    for budget in flow.judge.budgets:
        if budget.sample not in samples:
            yield f'judge.budgets names the sample "{budget.sample}", which no step takes'


def _needs(what: str, drivers: tuple[str, ...]) -> str:
    named = " or ".join(f'"{name}"' for name in drivers)
    return f"{what} needs driver = {named}"


def is_inside(path: str) -> bool:
    """Whether a relative path stays below the folder that it starts from, on any system."""
    parts = path.replace("\\", "/").split("/")
    return bool(path) and ".." not in parts and parts[0] != "" and ":" not in path
