"""Bodies of the management routes. Strict: no unknown fields, no conversion of types."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=4_000)]
Short = Annotated[str, Field(max_length=200)]
Document = dict[str, Any]


class Body(BaseModel):
    """Base of every request body."""

    model_config = ConfigDict(extra="forbid", strict=True)


class PublishBody(Body):
    """A plan to publish."""

    plan: Document
    note: Text = ""
    author: Short = ""
    alias: Short | None = None
    """Alias to move to the new version."""
    allow_breaking: bool = False
    """Move the alias even when its callers must change."""


class ValidateBody(Body):
    """A plan to check."""

    plan: Document


class DraftBody(Body):
    """A draft, whole or as a merge patch."""

    plan: Document


class AliasBody(Body):
    """What an alias is to mean: one version, or weights by version."""

    version: int | None = Field(default=None, ge=1, le=999_999_999)
    weights: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] | None = Field(
        default=None, min_length=1, max_length=100
    )


class ReplayBody(Body):
    """How to run a recorded run again."""

    version: int | Short | None = None
    from_node: Short | None = None


class ResumeBody(Body):
    """What became of the writes that a run is unsure of."""

    outputs: Document = {}
    """Results of those that did happen, by node."""
    repeat: list[Short] = Field(default=[], max_length=2_000)
    """Those that did not."""


class PartialBody(Body):
    """A part of an algorithm to run."""

    version: int | Short | None = None
    plan: Document | None = None
    node: Short | None = None
    from_node: Short | None = None
    source_run: Short | None = None
    inputs: Document | None = None
    overrides: Document | None = None


class KeyBody(Body):
    """A key to make."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    scope: Short
    team: Annotated[str, Field(max_length=64, pattern=r"^[a-z0-9_-]*$")] = ""


__all__ = [
    "AliasBody",
    "DraftBody",
    "KeyBody",
    "PartialBody",
    "PublishBody",
    "ReplayBody",
    "ResumeBody",
    "ValidateBody",
]
