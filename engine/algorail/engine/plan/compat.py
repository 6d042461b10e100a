"""Which values may flow where, decided once.

A value is never converted on its way between nodes, so nothing can be lost: an integer flows into a
number port as the integer that it is; a float never into an integer port; a vector only into a vector of
the same dtype and a size that is known to fit. `Any` is gradual: it flows both ways, and the run finds
out.

| from ↓ to →   | fits when | |---|---| | any           | always (and everything flows into any) | |
scalar        | the same name; integer → number | | literal       | each value has the other type, or is
one of its values | | union         | each option fits; into a union: one option takes it | | list, dict
| items and values fit | | object        | each required field is assured, each shared one fits, and a
closed target knows all of them | | object → dict | the object is closed (or the dict takes anything) and
each field fits | | dict → object | only a dict of any | | Vector        | the same dtype, the same size
or a target of any size | | Image, Table  | itself; → string, → list of dict of any; a list of rows →
Table | | Secret        | only a Secret, both ways |

Sensitivity: what is marked `secret` flows only where the target, or what it stands in, is marked `secret`
too. `pii` flows everywhere; the record masks it wherever a type names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from algorail.engine.kit.errors import InvalidInput
from algorail.engine.plan.shape import at_key, did_you_mean
from algorail.engine.plan.types import (
    ANY,
    BOOLEAN,
    INTEGER,
    NULL,
    NUMBER,
    STRING,
    AnyType,
    DictType,
    FieldType,
    ListType,
    LiteralType,
    ObjectType,
    ScalarType,
    Type,
    UnionType,
    VectorType,
    deep_sensitivity,
    describe,
    marked,
    optional,
    union_of,
)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Why a value may not flow.

    Attributes:
        expected: What the target takes, as text.
        got: What the source gives, as text.
        place: Where inside the value, empty for the whole of it.
        reason: One sentence.
        cure: What to do about it.
        code: `type-mismatch` or `sensitivity`.
    """

    expected: str
    got: str
    place: str = ""
    reason: str = ""
    cure: str = ""
    code: str = "type-mismatch"


def compatible(source: Type, target: Type) -> Mismatch | None:
    """None if every value of the source may flow into the target, else the first thing in the way.

    >>> from algorail.engine.plan.types import INTEGER, NUMBER
    >>> compatible(INTEGER, NUMBER)
    >>> compatible(NUMBER, INTEGER).cure
    'round it first; a fraction is never dropped silently'
    """
    return _flow(source, target, "", covered=False)


def _flow(  # noqa: PLR0911 - one line for each rule
    source: Type, target: Type, place: str, *, covered: bool
) -> Mismatch | None:
    covered = covered or target.sensitivity == "secret"
    into_option = isinstance(target, UnionType) and not isinstance(source, AnyType)
    if not covered and source.sensitivity == "secret" and not into_option:
        return _leak(source, target, place)
    if isinstance(target, AnyType):
        return _leak(source, target, place) if not covered and deep_sensitivity(source) == "secret" else None
    if isinstance(source, AnyType) or (isinstance(source, LiteralType) and not source.values):
        return None
    if isinstance(source, UnionType):
        found = (
            _flow(marked(each, source.sensitivity), target, place, covered=covered) for each in source.options
        )
        return next((mismatch for mismatch in found if mismatch), None)
    if isinstance(source, LiteralType) and isinstance(target, UnionType):
        single = (LiteralType((value,), sensitivity=source.sensitivity) for value in source.values)
        found = (_into_union(each, target, place, covered) for each in single)
        return next((mismatch for mismatch in found if mismatch), None)
    if isinstance(target, UnionType):
        return _into_union(source, target, place, covered)
    return _same(source, target, place, covered)


def _leak(source: Type, target: Type, place: str) -> Mismatch:
    return Mismatch(
        expected=describe(target),
        got=describe(source),
        place=place,
        reason="a secret would flow to where it is not masked",
        cure="declare the target as Sensitive[…], or do not send the secret there",
        code="sensitivity",
    )


