"""Lets the constructor of a pydantic model take values that do not exist yet.

Pydantic validates in `BaseModel.__init__`, which no value can pass before the run. While an algorithm is
traced, and in that context only, a model that is given such values is built without validation; the plan's
check compares the types instead.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pydantic

from algorail.engine.dsl.misuse import misuse
from algorail.engine.dsl.plain import members_of
from algorail.engine.dsl.value import Value

_tracing: ContextVar[bool] = ContextVar("algorail_tracing", default=False)
_lock = threading.Lock()
_users = 0
_original: Callable[..., None] = pydantic.BaseModel.__init__


@contextmanager
def model_constructors() -> Generator[None]:
    """Inside, models take values."""
    global _users
    with _lock:
        _users += 1
        pydantic.BaseModel.__init__ = _init  # type: ignore[method-assign]  # put back below
    token = _tracing.set(True)
    try:
        yield
    finally:
        _tracing.reset(token)
        with _lock:
            _users -= 1
            if not _users:
                pydantic.BaseModel.__init__ = _original  # type: ignore[method-assign]


def _init(self: pydantic.BaseModel, /, **data: Any) -> None:
    if not (_tracing.get() and any(map(holds_value, data.values()))):
        _original(self, **data)
        return
    fields = type(self).model_fields
    known = {*fields, *(info.alias for info in fields.values() if info.alias)}
    unknown = [name for name in data if name not in known]
    missing = [
        name
        for name, info in fields.items()
        if info.is_required() and name not in data and info.alias not in data
    ]
    if unknown or missing:
        what = f"no field {', '.join(unknown)}" if unknown else f"{', '.join(missing)} is required"
        raise misuse("model-fields", f"{type(self).__name__}: {what}", f"its fields are: {', '.join(fields)}")
    built = type(self).model_construct(**data)
    for name in ("__dict__", "__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__"):
        object.__setattr__(self, name, getattr(built, name))


_init.__pydantic_base_init__ = True  # type: ignore[attr-defined]  # models made meanwhile are ordinary ones


def holds_value(thing: Any) -> bool:
    """Whether there is a value that does not exist yet somewhere in it."""
    if isinstance(thing, Value):
        return True
    if isinstance(thing, list | tuple):
        return any(map(holds_value, thing))
    members: Mapping[Any, Any] | None = members_of(thing)
    return members is not None and any(map(holds_value, members.values()))
