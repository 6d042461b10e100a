"""`db_lookup`: rows of a SQL query over a named connection, read-only, with bound parameters and limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from algorail.blocks._schemas import Schema, ports_from, schema_of, type_from
from algorail.blocks._sql_text import parameters, problems
from algorail.engine.dsl import placed
from algorail.engine.kind import BlockKind, Effect, Runner, Services
from algorail.engine.kit.errors import ConfigInvalid, Problem
from algorail.engine.plan.signature import Signature
from algorail.engine.plan.types import BOOLEAN, Field, ListType, ObjectType, Type, optional

MAX_ROWS = 100_000


class DbLookupConfig(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
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
    # SQLAlchemy is only needed where rows are read, not where algorithms are written.
    from algorail.blocks._lookups import Lookup  # noqa: PLC0415

    return Runner(call=Lookup(config, ports, services), wants_context=True, in_thread=True)


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
