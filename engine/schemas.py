"""JSON Schemas of everything that people and scripts read or write (`swarm roadmap schema`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from engine.models.flow import Flow
from engine.models.handoffs import HANDOFFS, Abort
from engine.models.problem import Problem
from engine.models.report import VerificationReport
from engine.models.roadmap import Roadmap
from engine.models.settings import Settings
from engine.models.task import Task

_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def all_schemas(more: Mapping[str, Any] | None = None) -> dict[str, dict[str, Any]]:
    """A JSON Schema (draft 2020-12) by name, in the form in which people write the value.

    `more` adds models of the layers above by name: model classes, or any type that pydantic understands.
    """
    models: dict[str, Any] = {
        "settings": Settings,
        "roadmap": Roadmap,
        "flow": Flow,
        "task": Task,
        "report": VerificationReport,
        "problem": Problem,
        "handoff-abort": Abort,
        **{f"handoff-{role}": model for role, model in HANDOFFS.items()},
        **(more or {}),
    }
    return {name: {"$schema": _DIALECT, **_schema(model)} for name, model in sorted(models.items())}


def _schema(model: Any) -> dict[str, Any]:
    return TypeAdapter[Any](model).json_schema()
