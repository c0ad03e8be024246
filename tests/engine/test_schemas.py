"""JSON Schemas describe what people write."""

from __future__ import annotations

import json
import re

from pydantic import BaseModel

from engine.schemas import all_schemas


def test_every_model_that_people_or_scripts_write_has_a_schema() -> None:
    names = set(all_schemas())
    assert {"settings", "roadmap", "flow", "task", "report", "problem", "handoff-implementer", "handoff-abort"} <= names


def test_schemas_are_json() -> None:
    assert json.loads(json.dumps(all_schemas())) == all_schemas()


def test_a_duration_is_described_as_it_is_written() -> None:
    field = all_schemas()["settings"]["$defs"]["Limits"]["properties"]["run_wall"]
    assert re.search(field["pattern"], "90s")
    assert not re.search(field["pattern"], "90")
    assert "string" in field["type"]


def test_keys_are_named_as_they_are_written() -> None:
    step = all_schemas()["flow"]["$defs"]["Step"]["properties"]
    assert "assert" in step
    assert "assert_" not in step


def test_the_layers_above_add_their_own() -> None:
    class Status(BaseModel):
        main: str

    assert all_schemas({"status": Status})["status"]["properties"]["main"]["type"] == "string"
