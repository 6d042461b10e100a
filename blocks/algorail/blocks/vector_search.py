"""`vector_search`: the nearest rows of a FAISS index, with their payloads, filtered by payload fields.

    faq = vector_search("faq", k=5, filter={"lang": FromPort("lang")})
    hits = faq(vector=vector, lang=lang)

The index is an artefact that was built before (`algorail index build`); a new version of it is picked up
while requests go on. It knows nothing of plans, and nothing of where the vectors come from.
"""

from __future__ import annotations

import asyncio
import keyword
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, Protocol, TypeAlias, TypeVar, overload

import msgspec

from algorail.blocks.indexes import Condition, FromPort, Hit, IndexStore, LiveIndex
from algorail.blocks.indexes.columns import Scalar
from algorail.blocks.indexes.filters import Clause, clauses
from algorail.blocks.indexes.searching import MAX_K, LoadedIndex, Prepared
from algorail.blocks.indexes.sources import MAX_DIMENSIONS, Matrix
from algorail.engine.dsl import placed
from algorail.engine.kind import BlockKind, Effect, Port, Runner, Services, Signature
from algorail.engine.kit.errors import ConfigInvalid, LimitExceeded, Problem
from algorail.engine.kit.ids import NAME
from algorail.engine.plan.annotations import Vector
from algorail.engine.plan.types import (
    ANY,
    BOOLEAN,
    INTEGER,
    NULL,
    NUMBER,
    STRING,
    DictType,
    Field,
    ListType,
    ObjectType,
    Type,
    VectorType,
    union_of,
)

_T = TypeVar("_T")

INLINE_MICROS = 500.0
"""A search expected to take less runs on the event loop: handing it to a thread costs about 250 µs of CPU."""
MAX_BATCH = 1_000

FilterSpec: TypeAlias = Scalar | FromPort | Sequence[Scalar] | Mapping[str, Any]

