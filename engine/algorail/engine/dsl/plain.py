"""Models as plain data: what leaves a user's block, and what stands in a plan.

Pydantic models, dataclasses, msgspec structs, enums and times become the JSON-like data that travels
between blocks.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import pydantic

_DURATION = pydantic.TypeAdapter(dt.timedelta)
_TEXTS: Mapping[type, Callable[[Any], str]] = {
    dt.datetime: dt.datetime.isoformat,
    dt.date: dt.date.isoformat,
    dt.time: dt.time.isoformat,
    dt.timedelta: lambda value: str(_DURATION.dump_python(value, mode="json")),
    uuid.UUID: str,
    decimal.Decimal: str,
}


def to_plain(value: Any) -> Any:
    """The value as plain data; arrays and what is plain already stay as they are."""
    if isinstance(value, enum.Enum):
        return value.value
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    members = members_of(value)
    if members is not None:
        return {key: to_plain(item) for key, item in members.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    text = _TEXTS.get(type(value))
    return text(value) if text else value


def members_of(value: Any) -> Mapping[Any, Any] | None:
    """The members of a dict or a model by the name they have in JSON; None for everything else."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, pydantic.BaseModel):
        fields = type(value).model_fields
        told = {
            info.serialization_alias or info.alias or name: getattr(value, name)
            for name, info in fields.items()
            if hasattr(value, name)
        }
        return {**told, **(value.__pydantic_extra__ or {})}
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.asdict(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: getattr(value, item.name) for item in dataclasses.fields(value) if item.init}
    return None