def _into_union(source: Type, target: UnionType, place: str, covered: bool) -> Mismatch | None:
    open_flow = covered or source.sensitivity != "secret"
    if (
        open_flow
        and isinstance(source, ScalarType)
        and source.name == "boolean"
        and {True, False} <= _booleans(target)
    ):
        return None
    found = [_flow(source, option, place, covered=covered) for option in target.options]
    if not all(found):
        return None
    leak = next((mismatch for mismatch in found if mismatch and mismatch.code == "sensitivity"), None)
    deeper = [mismatch for mismatch in found if mismatch and mismatch.place != place]
    return leak or (deeper[0] if len(deeper) == 1 else _differ(source, target, place))


def _booleans(target: UnionType) -> set[bool]:
    literals = (option for option in target.options if isinstance(option, LiteralType))
    return {value for literal in literals for value in literal.values if isinstance(value, bool)}


def _same(  # noqa: PLR0911 - one line for each rule
    source: Type, target: Type, place: str, covered: bool
) -> Mismatch | None:
    match source, target:
        case ListType(item=item), ListType(item=wanted):
            return _flow(item, wanted, at_key(place, "[]"), covered=covered)
        case DictType(value=value), DictType(value=wanted):
            return _flow(value, wanted, at_key(place, "*"), covered=covered)
        case ObjectType(), ObjectType():
            return _objects(source, target, place, covered)
        case ObjectType(), DictType(value=wanted):
            return _object_to_dict(source, wanted, target, place, covered)
        case DictType(value=AnyType()), ObjectType():
            return None
        case ListType(item=AnyType() | DictType() | ObjectType() as item), FieldType(name="table"):
            return _flow(item, DictType(ANY), at_key(place, "[]"), covered=covered)
        case FieldType(name="table"), ListType(item=wanted):
            return _flow(DictType(ANY), wanted, at_key(place, "[]"), covered=covered)
    return None if _leaf_fits(source, target) else _differ(source, target, place)


def _leaf_fits(source: Type, target: Type) -> bool:  # noqa: PLR0911 - one line for each rule
    match source, target:
        case ScalarType(name=name), ScalarType(name=wanted):
            return name == wanted or (name, wanted) == ("integer", "number")
        case LiteralType(values=values), LiteralType(values=allowed):
            known = {(type(value), value) for value in allowed}
            return all((type(value), value) in known for value in values)
        case LiteralType(values=values), ScalarType():
            return all(_leaf_fits(literal_scalar(value), target) for value in values)
        case ScalarType(name="boolean" | "null" as name), LiteralType(values=allowed):
            whole = {True, False} if name == "boolean" else {None}
            return whole <= {value for value in allowed if value is None or isinstance(value, bool)}
        case VectorType(), VectorType():
            return source.dtype == target.dtype and target.size in {None, source.size}
        case FieldType(name=name), FieldType(name=wanted_field):
            return name == wanted_field
        case FieldType(name="image"), ScalarType(name="string"):
            return True
    return False


def literal_scalar(value: Any) -> Type:
    """The scalar type of a literal value; `Any` for what is no scalar."""
    by_type = {bool: BOOLEAN, int: INTEGER, float: NUMBER, str: STRING, type(None): NULL}
    return by_type.get(type(value), ANY)


def _objects(source: ObjectType, target: ObjectType, place: str, covered: bool) -> Mismatch | None:
    for name, wanted in target.fields.items():
        at = at_key(place, name)
        given = source.fields.get(name)
        if given is None:
            if wanted.required:
                return Mismatch(
                    describe(wanted.type),
                    "no such field",
                    at,
                    f"the field {name!r} is missing",
                    "build the object from its fields, or make the field optional",
                )
            if not source.closed and not isinstance(wanted.type, AnyType):
                return Mismatch(
                    describe(wanted.type),
                    "an unknown field",
                    at,
                    f"the open object may hold another {name!r}",
                    "name the field in the source's type",
                )
        elif wanted.required and not given.assured:
            return Mismatch(
                describe(wanted.type),
                f"{describe(given.type)}, not always there",
                at,
                f"the field {name!r} may be missing",
                "give it a default, or make the target's field optional",
            )
        elif mismatch := _flow(given.type, wanted.type, at, covered=covered):
            return mismatch
    return _extra_fields(source, target, place, covered)


