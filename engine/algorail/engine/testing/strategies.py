"""Hypothesis strategies for types, values and valid plans. The one module that imports Hypothesis.

    @given(random_plans())
    def test_round_trip(plan): ...

The plans use the kinds of `engine.testing.kinds`, or any others with simple ports that are passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from hypothesis import strategies as st

from algorail.engine.kind import BlockKind
from algorail.engine.plan.check_bindings import Bindings
from algorail.engine.plan.compat import compatible
from algorail.engine.plan.document import (
    Binding,
    Breaker,
    Cache,
    DictOf,
    Input,
    ListOf,
    Node,
    Op,
    Plan,
    RecordPolicy,
    Ref,
    Retry,
    Value,
)
from algorail.engine.plan.report import Report
from algorail.engine.plan.signature import Signature
from algorail.engine.plan.types import (
    ANY,
    BOOLEAN,
    DTYPES,
    INTEGER,
    NUMBER,
    STRING,
    AnyType,
    DictType,
    Field,
    FieldType,
    ListType,
    LiteralType,
    ObjectType,
    ScalarType,
    Type,
    UnionType,
    VectorType,
    optional,
    union_of,
)
from algorail.engine.testing.kinds import SIMPLE_KINDS

Draw = Callable[..., Any]

WORDS = ("alpha", "beta", "gamma", "delta", "red", "blue", "left", "right", "one", "two")
_INTEGERS = st.integers(-1_000, 1_000)
_NUMBERS = st.floats(-1e6, 1e6, allow_nan=False, width=32) | _INTEGERS
_TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
_JSON_SCALARS = st.none() | st.booleans() | _INTEGERS | st.floats(-1e9, 1e9) | _TEXTS
_SCALARS: Mapping[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "integer": _INTEGERS,
    "number": _NUMBERS,
    "string": _TEXTS,
    "bytes": st.binary(max_size=8),
}


def json_values() -> st.SearchStrategy[Any]:
    """Any JSON value, small."""
    return st.recursive(
        _JSON_SCALARS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=3),
        max_leaves=6,
    )


def types(*, any_type: bool = True, sensitive: bool = False) -> st.SearchStrategy[Type]:
    """Random types, nested a little."""
    marks = st.sampled_from(("", "", "", "pii", "secret")) if sensitive else st.just("")
    docs = st.sampled_from(("", "", "some words"))
    vectors = st.builds(VectorType, st.none() | st.integers(1, 4), st.sampled_from(DTYPES), sensitivity=marks)
    literals = st.builds(
        lambda values: LiteralType(tuple(values)),
        st.lists(st.sampled_from((*WORDS[:3], 1, 2, True, None)), min_size=1, max_size=3, unique_by=repr),
    )
    leaves = st.one_of(
        st.builds(ScalarType, st.sampled_from(tuple(_SCALARS)), sensitivity=marks, doc=docs),
        literals,
        vectors,
        st.builds(FieldType, st.sampled_from(("image", "table", "secret"))),
        *([st.just(ANY)] if any_type else []),
    )
    return st.recursive(leaves, lambda inner: _composed(inner, marks), max_leaves=5)


def _composed(inner: st.SearchStrategy[Type], marks: st.SearchStrategy[Any]) -> st.SearchStrategy[Type]:
    members = st.builds(Field, inner, st.booleans())
    objects = st.builds(
        ObjectType,
        st.dictionaries(st.sampled_from(WORDS), members, max_size=3),
        st.booleans(),
        st.sampled_from(("", "Thing")),
        sensitivity=marks,
    )
    unions = st.lists(inner, min_size=2, max_size=3).map(lambda options: UnionType(tuple(options)))
    return st.builds(ListType, inner, sensitivity=marks) | st.builds(DictType, inner) | objects | unions


def instances(source: Type) -> st.SearchStrategy[Any]:  # noqa: C901, PLR0911 - one line for each kind
    """JSON values of a type, as a caller would send them."""
    match source:
        case ScalarType(name="bytes"):
            return st.sampled_from(("", "YWJj", "AAE="))
        case ScalarType(name=name):
            return _SCALARS[name]
        case LiteralType(values=values):
            return st.sampled_from(values)
        case ListType(item=item):
            return st.lists(instances(item), max_size=3)
        case DictType(value=value):
            return st.dictionaries(_TEXTS, instances(value), max_size=3)
        case UnionType(options=options):
            return st.one_of(*map(instances, options))
        case VectorType():
            return _vectors(source)
        case FieldType(name=field_name):
            rows = st.lists(st.dictionaries(st.sampled_from(WORDS), json_values(), max_size=2), max_size=2)
            return rows if field_name == "table" else _TEXTS
        case ObjectType(fields=fields):
            required = {name: instances(member.type) for name, member in fields.items() if member.required}
            others = {name: instances(member.type) for name, member in fields.items() if not member.required}
            return st.fixed_dictionaries(required, optional=others)
        case AnyType():
            return json_values()


def _vectors(source: VectorType) -> st.SearchStrategy[Any]:
    item = st.floats(-100, 100, width=16) if source.dtype.startswith("float") else st.integers(0, 100)
    least, most = (0, 4) if source.size is None else (source.size, source.size)
    return st.lists(item, min_size=least, max_size=most)


@dataclass(slots=True)
class _Scope:
    """What may be linked to while a plan grows."""

    kinds: Mapping[str, BlockKind]
    types: dict[str, Type]
    names: list[str]
    report: Report = field(default_factory=Report)

    def type_of(self, binding: Binding) -> Type:
        bindings = Bindings(self.types, frozenset(self.types), lambda text, variables: ANY, self.report)  # noqa: ARG005
        return bindings.type_of(binding, "")

    def links(self, target: Type) -> list[Ref]:
        """Every input, node and field of them that fits."""
        found = [Ref(name) for name in self.types]
        for name, source in self.types.items():
            if isinstance(source, ObjectType):
                found += [Ref(name, (key,)) for key, member in source.fields.items() if member.assured]
        return [ref for ref in found if compatible(self.type_of(ref), target) is None]


@st.composite
def random_plans(
    draw: Draw,
    kinds: Sequence[BlockKind] = SIMPLE_KINDS,
    *,
    max_nodes: int = 10,
    control: bool = True,
    policies: bool = True,
) -> Plan:
    """A valid plan of these kinds: `check` finds no problem in it.

    Args:
        kinds: Kinds whose configuration may be left out.
        max_nodes: Most nodes.
        control: Whether control kinds are used.
        policies: Whether nodes have retries, caches and the like.
    """
    inputs = draw(_inputs())
    names = draw(
        st.lists(st.from_regex(r"n_[a-z]{1,6}", fullmatch=True), min_size=1, max_size=max_nodes, unique=True)
    )
    scope = _Scope(
        {kind.key: kind for kind in kinds}, {name: item.type for name, item in inputs.items()}, names
    )
    nodes: list[Node] = []
    for name in names:
        node, output = draw(_node(scope, name, control=control, policies=policies))
        nodes.append(node)
        scope.types[name] = output
    result = draw(_result(scope))
    return Plan(
        name=draw(st.sampled_from(("sample", "answer_faq", "route-text"))),
        inputs=inputs,
        output=scope.type_of(result),
        nodes=tuple(nodes),
        result=result,
        doc=draw(st.sampled_from(("", "What it does."))),
        timeout=draw(st.none() | st.sampled_from((1.0, 2.5))),
        record=draw(
            st.sampled_from(
                (RecordPolicy(), RecordPolicy(mode="async"), RecordPolicy(mode="sampled", rate=0.5))
            )
        ),
        ui=draw(st.sampled_from(({}, {"positions": {names[0]: [0, 10]}}))),
    )


def plan_inputs(plan: Plan) -> st.SearchStrategy[dict[str, Any]]:
    """JSON inputs that a plan accepts; parameters with a default may be left out."""
    required = {name: instances(item.type) for name, item in plan.inputs.items() if item.required}
    others = {name: instances(item.type) for name, item in plan.inputs.items() if not item.required}
    return st.fixed_dictionaries(required, optional=others)


@st.composite
def _inputs(draw: Draw) -> dict[str, Input]:
    ports = st.sampled_from((INTEGER, NUMBER, BOOLEAN, STRING, ListType(INTEGER), optional(INTEGER)))
    found: dict[str, Input] = {}
    for name in draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=4, unique=True)):
        port = draw(ports)
        required = draw(st.booleans())
        default = None if required else draw(instances(port))
        found[name] = Input(
            type=port, required=required, default=default, doc=draw(st.sampled_from(("", "A word.")))
        )
    return dict(sorted(found.items(), key=lambda item: not item[1].required))


@st.composite
def _node(draw: Draw, scope: _Scope, name: str, *, control: bool, policies: bool) -> tuple[Node, Type]:
    forms: list[Any] = [_block, _block, _block]
    if control:
        forms += [_when, _switch, _first_of, _each]
    node, output = draw(draw(st.sampled_from(forms))(scope, name))
    if policies and node.kind in scope.kinds and draw(st.booleans()):
        node = msgspec.structs.replace(
            node,
            retry=draw(st.none() | st.builds(Retry, st.integers(1, 3), st.just(0.0))),
            timeout=draw(st.none() | st.just(5.0)),
            cache=draw(st.none() | st.just(Cache(ttl=30.0))),
            breaker=draw(st.none() | st.just(Breaker())),
            fallback=draw(st.none() | _bindings(scope, output)),
            record=draw(st.sampled_from(("full", "digest", "off"))),
            doc=draw(st.sampled_from(("", "Why it is here."))),
        )
    return node, output


@st.composite
def _block(draw: Draw, scope: _Scope, name: str) -> tuple[Node, Type]:
    kind = scope.kinds[draw(st.sampled_from(sorted(scope.kinds)))]
    signature = _signature(kind)
    ports = {port: draw(_bindings(scope, item.type)) for port, item in signature.inputs.items()}
    return Node(id=name, kind=kind.key, inputs=ports), signature.output


def _signature(kind: BlockKind) -> Signature:
    return kind.signature(kind.config())


@st.composite
def _when(draw: Draw, scope: _Scope, name: str) -> tuple[Node, Type]:
    condition = draw(_bindings(scope, BOOLEAN).filter(lambda binding: not isinstance(binding, Value)))
    then, otherwise = draw(_anything(scope)), draw(_anything(scope))
    ports = {"condition": condition, "then": then, "otherwise": otherwise}
    return Node(id=name, kind="when@1", inputs=ports), union_of(map(scope.type_of, (then, otherwise)))


@st.composite
def _switch(draw: Draw, scope: _Scope, name: str) -> tuple[Node, Type]:
    cases = draw(st.lists(st.integers(0, 5), min_size=1, max_size=3, unique=True))
    branches = {f"case_{index}": draw(_anything(scope)) for index in range(len(cases))}
    branches["default"] = draw(_anything(scope))
    value = draw(_numbers(scope, INTEGER))
    node = Node(id=name, kind="switch@1", config={"cases": cases}, inputs={"value": value, **branches})
    return node, union_of(map(scope.type_of, branches.values()))


@st.composite
def _first_of(draw: Draw, scope: _Scope, name: str) -> tuple[Node, Type]:
    options = draw(st.lists(_anything(scope), min_size=1, max_size=3))
    ports = {f"option_{index}": option for index, option in enumerate(options)}
    return Node(id=name, kind="first_of@1", inputs=ports), union_of(map(scope.type_of, options))


@st.composite
def _each(draw: Draw, scope: _Scope, name: str) -> tuple[Node, Type]:
    kind = scope.kinds[draw(st.sampled_from(sorted(scope.kinds)))]
    signature = _signature(kind)
    over = draw(st.sampled_from(sorted(signature.inputs)))
    ports = {
        port: draw(_bindings(scope, item.type)) for port, item in signature.inputs.items() if port != over
    }
    ports["items"] = draw(_bindings(scope, ListType(signature.inputs[over].type)))
    config = {"kind": kind.key, "over": over, "concurrency": draw(st.integers(1, 8))}
    return Node(id=name, kind="each@1", config=config, inputs=ports), ListType(signature.output)


@st.composite
def _result(draw: Draw, scope: _Scope) -> Binding:
    last = Ref(scope.names[-1])
    others = st.sampled_from([Ref(name) for name in scope.types])
    members = st.dictionaries(st.sampled_from(WORDS), others, min_size=1, max_size=3).map(DictOf)
    result: Binding = draw(st.one_of(st.just(last), members, others))
    return result


def _anything(scope: _Scope) -> st.SearchStrategy[Binding]:
    links = st.sampled_from([Ref(name) for name in scope.types])
    return st.one_of(links, links, _JSON_SCALARS.map(Value))


@st.composite
def _bindings(draw: Draw, scope: _Scope, target: Type) -> Binding:
    """A binding whose type fits the target."""
    choices: list[st.SearchStrategy[Any]] = [instances(target).map(Value)]
    links = scope.links(target)
    if links:
        choices += [st.sampled_from(links)] * 4
    if target in {INTEGER, NUMBER} if isinstance(target, ScalarType) else False:
        choices.append(_numbers(scope, target))
    if target == BOOLEAN:
        choices.append(_conditions(scope))
    if isinstance(target, ListType):
        choices.append(
            st.lists(_bindings(scope, target.item), max_size=2).map(lambda items: ListOf(tuple(items)))
        )
    binding: Binding = draw(st.one_of(choices))
    return binding


@st.composite
def _numbers(draw: Draw, scope: _Scope, target: Type) -> Binding:
    """A number, mostly worked out of others. Products of three small numbers stay far below 64 bits."""
    links = scope.links(target)
    if not links:
        value: int = draw(_INTEGERS)
        return Value(value)
    left = draw(st.sampled_from(links))
    op = draw(st.sampled_from(("+", "-", "*", "min", "max", "abs", "neg")))
    if op in {"abs", "neg"}:
        return Op(op, (left,))
    right: Binding = draw(st.one_of(st.sampled_from(links), st.integers(-9, 9).map(Value)))
    return Op(op, (left, right))


@st.composite
def _conditions(draw: Draw, scope: _Scope) -> Binding:
    op = draw(st.sampled_from(("<", "<=", ">", ">=", "==", "!=")))
    compared: Binding = Op(op, (draw(_numbers(scope, NUMBER)), draw(st.integers(-9, 9).map(Value))))
    shape = draw(st.sampled_from(("plain", "not", "and", "or")))
    if shape == "plain":
        return compared
    if shape == "not":
        return Op("not", (compared,))
    other = draw(st.sampled_from([*scope.links(BOOLEAN), Op("==", (Value(1), Value(1)))]))
    return Op(shape, (compared, other))
