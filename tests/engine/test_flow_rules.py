"""Flows that make no sense as a whole are refused when the settings are read, with one sentence that says why."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from pydantic import ValidationError

from engine.loading import Reading, read_settings
from engine.models.flow import Flow
from engine.models.settings import Settings

CLICK = {"send": {"click": {"x": 1, "y": 2}}}
SHOT = {"shot": {"name": "start"}}
WEB = {"driver": "http", "isolate": {"ports": ["web"]}, "start": {"run": ["app"], "ready": {"tcp": "web"}}}
GET = {"send": {"http": {"path": "/"}}}


def told(fields: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy({"name": "f", "start": {"run": ["app"]}} | fields)


SENSELESS: list[tuple[dict[str, Any], str]] = [
    ({"start": None}, "either start, with steps, or run"),
    ({"run": ["check"]}, "either start, with steps, or run"),
    ({"start": None, "run": ["check"], "steps": [{"assert": {"log": "x"}}]}, "samples only"),
    ({"start": None, "run": ["check"], "stop": {"within": "1s"}}, "neither a driver nor stop"),
    ({"start": None, "run": ["check", "{artifact}"]}, "run names {artifact}"),
    ({"driver": "http"}, 'needs isolate.ports = ["web"]'),
    ({"driver": "browser"}, 'needs isolate.ports = ["web"]'),
    ({"isolate": {"ports": ["web", "web"]}}, "different short names"),
    ({"isolate": {"ports": ["We b"]}}, "different short names"),
    ({"start": {"run": ["app", "{port}"]}}, "isolate.ports has to have a name"),
    (WEB | {"start": {"run": ["app", "{port.admin}"]}}, "isolate.ports has to have admin"),
    ({"size": {"w": 80, "h": 24}}, 'size needs driver = "terminal" or "browser"'),
    ({"start": {"run": ["app"], "ready": {"screen": "x"}}}, "ready: screen needs driver"),
    ({"start": {"run": ["app"], "ready": {"http": "/"}}}, "ready: http needs isolate.ports"),
    (WEB | {"start": {"run": ["app"], "ready": {"http": "health"}}}, "ready: http is a path"),
    (WEB | {"start": {"run": ["app"], "ready": {"tcp": "admin"}}}, 'isolate.ports has no "admin"'),
    ({"start": {"run": ["app"], "ready": {"file": "../up"}}}, "inside the flow's home"),
    ({"steps": [{"send": {"keys": ["enter"]}}]}, "step 1: send keys needs driver"),
    ({"steps": [{"send": {"text": "abc"}}]}, "send text needs driver"),
    ({"steps": [CLICK]}, "send click needs driver"),
    ({"steps": [{"send": {"resize": {"w": 9, "h": 9}}}]}, "send resize needs driver"),
    ({"steps": [{"send": {"open": "/"}}]}, 'send open needs driver = "browser"'),
    ({"driver": "terminal", "steps": [{"send": {"click": {"selector": "a"}}}]}, "click with a selector needs driver"),
    ({"steps": [{"wait": {"until": {"screen": "x"}}}]}, "screen needs driver"),
    ({"steps": [{"assert": {"no_screen": "x"}}]}, "no_screen needs driver"),
    ({"driver": "terminal", "steps": [{"assert": {"element": "a"}}]}, 'element needs driver = "browser"'),
    ({"steps": [SHOT]}, "shot needs driver"),
    ({"driver": "terminal", "steps": [SHOT, SHOT]}, 'two steps take the shot "start"'),
    ({"steps": [GET]}, "send http needs isolate.ports"),
    (WEB | {"start": {"run": ["app"]}, "steps": [GET]}, "send http needs start.ready"),
    (WEB | {"steps": [{"send": {"http": {"path": "/", "port": "db"}}}]}, 'names the port "db"'),
    (WEB | {"steps": [{"send": {"http": {"path": "/", "json": 1, "text": "1"}}}]}, "either json or text"),
    (WEB | {"steps": [{"send": {"http": {"path": "/", "headers": {"a": "b\nc"}}}}]}, "one line of ASCII"),
    (WEB | {"steps": [{"send": {"http": {"path": "/a b"}}}]}, "one line of ASCII"),
    (WEB | {"steps": [{"assert": {"status": 200}}, GET]}, "step 1: assert status is about the last HTTP answer"),
    (WEB | {"steps": [{"sample": {"name": "t", "from": "http"}}]}, 'from = "http" needs a step that sends http'),
    ({"steps": [{"sample": {"name": "t", "from": "/etc/x", "path": "a"}}]}, "inside the flow's home"),
    ({"steps": [{"sample": {"name": "t", "event": "a", "path": "b"}}] * 2}, 'two steps take the sample "t"'),
    ({"judge": {"budgets": [{"sample": "t", "max": 1}]}}, 'names the sample "t", which no step takes'),
    ({"stop": {"send": {"keys": ["q"]}}}, "stop: send keys needs driver"),
]


@pytest.mark.parametrize(("fields", "said"), SENSELESS, ids=[said for _, said in SENSELESS])
def test_what_makes_no_sense_is_refused_in_one_sentence(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Flow.model_validate(told(fields))
    (error,) = refused.value.errors()
    assert said in error["msg"]


@pytest.mark.parametrize(
    "fields",
    [
        {"start": None, "run": ["check"], "steps": [{"sample": {"name": "t", "event": "a", "path": "b"}}]},
        WEB | {"steps": [GET, {"assert": {"status": 200}}, {"sample": {"name": "t", "from": "http"}}]},
        WEB | {"driver": "process", "steps": [GET]},
        WEB | {"driver": "browser", "steps": [{"send": {"open": "/"}}, CLICK, SHOT, {"assert": {"element": "a"}}]},
        WEB | {"start": {"run": ["app", "{port}", "{port.web}"], "ready": {"http": "/", "tcp": "web"}}},
        {"driver": "terminal", "size": {"w": 80, "h": 24}, "steps": [{"send": {"keys": ["q"]}}, CLICK, SHOT]},
        {"driver": "terminal", "start": {"run": ["app"], "ready": {"screen": "x"}}},
        {"steps": [{"sample": {"name": "t", "from": "out/times.jsonl", "path": "a"}}]},
        {"steps": [{"send": {"json": {"kind": "resize"}}}, {"send": {"stdin": "x"}}]},
    ],
)
def test_what_makes_sense_is_taken(fields: dict[str, Any]) -> None:
    assert Flow.model_validate(told(fields)).name == "f"


def test_the_settings_say_where_such_a_flow_stands() -> None:
    text = '[[canary.flow]]\nname = "f"\nstart = { run = ["app"] }\nsteps = [{ send = { keys = ["q"] } }]\n'
    (problem,) = read_settings(text).problems
    assert problem.where.startswith("swarm.toml:")
    assert "step 1: send keys needs driver" in str(problem)
    text = 'name = "f"\nstart = { run = ["app"] }\nsteps = [{ shot = { name = "x" } }]\n'
    (problem,) = read_settings("", flows={"main:canary/f.toml": text}).problems
    assert problem.where.startswith("main:canary/f.toml")


def test_ports_are_filled_in_everywhere() -> None:
    fields = WEB | {"start": {"run": ["app", "--bind=127.0.0.1:{port.web}"], "ready": {"tcp": "web"}}}
    fields |= {"isolate": {"ports": ["web", "admin"], "env": {"URL": "http://127.0.0.1:{port.admin}/{port}"}}}
    filled = Flow.model_validate(told(fields)).with_ports({"web": 81, "admin": 82})
    assert filled.argv == ["app", "--bind=127.0.0.1:81"]
    assert filled.isolate.env == {"URL": "http://127.0.0.1:82/81"}
    assert filled.start is not None
    assert filled.start.ready == Flow.model_validate(told(fields)).start.ready  # type: ignore[union-attr]


def test_a_mask_is_written_as_lists_of_four() -> None:
    def read(mask: str) -> Reading[Settings]:
        flow = 'name = "f"\ndriver = "terminal"\nstart = { run = ["app"] }\n'
        return read_settings("", flows={"f.toml": f'{flow}steps = [{{ shot = {{ name = "s", mask = {mask} }} }}]\n'})

    told = read("[[0, 1, 2, 3], [4, 5, 6, 7]]").sound().canary.flow[0]
    assert told.steps[0].shot is not None
    assert told.steps[0].shot.mask == [(0, 1, 2, 3), (4, 5, 6, 7)]
    assert Flow.model_validate_json(told.model_dump_json(by_alias=True)) == told
    for wrong in ("[[0, 1, 2]]", "[[0, 1, 2, -3]]", "[[0, 1, 2, 3.5]]", "[0, 1, 2, 3]"):
        assert read(wrong).problems
        assert read(wrong).value is None