def _extra_fields(source: ObjectType, target: ObjectType, place: str, covered: bool) -> Mismatch | None:
    extra = [name for name in source.fields if name not in target.fields]
    if target.closed:
        if not extra and not source.closed:
            return Mismatch(
                describe(target),
                describe(source),
                place,
                "the open object may hold further fields",
                'close the source, or open the target (pydantic: extra="ignore")',
            )
        if extra:
            return Mismatch(
                describe(target),
                describe(source),
                at_key(place, extra[0]),
                f"the target has no field {extra[0]!r}",
                'pick the fields that it has, or open the target (pydantic: extra="ignore")',
            )
        return None
    found = (_flow(source.fields[name].type, ANY, at_key(place, name), covered=covered) for name in extra)
    return next((mismatch for mismatch in found if mismatch), None)


def _object_to_dict(
    source: ObjectType, wanted: Type, target: Type, place: str, covered: bool
) -> Mismatch | None:
    if not source.closed and not isinstance(wanted, AnyType):
        return _differ(source, target, place)
    found = (
        _flow(member.type, wanted, at_key(place, name), covered=covered)
        for name, member in source.fields.items()
    )
    return next((mismatch for mismatch in found if mismatch), None)


def _differ(source: Type, target: Type, place: str) -> Mismatch:
    expected, got = describe(target), describe(source)
    return Mismatch(expected, got, place, f"{got} does not fit {expected}", _cure(source, target))


def _cure(source: Type, target: Type) -> str:  # noqa: PLR0911 - one line for each cure
    match source, target:
        case ScalarType(name="number"), ScalarType(name="integer"):
            return "round it first; a fraction is never dropped silently"
        case ScalarType(name="null"), _:
            return "say what to use instead of null: first_of(…, otherwise) or when(x == None, …)"
        case ScalarType(), ScalarType(name="string"):
            return "make it a text with the operator str(…)"
        case VectorType(), VectorType():
            return "use the model or index of that size and dtype; vectors are never converted"
        case ListType(), VectorType():
            return "declare the source as Vector; a list is not converted, since that could lose digits"
        case VectorType(), ListType():
            return "turn it into a list in a transform"
        case _, FieldType(name="secret"):
            return "a Secret comes from an input of type Secret or a literal reference"
        case FieldType(name="secret"), _:
            return "a Secret flows only into ports of type Secret"
        case DictType(), ObjectType():
            return "build the object from its fields"
    return "put a transform between them, or change one of the types"


def at_path(source: Type, path: Sequence[str | int]) -> Type:
    """The type of what lies at a path inside a value.

    A field that may be missing reads as null. Marks of what is around go along.

    Raises:
        InvalidInput: If there can be no such thing; the message has what there is.
    """
    found = source
    for depth, step in enumerate(path):
        found = _step(found, step, path[:depth])
    return found


def _step(source: Type, step: str | int, before: Sequence[str | int]) -> Type:
    match source, step:
        case AnyType(), _:
            inner: Type = ANY
        case UnionType(options=options), _:
            inner = union_of(_step(option, step, before) for option in options)
        case ObjectType(fields=fields), str() if step in fields:
            member = fields[step]
            inner = member.type if member.assured else optional(member.type)
        case ObjectType(closed=False), str():
            inner = ANY
        case DictType(value=value), str():
            inner = value
        case ListType(item=item), int():
            inner = item
        case FieldType(name="table"), int():
            inner = DictType(ANY)
        case _:
            raise _no_step(source, step, before)
    return marked(inner, source.sensitivity)


def _no_step(source: Type, step: str | int, before: Sequence[str | int]) -> InvalidInput:
    where = "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in before)
    if isinstance(source, ObjectType) and isinstance(step, str):
        cure = did_you_mean(step, source.fields)
    elif isinstance(source, ScalarType) and source.name == "null":
        cure = "it may be null: say what to use then, with when(…) or first_of(…)"
    elif isinstance(source, VectorType):
        cure = "take numbers out of a vector in a transform"
    elif isinstance(source, ListType):
        cure = "use a position, such as [0]"
    else:
        cure = ""
    message = f"{describe(source)} has no {'position' if isinstance(step, int) else 'field'} {step!r}"
    return InvalidInput(f"{message} (at {where})" if where else message, code="unknown-field", cure=cure)