_FILTER_CURE = "a value, a list of values, or operators: eq, in, ge, gt, le, lt"
_SCALAR = union_of((STRING, NUMBER, BOOLEAN))
_HITS = ListType(
    ObjectType(
        fields={
            "id": Field(union_of((INTEGER, STRING))),
            "score": Field(NUMBER),
            "payload": Field(DictType(ANY)),
        },
        title="Hit",
    )
)


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Configuration of `vector_search`.

    Attributes:
        index: Name of the index.
        version: Stay at this version of it; follow the current one if not given.
        k: How many hits, unless the port `k` says otherwise.
        size: Dimensions of the vectors, for the check of the plan.
        batch: Take `vectors`, a list, and give a list of hits for each.
        payload: Whether hits carry the rows' fields.
        exact: Compare every row that may match, whatever it costs.
        filter: Conditions by payload field; all must hold.
    """

    index: str
    version: str | None = None
    k: Annotated[int, msgspec.Meta(ge=1, le=MAX_K)] = 5
    size: Annotated[int, msgspec.Meta(ge=1, le=MAX_DIMENSIONS)] | None = None
    batch: bool = False
    payload: bool = True
    exact: bool = False
    filter: dict[str, Condition] = {}


def signature(config: Config) -> Signature:
    """Ports: `vector` (or `vectors`), `k`, and one for every filter value that comes with the call.

    Raises:
        ConfigInvalid: With every problem of the configuration.
    """
    problems = [
        Problem(
            code="config-invalid",
            port=field,
            message=f"{value!r} is not a name",
            cure="lower case, digits, - and _",
        )
        for field, value in (("index", config.index), ("version", config.version))
        if value is not None and not NAME.fullmatch(value)
    ]
    vector: Type = VectorType(config.size)
    inputs = {"vectors": Port(ListType(vector))} if config.batch else {"vector": Port(vector)}
    inputs["k"] = Port(INTEGER, required=False, default=config.k, doc="How many hits")
    for field, condition in config.filter.items():
        values = [(operator, value) for operator, value in condition.parts()]
        if not values:
            problems.append(Problem(code="config-invalid", port=f"filter.{field}", message="has no operator"))
        for operator, value in values:
            if isinstance(value, FromPort):
                problems += _add_port(inputs, value, operator, field)
    if problems:
        raise ConfigInvalid("vector_search is not configured correctly", problems=problems)
    return Signature(inputs, ListType(_HITS) if config.batch else _HITS)


def _add_port(inputs: dict[str, Port], source: FromPort, operator: str, field: str) -> list[Problem]:
    name = source.port
    kind: Type = ListType(_SCALAR) if operator == "in" else _SCALAR
    if source.optional:
        kind = union_of((kind, NULL))
    port = Port(kind, required=not source.optional, doc=f"Filter: {field} {operator}")
    where = f"filter.{field}.{operator}"
    if not name.isidentifier() or keyword.iskeyword(name) or name in {"vector", "vectors", "k"}:
        return [
            Problem(
                code="config-invalid", port=where, message=f"{name!r} cannot be the name of a filter port"
            )
        ]
    if inputs.setdefault(name, port).type != port.type:
        return [
            Problem(code="config-invalid", port=where, message=f"port {name!r} is already of another type")
        ]
    return []


class VectorSearch:
    """A configured search over a live index.

    Args:
        config: What to search.
        index: Where.
    """

    def __init__(self, config: Config, index: LiveIndex) -> None:
        self._config = config
        self._index = index

    async def one(self, *, vector: Any, k: int | None = None, **values: Any) -> list[Hit]:
        """The nearest rows of one vector."""
        loaded = self._index.get()
        query = loaded.query(vector)
        prepared = self._prepare(loaded, k, values)
        if prepared.micros <= INLINE_MICROS:
            return self._answer_one(loaded, prepared, query)
        return await _in_thread(self._answer_one, loaded, prepared, query)

    async def many(self, *, vectors: Sequence[Any], k: int | None = None, **values: Any) -> list[list[Hit]]:
        """The nearest rows of each vector."""
        if len(vectors) > MAX_BATCH:
            raise LimitExceeded(
                f"{len(vectors)} query vectors at once, at most {MAX_BATCH}", code="vector-search-batch"
            )
        if not vectors:
            return []
        loaded = self._index.get()
        queries = loaded.queries(vectors)
        prepared = self._prepare(loaded, k, values)
        if prepared.micros * len(queries) <= INLINE_MICROS:
            return self._answer_many(loaded, prepared, queries)
        return await _in_thread(self._answer_many, loaded, prepared, queries)

    def _prepare(self, loaded: LoadedIndex, k: int | None, values: Mapping[str, Any]) -> Prepared:
        config = self._config
        wanted: tuple[Clause, ...] = clauses(config.filter, values) if config.filter else ()
        return loaded.prepare(config.k if k is None else k, wanted, exact=config.exact)

    def _answer_one(self, loaded: LoadedIndex, prepared: Prepared, query: Matrix) -> list[Hit]:
        scores, rows = loaded.search(prepared, query)
        return loaded.hits(scores[0], rows[0], payload=self._config.payload)

    def _answer_many(self, loaded: LoadedIndex, prepared: Prepared, queries: Matrix) -> list[list[Hit]]:
        lines = zip(*loaded.search(prepared, queries), strict=True)
        return [loaded.hits(scores, rows, payload=self._config.payload) for scores, rows in lines]


def _in_thread(answer: Callable[..., _T], *inputs: Any) -> Awaitable[_T]:
    return asyncio.get_running_loop().run_in_executor(None, answer, *inputs)


def build(config: Config, services: Services) -> Runner:
    """Open the index (once per process) and return the search.

    Raises:
        NotFound: `index-not-found`, listing the indexes there are.
        Unavailable: `index-corrupt`.
    """
    store = IndexStore(services.home)
    key = f"vector_search:{config.index}:{config.version or 'current'}"
    index = services.shared(key, lambda: LiveIndex(store, config.index, config.version, clock=services.clock))
    search = VectorSearch(config, index)
    call: Callable[..., Awaitable[Any]] = search.many if config.batch else search.one
    return Runner(call=call, is_async=True)


KIND = BlockKind(
    name="vector_search",
    version=1,
    summary="Nearest rows of a FAISS index, with payloads and filters.",
    config=Config,
    signature=signature,
    build=build,
    effect=Effect.READ,
    category="data",
    doc=__doc__,
)


class SearchOne(Protocol):
    """Finds the rows nearest to one vector."""

    def __call__(self, *, vector: Vector, k: int = ..., **filter_values: Any) -> list[Hit]:
        """The nearest first."""
        ...


class SearchMany(Protocol):
    """Finds the rows nearest to each of many vectors."""

    def __call__(self, *, vectors: list[Vector], k: int = ..., **filter_values: Any) -> list[list[Hit]]:
        """One list for each vector, the nearest first."""
        ...


@overload
def vector_search(
    index: str,
    *,
    version: str | None = None,
    k: int = 5,
    size: int | None = None,
    batch: Literal[False] = False,
    payload: bool = True,
    exact: bool = False,
    filter: Mapping[str, FilterSpec] | None = None,
) -> SearchOne: ...


@overload
def vector_search(
    index: str,
    *,
    version: str | None = None,
    k: int = 5,
    size: int | None = None,
    batch: Literal[True],
    payload: bool = True,
    exact: bool = False,
    filter: Mapping[str, FilterSpec] | None = None,
) -> SearchMany: ...


def vector_search(
    index: str,
    *,
    version: str | None = None,
    k: int = 5,
    size: int | None = None,
    batch: bool = False,
    payload: bool = True,
    exact: bool = False,
    filter: Mapping[str, FilterSpec] | None = None,
) -> Any:
    """A block that finds the nearest rows of an index.

    Args:
        index: Name of the index.
        version: Stay at this version of it; follow the current one if not given.
        k: How many hits, unless the call says otherwise.
        size: Dimensions of the vectors, so that the plan can be checked.
        batch: Take `vectors` and give a list of hits for each.
        payload: Whether hits carry the rows' fields.
        exact: Compare every row that may match, whatever it costs.
        filter: By payload field, what it must be: a value, a list of values, or operators (`eq`, `in`, `ge`,
            `gt`, `le`, `lt`) with values. With `FromPort("lang")` the value is an input of the block.

    Raises:
        ConfigInvalid: If the filter is not of this form.
    """
    config = Config(
        index=index,
        version=version,
        k=k,
        size=size,
        batch=batch,
        payload=payload,
        exact=exact,
        filter={field: _condition(field, spec) for field, spec in (filter or {}).items()},
    )
    return placed(KIND, config)


def _condition(field: str, spec: FilterSpec) -> Condition:
    if isinstance(spec, Mapping):
        try:
            return msgspec.convert(msgspec.to_builtins(spec), Condition)
        except (msgspec.ValidationError, TypeError) as error:
            raise ConfigInvalid(
                f"the filter on {field!r} cannot be read: {error}", cure=_FILTER_CURE
            ) from error
    if isinstance(spec, Scalar | FromPort):
        return Condition(eq=spec)
    return Condition(in_=list(spec))


__all__ = ["KIND", "Config", "FromPort", "Hit", "SearchMany", "SearchOne", "vector_search"]
