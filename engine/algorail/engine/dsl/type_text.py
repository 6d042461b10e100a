"""Port types as Python annotations; what Python has no words for is written as its JSON Schema.

Text and annotation object are made side by side, and the object is read back: only an annotation that
gives the very same type is used.
"""

from __future__ import annotations

import keyword
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, NamedTuple, NotRequired

from typing_extensions import TypedDict

from algorail.engine.dsl.annotations import port_type
from algorail.engine.kit.errors import InvalidInput
from algorail.engine.plan.annotations import Image, Pii, Secret, Sensitive, Table, Vector, dim
from algorail.engine.plan.types import (
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
    to_schema,
)


class Annotation(NamedTuple):
    """An annotation as text and as the object that the text stands for."""

    text: str
    meaning: Any


class Attempt:
    """Whether what was collected meanwhile is needed.

    Attributes:
        kept: It is.
    """

    kept = False

    def keep(self) -> None:
        """It is needed."""
        self.kept = True


_SCALARS = {
    "null": type(None),
    "boolean": bool,
    "integer": int,
    "number": float,
    "string": str,
    "bytes": bytes,
}
_FIELDS = {"image": ("Image", Image), "table": ("Table", Table), "secret": ("Secret", Secret)}
_MARKS: dict[str, tuple[str, Any]] = {"pii": ("Pii", Pii), "secret": ("Sensitive", Sensitive)}


class TypeWriter:
    """Writes annotations and collects what they need: imports, and classes of objects.

    Args:
        reserved: Names that no class may have.
    """

    def __init__(self, reserved: frozenset[str]) -> None:
        self.names: set[str] = set()
        self.classes: dict[str, tuple[ObjectType, str]] = {}
        self._reserved = reserved

    def write(self, source: Type) -> str:
        """The annotation of a type."""
        found = self.exact(source)
        if found is not None:
            return found.text
        self.names |= {"Annotated", "Any", "Schema"}
        return f"Annotated[Any, Schema({to_schema(source)!r})]"

    def exact(self, source: Type) -> Annotation | None:
        """The annotation of a type, None if Python has no words for it."""
        with self.attempt() as attempt:
            try:
                found = self._annotation(source)
                if to_schema(port_type(found.meaning)) == to_schema(source):
                    attempt.keep()
                    return found
            except (InvalidInput, TypeError):
                pass
        return None

    @contextmanager
    def attempt(self) -> Generator[Attempt]:
        """What is collected inside is forgotten again unless it is kept."""
        names, classes = set(self.names), dict(self.classes)
        attempt = Attempt()
        yield attempt
        if not attempt.kept:
            self.names, self.classes = names, classes

    def _annotation(self, source: Type) -> Annotation:
        bare = replace(source, sensitivity="", doc="")
        found = self._bare(bare)
        if source.sensitivity:
            name, generic = _MARKS[source.sensitivity]
            self.names.add(name)
            found = Annotation(f"{name}[{found.text}]", generic[found.meaning])
        if source.doc:
            self.names.add("Annotated")
            meaning: Any = Annotated[found.meaning, source.doc]
            found = Annotation(f"Annotated[{found.text}, {source.doc!r}]", meaning)
        return found

    def _bare(self, source: Type) -> Annotation:  # noqa: PLR0911 - one line for each kind of type
        match source:
            case AnyType():
                self.names.add("Any")
                return Annotation("Any", Any)
            case ScalarType(name=name):
                scalar = _SCALARS[name]
                return Annotation("None" if name == "null" else scalar.__name__, scalar)
            case LiteralType(values=values):
                self.names.add("Literal")
                return Annotation(f"Literal[{', '.join(map(repr, values))}]", Literal[values])
            case ListType(item=item):
                inner = self._annotation(item)
                return Annotation(f"list[{inner.text}]", list[inner.meaning])  # type: ignore[name-defined]
            case DictType(value=value):
                inner = self._annotation(value)
                return Annotation(f"dict[str, {inner.text}]", dict[str, inner.meaning])  # type: ignore[name-defined]
            case FieldType(name=field):
                self.names.add(_FIELDS[field][0])
                return Annotation(*_FIELDS[field])
            case VectorType():
                return self._vector(source)
            case UnionType(options=options):
                inners = [self._annotation(option) for option in options]
                meaning = reduce(or_, (inner.meaning for inner in inners))
                return Annotation(" | ".join(inner.text for inner in inners), meaning)
            case ObjectType():
                return self._object(source)

    def _vector(self, source: VectorType) -> Annotation:
        self.names.add("Vector")
        if source == VectorType():
            return Annotation("Vector", Vector)
        if source.size is None:
            raise InvalidInput("a vector of any size has no annotation for its dtype")
        self.names |= {"Annotated", "dim"}
        meaning: Any = Annotated[Vector, dim(source.size, source.dtype)]
        return Annotation(f"Annotated[Vector, dim({source.size}, {source.dtype!r})]", meaning)

    def _object(self, source: ObjectType) -> Annotation:
        name = source.title
        proper = name.isidentifier() and name[:1].isupper() and not keyword.iskeyword(name)
        if not proper or name in self._reserved or not all(map(_is_field, source.fields)):
            raise InvalidInput("an object whose names are no names of Python")
        lines: list[str] = []
        members: dict[str, Any] = {}
        for field, told in source.fields.items():
            inner = self._annotation(told.type)
            if not told.required:
                self.names.add("NotRequired")
            lines.append(f"    {field}: {inner.text if told.required else f'NotRequired[{inner.text}]'}")
            members[field] = inner.meaning if told.required else NotRequired[inner.meaning]
        known = self.classes.get(name)
        if known is not None and to_schema(known[0]) != to_schema(source):
            raise InvalidInput("two objects of one title")
        self.names.add("TypedDict")
        body = "\n".join(lines) or "    pass"
        self.classes[name] = (source, f"class {name}(TypedDict):\n{body}")
        return Annotation(name, TypedDict(name, members))  # type: ignore[operator]


def _is_field(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name) and not name.startswith("__")
