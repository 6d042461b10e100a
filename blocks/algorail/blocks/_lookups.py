"""What a `db_lookup` does when it is called: bind the inputs, read the rows, check them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, Float, LargeBinary, String, TextClause, bindparam, text
from sqlalchemy.types import TypeEngine

from algorail.blocks._databases import database
from algorail.blocks._schemas import type_from
from algorail.blocks._sql_text import escaped
from algorail.engine.kind import CallContext, Services
from algorail.engine.kit.errors import DeadlineExceeded, InvalidInput, LimitExceeded, NotFound
from algorail.engine.plan.signature import Port
from algorail.engine.plan.types import ListType, ObjectType, ScalarType, Type, VectorType, without_null
from algorail.engine.plan.values import compile_validator

if TYPE_CHECKING:
    from algorail.blocks.db_lookup import DbLookupConfig

MAX_ITEMS = 10_000
"""Items of a list that a statement compares with."""


class Lookup:
    """A prepared statement over the pool of a connection; it connects on the first call.

    Args:
        config: Checked.
        ports: Its parameters.
        services: Of the process.
    """

    def __init__(self, config: DbLookupConfig, ports: Mapping[str, Port], services: Services) -> None:
        row = type_from(config.row, "row")
        self._config = config
        self._source = database(config.connection, services)
        self._statement = _statement(config.sql, ports)
        self._checks = {name: compile_validator(port.type) for name, port in ports.items()}
        self._defaults = {name: port.default for name, port in ports.items() if not port.required}
        self._row_type = row
        self._check_row = compile_validator(row)

    def __call__(self, ctx: CallContext, **inputs: Any) -> Any:
        """The rows, in the declared shape."""
        config = self._config
        left = ctx.remaining()
        if left is not None and left <= 0:
            raise DeadlineExceeded("no time is left for the lookup")
        seconds = config.timeout if left is None else min(config.timeout, left)
        given = self._defaults | inputs
        values = {name: _bound(check(given[name]), name) for name, check in self._checks.items()}
        most = 1 if config.shape in {"one", "value"} else config.limit
        columns, rows = self._source.fetch(self._statement, values, rows=most + 1, seconds=seconds)
        read = [self._read(columns, row) for row in rows[:most]]
        return self._shaped(read, more=len(rows) > most)

    def _read(self, columns: Sequence[str], row: Sequence[Any]) -> Any:
        if self._config.shape in {"column", "value"}:
            if len(columns) != 1:
                message = f"shape {self._config.shape!r} needs one column, the statement gives {len(columns)}"
                raise InvalidInput(message, code="db-columns", cure="select one column")
            return self._check_row(_plain(row[0], self._row_type))
        if len(set(columns)) < len(columns):
            message = f"two columns have one name: {', '.join(columns)}"
            raise InvalidInput(message, code="db-columns", cure="name them with AS")
        members = self._row_type.fields if isinstance(self._row_type, ObjectType) else {}
        values = {
            name: _plain(value, members[name].type if name in members else None)
            for name, value in zip(columns, row, strict=True)
        }
        return self._check_row(values)

    def _shaped(self, rows: list[Any], *, more: bool) -> Any:
        config = self._config
        if config.shape in {"one", "value"}:
            if more:
                raise LimitExceeded(
                    "the lookup found more than one row", code="db-rows", cure="add a condition"
                )
            if not rows and config.missing == "error":
                raise NotFound("the lookup found no row", code="db-no-row", cure="use missing='null'")
            return rows[0] if rows else None
        if config.over == "truncate":
            return {"rows": rows, "truncated": more}
        if more:
            message = f"the lookup found more than {config.limit} rows"
            raise LimitExceeded(message, code="db-rows", cure="raise limit, or use over='truncate'")
        return rows


_COLUMN_TYPES: Mapping[str, type[TypeEngine[Any]]] = {
    "boolean": Boolean,
    "integer": BigInteger,
    "number": Float,
    "string": String,
    "bytes": LargeBinary,
}


def _statement(sql: str, ports: Mapping[str, Port]) -> TextClause:
    bound = []
    for name, port in ports.items():
        kind = without_null(port.type)
        item = without_null(kind.item) if isinstance(kind, ListType) else kind
        column = _COLUMN_TYPES.get(item.name) if isinstance(item, ScalarType) else None
        expanding = isinstance(kind, ListType)
        bound.append(bindparam(name, type_=column() if column else None, expanding=expanding))
    return text(escaped(sql)).bindparams(*bound)


def _bound(value: Any, name: str) -> Any:
    """A checked input as a driver takes it: a vector in the text form that pgvector reads."""
    if isinstance(value, list) and len(value) > MAX_ITEMS:
        message = f"{name} has {len(value)} items, at most {MAX_ITEMS} are compared"
        raise LimitExceeded(message, code="db-rows", cure="look them up in parts")
    if isinstance(value, str) and "\0" in value:
        raise InvalidInput(f"{name} contains the character U+0000, which no database takes", code="db-value")
    return json.dumps(value.tolist()) if hasattr(value, "tolist") else value


def _plain(value: Any, wanted: Type | None) -> Any:
    """A value of a driver as the plain data that ports carry, of the declared type if there is a choice."""
    kind = without_null(wanted) if wanted is not None else None
    name = kind.name if isinstance(kind, ScalarType) else ""
    if name == "boolean" and type(value) is int and value in {0, 1}:
        return bool(value)
    if isinstance(value, Decimal):
        return _number(value, name)
    if isinstance(kind, VectorType) and isinstance(value, str):
        return json.loads(value)
    return _untyped(value)


def _number(value: Decimal, name: str) -> Any:
    """Exact as text; a float or an integer only where the row declares one."""
    if name == "number":
        return float(value)
    return int(value) if name == "integer" and value.is_finite() and value % 1 == 0 else str(value)


def _untyped(value: Any) -> Any:
    result = value
    match value:
        case None | bool() | int() | float() | str() | bytes():
            pass
        case memoryview() | bytearray():
            result = bytes(value)
        case list() | tuple():
            result = [_plain(item, None) for item in value]
        case dict():
            result = {str(key): _plain(item, None) for key, item in value.items()}
        case datetime() | date() | time():
            result = value.isoformat()
        case timedelta():
            result = value.total_seconds()
        case UUID():
            result = str(value)
        case _:
            message = f"a value of type {type(value).__name__} cannot leave the database"
            raise InvalidInput(message, code="db-value", cure="CAST it to text in the SQL")
    return result
