"""`db_lookup`: rows of a SQL query over a named connection, read-only, with bound parameters and limits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID

import msgspec
from sqlalchemy import BigInteger, Boolean, Float, LargeBinary, String, TextClause, bindparam, text
from sqlalchemy.types import TypeEngine

from algorail.blocks._databases import Database, database
from algorail.blocks._schemas import Schema, ports_from, schema_of, type_from
from algorail.blocks._sql_text import escaped, parameters, problems
from algorail.engine.block.kind import BlockKind, CallContext, Effect, Runner, Services
from algorail.engine.dsl import placed
from algorail.engine.kit.errors import (
    ConfigInvalid,
    DeadlineExceeded,
    InvalidInput,
    LimitExceeded,
    NotFound,
    Problem,
)
from algorail.engine.plan.signature import Port, Signature
from algorail.engine.plan.types import (
    BOOLEAN,
    Field,
    ListType,
    ObjectType,
    ScalarType,
    Type,
    VectorType,
    optional,
    without_null,
)
from algorail.engine.plan.values import compile_validator

MAX_ROWS = 100_000
MAX_ITEMS = 10_000
"""Items of a list that a statement compares with."""


class DbLookupConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Configuration of a `db_lookup`.

    Attributes:
        connection: Name of a connection that the operator declared.
        sql: One SELECT, with `:name` for each input; a list input is written `IN :name`.
        inputs: JSON Schema of each parameter, by name; one with a `default` is optional.
        shape: `one` row, `all` rows, one `column` as a list, or one `value`.
        row: JSON Schema of a row (`one`, `all`) or of a value (`column`, `value`); left out, anything.
        missing: What `one` and `value` give where there is no row: `null`, or an `error`.
        limit: Rows at most.
        over: What happens beyond the limit: an `error`, or `truncate`, where the output of `all` and
            `column` is an object of `rows` and `truncated`.
        timeout: Seconds at most; less when the run has less left.
    """

    connection: str
    sql: str
    inputs: dict[str, Schema] = {}
    shape: Literal["one", "all", "column", "value"] = "all"
    row: Schema = {}
    missing: Literal["null", "error"] = "error"
    limit: int = 1_000
    over: Literal["error", "truncate"] = "error"
    timeout: float = 5.0


def signature(config: DbLookupConfig) -> Signature:
    """The parameters, and rows in the declared shape.

    Raises:
        ConfigInvalid: With every problem of the statement and of the limits.
    """
    ports = ports_from(config.inputs)
    found = [*problems(config.sql), *_parameter_problems(config), *_limit_problems(config)]
    if found:
        raise ConfigInvalid("the lookup is not valid", code=found[0].code, problems=found)
    return Signature(ports, _output(config, type_from(config.row, "row")))


def _parameter_problems(config: DbLookupConfig) -> list[Problem]:
    used = parameters(config.sql)
    undeclared = [
        Problem(
            code="db-parameter", message=f":{name} is not an input", port="sql", cure="declare it in inputs"
        )
        for name in used
        if name not in config.inputs
    ]
    unused = [
        Problem(
            code="db-parameter", message=f"the SQL has no :{name}", port=f"inputs.{name}", cure="remove it"
        )
        for name in config.inputs
        if name not in used
    ]
    return undeclared + unused


def _limit_problems(config: DbLookupConfig) -> list[Problem]:
    found = []
    if not 1 <= config.limit <= MAX_ROWS:
        found.append(Problem(code="config-invalid", message=f"limit is 1 to {MAX_ROWS}", port="limit"))
    if not 0 < config.timeout <= 300:
        found.append(Problem(code="config-invalid", message="timeout is up to 300 seconds", port="timeout"))
    return found


def _output(config: DbLookupConfig, row: Type) -> Type:
    if config.shape in {"one", "value"}:
        return optional(row) if config.missing == "null" else row
    if config.over == "truncate":
        return ObjectType({"rows": Field(ListType(row)), "truncated": Field(BOOLEAN)})
    return ListType(row)


def build(config: DbLookupConfig, services: Services) -> Runner:
    """Prepare the statement over the pool of the connection; it connects on the first call."""
    ports = signature(config).inputs
    lookup = _Lookup(config, ports, database(config.connection, services))
    return Runner(call=lookup, wants_context=True, in_thread=True)


class _Lookup:
    def __init__(self, config: DbLookupConfig, ports: Mapping[str, Port], source: Database) -> None:
        row = type_from(config.row, "row")
        self._config = config
        self._source = source
        self._statement = _statement(config.sql, ports)
        self._checks = {name: compile_validator(port.type) for name, port in ports.items()}
        self._defaults = {name: port.default for name, port in ports.items() if not port.required}
        self._row_type = row
        self._check_row = compile_validator(row)

    def __call__(self, ctx: CallContext, **inputs: Any) -> Any:
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
    return int(value) if name == "integer" and value % 1 == 0 else str(value)


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


KIND = BlockKind(
    name="db_lookup",
    summary="Read rows from a database with a SQL query.",
    config=DbLookupConfig,
    signature=signature,
    build=build,
    effect=Effect.READ,
    category="data",
    doc=__doc__,
)


def db_lookup(
    connection: str,
    sql: str,
    *,
    inputs: Mapping[str, Any] | None = None,
    row: Any = None,
    shape: Literal["one", "all", "column", "value"] = "all",
    missing: Literal["null", "error"] = "error",
    limit: int = 1_000,
    over: Literal["error", "truncate"] = "error",
    timeout: float = 5.0,
) -> Callable[..., Any]:
    """A block that reads rows from a database.

    Args:
        connection: Name of a connection that the operator declared.
        sql: One SELECT, with `:name` for each input.
        inputs: Type of each parameter: a Python annotation, a port type or a JSON Schema.
        row: Type of a row, or of the value for the shapes `column` and `value`; left out, anything.
        shape: `one` row, `all` rows, one `column` as a list, or one `value`.
        missing: What `one` and `value` give where there is no row.
        limit: Rows at most.
        over: What happens beyond the limit.
        timeout: Seconds at most.
    """
    config = DbLookupConfig(
        connection=connection,
        sql=sql,
        inputs={name: schema_of(source) for name, source in (inputs or {}).items()},
        row={} if row is None else schema_of(row),
        shape=shape,
        missing=missing,
        limit=limit,
        over=over,
        timeout=timeout,
    )
    return placed(KIND, config)
