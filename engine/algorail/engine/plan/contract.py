"""Whether callers of one version can call another: the contract is the inputs and the output.

What a caller sent must still be taken, what a caller read must still be there. Further output fields are
compatible: a reader ignores what it does not know.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from algorail.engine.plan.compat import compatible
from algorail.engine.plan.document import Plan
from algorail.engine.plan.types import (
    ANY,
    BOOLEAN,
    NULL,
    NUMBER,
    STRING,
    AnyType,
    DictType,
    ListType,
    ObjectType,
    Type,
    UnionType,
    describe,
)

_ANYTHING = UnionType((NULL, BOOLEAN, NUMBER, STRING, ListType(ANY), DictType(ANY)))
"""`Any` spelt out: as a source it fits only where everything is taken."""


@dataclass(frozen=True, slots=True)
class ContractItem:
    """One change of the contract.

    Attributes:
        breaking: Whether it may break a caller.
        place: `inputs.k` or `output`.
        message: One sentence.
    """

    breaking: bool
    place: str
    message: str

    def __str__(self) -> str:
        return f"{'breaking' if self.breaking else 'compatible'}: {self.place}: {self.message}"


@dataclass(frozen=True, slots=True)
class ContractChange:
    """All changes of the contract."""

    items: tuple[ContractItem, ...] = ()

    @property
    def level(self) -> Literal["same", "compatible", "breaking"]:
        """The worst of them."""
        if any(item.breaking for item in self.items):
            return "breaking"
        return "compatible" if self.items else "same"

    @property
    def breaking(self) -> tuple[ContractItem, ...]:
        """Those that may break a caller."""
        return tuple(item for item in self.items if item.breaking)

    def __str__(self) -> str:
        return "\n".join(map(str, self.items))


def contract_change(a: Plan, b: Plan) -> ContractChange:
    """How the contract changed from `a` to `b`."""
    return ContractChange((*_inputs(a, b), *_output(a.output, b.output)))


def _inputs(a: Plan, b: Plan) -> Iterator[ContractItem]:
    for name, new in b.inputs.items():
        if name not in a.inputs:
            kind = "required" if new.required else "optional"
            yield ContractItem(new.required, f"inputs.{name}", f"a new {kind} input, {describe(new.type)}")
    for name, old in a.inputs.items():
        place = f"inputs.{name}"
        if name not in b.inputs:
            yield ContractItem(True, place, "the input is gone, and unknown fields are refused")
            continue
        new = b.inputs[name]
        if new.required and not old.required:
            yield ContractItem(True, place, "the input is required now")
        elif old.required and not new.required:
            yield ContractItem(False, place, f"the input is optional now, default {new.default!r}")
        elif (type(old.default), old.default) != (type(new.default), new.default):
            yield ContractItem(False, place, f"the default was {old.default!r}, is {new.default!r}")
        yield from _narrowed(old.type, new.type, place)


def _narrowed(old: Type, new: Type, place: str) -> Iterator[ContractItem]:
    if old == new:
        return
    mismatch = compatible(_bare(old, spell_out=True), _bare(new))
    if mismatch is not None:
        where = f" (at {mismatch.place})" if mismatch.place else ""
        yield ContractItem(True, place, f"was {describe(old)}, is {describe(new)}: {mismatch.reason}{where}")
    elif _bare(old) != _bare(new):
        yield ContractItem(False, place, f"takes more: was {describe(old)}, is {describe(new)}")
    else:
        yield ContractItem(False, place, "its description or sensitivity changed")


def _output(old: Type, new: Type) -> Iterator[ContractItem]:
    if old == new:
        return
    mismatch = compatible(_bare(new, spell_out=True), _bare(old, opened=True))
    if mismatch is not None:
        where = f" (at {mismatch.place})" if mismatch.place else ""
        yield ContractItem(
            True, "output", f"was {describe(old)}, is {describe(new)}: {mismatch.reason}{where}"
        )
    elif _bare(old) != _bare(new):
        yield ContractItem(False, "output", f"was {describe(old)}, is {describe(new)}")
    else:
        yield ContractItem(False, "output", "its description or sensitivity changed")


def _bare(source: Type, *, opened: bool = False, spell_out: bool = False) -> Type:
    """The type without marks and words; with objects opened, or `Any` spelt out, where that is told."""
    source = replace(source, sensitivity="", doc="")

    def inner(part: Type) -> Type:
        return _bare(part, opened=opened, spell_out=spell_out)

    match source:
        case AnyType():
            return _ANYTHING if spell_out else source
        case ListType(item=item):
            return replace(source, item=inner(item))
        case DictType(value=value):
            return replace(source, value=inner(value))
        case UnionType(options=options):
            return replace(source, options=tuple(map(inner, options)))
        case ObjectType(fields=fields):
            bare = {name: replace(member, type=inner(member.type)) for name, member in fields.items()}
            return replace(source, fields=bare, closed=source.closed and not opened, title="")
    return source
