"""What the models at a border share: instances do not change, and it is said what becomes of unknown keys."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Strict(BaseModel):
    """Base of the models of files that people write: unknown keys are refused, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Grown(BaseModel):
    """Base of what the engine writes and signs: readers ignore keys that a later minor version added."""

    model_config = ConfigDict(extra="ignore", frozen=True)
