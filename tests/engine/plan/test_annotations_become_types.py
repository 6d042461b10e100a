"""Python annotations as port types, with type checkers none the wiser."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NewType, NotRequired, Required, TypedDict, TypeVar

import msgspec
import numpy as np
import pydantic
import pytest
from typing_extensions import TypeAliasType

from algorail.engine.kit.errors import InvalidInput
from algorail.engine.plan.annotations import Image, Pii, Secret, Sensitive, Table, Vector, dim, type_of
from algorail.engine.plan.types import (
    ANY,
    BOOLEAN,
    BYTES,
    INTEGER,
    NULL,
    NUMBER,
    STRING,
    DictType,
    Field,
    FieldType,
    ListType,
    LiteralType,
    ObjectType,
    UnionType,
    VectorType,
    marked,
    optional,
)


class Colour(enum.Enum):
    RED = "red"
    BLUE = 2


class Hit(pydantic.BaseModel):
    """One hit.

    More words.
    """

    id: str
    score: float = 0.5
    owner: Pii[str] | None = None
    tags: list[str] = pydantic.Field(default_factory=list, description="Words.")
    level: Annotated[int, pydantic.Field(ge=0)] = 1
    colour: Colour = Colour.RED
    other: str = pydantic.Field(alias="otherName")


class Loose(pydantic.BaseModel, extra="ignore"):
    a: int


class Row(TypedDict, total=False):
    a: Required[int]
    b: NotRequired[str]


@dataclasses.dataclass
class Point:
    x: int
    y: float = 1.0
    names: list[str] = dataclasses.field(default_factory=list)


class Pair(msgspec.Struct):
    left: int
    right: int = 2


class Tree(pydantic.BaseModel):
    below: list[Tree]


UserId = NewType("UserId", str)
Words = TypeAliasType("Words", list[str])

HIT = ObjectType(
    {
        "id": Field(STRING),
        "score": Field(NUMBER, False, 0.5),
        "owner": Field(optional(marked(STRING, "pii")), False, None),
        "tags": Field(ListType(STRING, doc="Words."), False),
        "level": Field(INTEGER, False, 1),
        "colour": Field(LiteralType(("red", 2)), False, "red"),
        "otherName": Field(STRING),
    },
    title="Hit",
    doc="One hit.",
)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (int, INTEGER), (float, NUMBER), (bool, BOOLEAN), (str, STRING), (bytes, BYTES), (None, NULL), (Any, ANY),
        (int | None, optional(INTEGER)), (int | str, UnionType((INTEGER, STRING))), (int | Any, ANY),
        (Literal["a", 1], LiteralType(("a", 1))), (list[int], ListType(INTEGER)), (list, ListType(ANY)),
        (dict, DictType(ANY)), (dict[str, float], DictType(NUMBER)), (Mapping[str, int], DictType(INTEGER)),
        (Sequence[str], ListType(STRING)), (tuple[int, ...], ListType(INTEGER)), (UserId, STRING),
        (Words, ListType(STRING)), (Colour, LiteralType(("red", 2))), (Hit, HIT),
        (Row, ObjectType({"a": Field(INTEGER), "b": Field(STRING, False)}, title="Row")),
        (Point, ObjectType(
            {"x": Field(INTEGER), "y": Field(NUMBER, False, 1.0), "names": Field(ListType(STRING), False)},
            title="Point",
        )),
        (Pair, ObjectType({"left": Field(INTEGER), "right": Field(INTEGER, False, 2)}, title="Pair")),
        (Loose, ObjectType({"a": Field(INTEGER)}, closed=False, title="Loose")),
        (Vector, VectorType()), (Annotated[Vector, dim(384)], VectorType(384)),
        (Annotated[Vector, dim(3, "float64")], VectorType(3, "float64")),
        (Sensitive[Annotated[Vector, dim(3)]], VectorType(3, sensitivity="secret")),
        (Sensitive[str], marked(STRING, "secret")), (Pii[list[str]], marked(ListType(STRING), "pii")),
        (Secret, FieldType("secret")), (Image, FieldType("image")), (Table, FieldType("table")),
        (Annotated[int, "how many"], dataclasses.replace(INTEGER, doc="how many")),
    ],
)  # fmt: skip
def test_annotations(annotation, expected):
    assert type_of(annotation) == expected


@pytest.mark.parametrize(
    ("annotation", "cure"),
    [
        (set[int], "list"), (tuple[int, str], "dataclass"), (dict[int, str], "string keys"), (complex, "floats"),
        (np.ndarray, "Vector"), (TypeVar("T"), "concrete"), ("Hit", "import"), (Tree, "dict[str, Any]"),
        (object.__new__, "builtins"),
    ],
)  # fmt: skip
def test_what_cannot_travel_is_refused_with_a_cure(annotation, cure):
    with pytest.raises(InvalidInput) as raised:
        type_of(annotation)
    assert cure in raised.value.cure


def test_wrong_dimensions():
    with pytest.raises(InvalidInput, match="must be >= 1"):
        dim(0)
    with pytest.raises(InvalidInput, match="float32"):
        dim(3, "float31")
    with pytest.raises(InvalidInput, match="Vector"):
        type_of(Annotated[str, dim(3)])
