"""Errors of writing an algorithm: each says what was expected and names the cure."""

from __future__ import annotations

from algorail.engine.kit.errors import PlanInvalid


def misuse(code: str, message: str, cure: str) -> PlanInvalid:
    """An error in the text of an algorithm, raised where it stands."""
    return PlanInvalid(message, code=code, cure=cure)
