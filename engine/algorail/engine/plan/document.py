"""The plan document: what an algorithm is, as frozen data.

Written form (JSON or YAML), one key tells what a binding is:

    schema: algorail/plan@1
    name: answer_faq
    inputs:
      question: {type: string}
      k: {type: integer, default: 5}
    output: {type: object, ...}
    nodes:
      - id: vector
        kind: model_call@1
        config: {model: embedder}
        inputs: {text: {ref: question}}
      - id: answer
        kind: when@1
        inputs:
          condition: {op: ">", args: [{ref: ranked, path: [best]}, {value: 0.7}]}
          then: {ref: composed}
          otherwise: {ref: refused}
    result: {ref: answer}
    ui: {positions: {vector: [0, 0]}}

Inputs and node ids share one namespace: a `ref` names either. Nodes stand in topological order.
`ui` is outside the content hash. This module knows the shape only; `check` knows what is right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

import msgspec

from algorail.engine.plan.types import Type

SCHEMA = "algorail/plan@1"
MAX_NODES = 2_000
MAX_DEPTH = 8
"""How deep sub-algorithms may nest."""


class Ref(msgspec.Struct, frozen=True):
    """A link: the value of an input or a node, or something inside it (`path` of keys and positions)."""

    ref: str
    path: tuple[str | int, ...] = ()


class Value(msgspec.Struct, frozen=True):
    """A literal: any JSON value."""

    value: Any


class Op(msgspec.Struct, frozen=True):
    """A Python-operator expression; `op` is one of `lang.ops.OPERATORS`."""

    op: str
    args: tuple[Binding, ...]


class Cel(msgspec.Struct, frozen=True):
    """An expression in CEL; its variables are bound by name."""

    cel: str
    vars: Mapping[str, Binding]


class ListOf(msgspec.Struct, frozen=True):
    """A list built from bindings."""

    list: tuple[Binding, ...]


class DictOf(msgspec.Struct, frozen=True):
    """An object built from bindings."""

    dict: Mapping[str, Binding]


Binding: TypeAlias = Ref | Value | Op | Cel | ListOf | DictOf


class Retry(msgspec.Struct, frozen=True, omit_defaults=True):
    """How often and how fast to try again. Full jitter: wait = random() * min(max, first * 2 ** (n - 1)).

    Attributes:
        attempts: Tries in all, the first one included.
        first: Upper bound of the first wait, seconds.
        max: Upper bound of any wait, seconds.
        on: Error codes to retry on; empty means every retryable error.
    """

    attempts: int = 3
    first: float = 0.1
    max: float = 5.0
    on: tuple[str, ...] = ()


class Cache(msgspec.Struct, frozen=True, omit_defaults=True):
    """Keep the output by the hash of the inputs, per process.

    Attributes:
        ttl: Seconds an entry lives.
        size: Entries kept, least recently used go first.
    """

    ttl: float = 60.0
    size: int = 1_024


class Breaker(msgspec.Struct, frozen=True, omit_defaults=True):
    """Circuit breaker: opens after `failures` in a row, lets one probe through after `reset` seconds."""

    failures: int = 5
    reset: float = 10.0


NodeRecordMode: TypeAlias = Literal["full", "digest", "off"]


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A block placed in a plan.

    Attributes:
        id: Name, unique in the plan: an identifier `[a-z_][a-z0-9_]*` of at most 64 characters.
        kind: Registered kind and version, such as `vector_search@1`.
        config: The block's configuration, as JSON.
        inputs: What each port receives.
        retry: Tries after a failure; None means one try.
        timeout: Seconds for one try; None means what the run has left.
        cache: Memory of outputs.
        breaker: Stop calling what keeps failing.
        fallback: What to use when the last try failed; pulled only then.
        record: How much of the output is kept.
    """

    id: str
    kind: str
    config: Mapping[str, Any] = msgspec.field(default_factory=dict)
    inputs: Mapping[str, Binding] = msgspec.field(default_factory=dict)
    retry: Retry | None = None
    timeout: float | None = None
    cache: Cache | None = None
    breaker: Breaker | None = None
    fallback: Binding | None = None
    record: NodeRecordMode = "full"
    doc: str = ""


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter of an algorithm."""

    type: Type
    required: bool = True
    default: Any = None
    doc: str = ""


RecordMode: TypeAlias = Literal["durable", "async", "sampled", "off"]


class RecordPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How runs of this algorithm are recorded.

    Attributes:
        mode: `durable` commits before the answer; `async` within a bounded window; `sampled` keeps
            `rate` of the runs and every failed one; `off` keeps nothing.
        rate: Share of runs kept when sampled, 0 to 1.
        days: Days kept, None means the operator's default.
    """

    mode: RecordMode = "durable"
    rate: float = 1.0
    days: int | None = None


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """An algorithm as data.

    Attributes:
        name: Algorithm name, `kit.ids.NAME`.
        inputs: Parameters in the order of the signature.
        output: Type of the answer.
        nodes: Blocks, in topological order.
        result: What the algorithm returns.
        unit: Input field that identifies the unit of a traffic split, empty if none.
        timeout: Default deadline of a run, seconds.
        bundle: Content hash of the code bundle with the user's own blocks, empty if none.
        ui: Canvas positions and notes; outside the content hash.
    """

    name: str
    inputs: Mapping[str, Input]
    output: Type
    nodes: tuple[Node, ...]
    result: Binding
    doc: str = ""
    unit: str = ""
    timeout: float | None = None
    record: RecordPolicy = RecordPolicy()
    bundle: str = ""
    ui: Mapping[str, Any] = msgspec.field(default_factory=dict)
    schema: str = SCHEMA

    def node(self, node_id: str) -> Node:
        """The node of that id.

        Raises:
            KeyError: If there is none.
        """
        for node in self.nodes:
            if node.id == node_id:
                return node
        raise KeyError(node_id)


def refs(binding: Binding) -> Iterator[Ref]:
    """Every link inside a binding, left to right."""
    match binding:
        case Ref():
            yield binding
        case Op(args=args) | ListOf(list=args):
            for arg in args:
                yield from refs(arg)
        case Cel(vars=items) | DictOf(dict=items):
            for item in items.values():
                yield from refs(item)


CONTROL_KINDS = frozenset({"when@1", "switch@1", "each@1", "first_of@1", "sub_algorithm@1"})
"""Kinds that the engine runs itself. Their ports and configuration:

    when            condition: bool, then, otherwise (pulled lazily)
    switch          value; config.cases: list of literals; case_0 … case_n, default (pulled lazily)
    first_of        option_0 … option_n, pulled in order until one succeeds and, if config.accept
                    is "value" (default "success"), is not null
    each            items; config.kind, config.config: the block run per item; config.over: its port
                    that gets the item; config.concurrency (default 8); further inputs go to every
                    call; output is a list in the order of items
    sub_algorithm   config.algorithm, config.version ("3", or an alias as "@prod"); ports are its inputs
"""
