"""Small, deterministic block kinds to test engines with: every shape of port, a failing one, async ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from algorail.engine.kind import BlockKind, NoConfig, Runner
from algorail.engine.kit.errors import InvalidInput, NotFound
from algorail.engine.plan.signature import Port, Signature
from algorail.engine.plan.types import (
    BOOLEAN,
    INTEGER,
    NUMBER,
    STRING,
    Field,
    ListType,
    ObjectType,
    Type,
    optional,
)

_POINT = ObjectType({"x": Field(INTEGER), "y": Field(NUMBER), "tag": Field(STRING)}, title="Point")
_SMALL = 1_000


def simple_kind(
    name: str, inputs: Mapping[str, Type], output: Type, call: Callable[..., Any], *, waits: bool = False
) -> BlockKind:
    """A kind without configuration around a plain function; with `waits` it is async and yields once."""
    signature = Signature({port: Port(item) for port, item in inputs.items()}, output)

    async def later(**values: Any) -> Any:
        await asyncio.sleep(0)
        return call(**values)

    runner = Runner(call=later if waits else call, is_async=waits)
    return BlockKind(
        name=name,
        summary=f"Test kind {name}.",
        config=NoConfig,
        signature=lambda _config: signature,
        build=lambda _config, _services: runner,
    )


def _small(number: int) -> int:
    return number % _SMALL


def _fragile(x: int) -> int:
    if x % 3 == 0:
        raise InvalidInput(f"x == {x!r}, must not be a multiple of 3", code="fragile")
    return _small(x)


SIMPLE_KINDS = (
    simple_kind("add", {"a": INTEGER, "b": INTEGER}, INTEGER, lambda a, b: _small(a + b)),
    simple_kind("add_later", {"a": INTEGER, "b": INTEGER}, INTEGER, lambda a, b: _small(a + b), waits=True),
    simple_kind("halve", {"x": NUMBER}, NUMBER, lambda x: x / 2),
    simple_kind("is_big", {"x": NUMBER}, BOOLEAN, lambda x: x > 10),
    simple_kind("label", {"x": INTEGER}, STRING, lambda x: f"n{x}", waits=True),
    simple_kind("shout", {"text": STRING}, STRING, lambda text: text.upper()[:20]),
    simple_kind("spread", {"x": INTEGER}, ListType(INTEGER), lambda x: [_small(x), _small(x + 1)]),
    simple_kind("total", {"items": ListType(INTEGER)}, INTEGER, lambda items: _small(sum(items)), waits=True),
    simple_kind("point", {"x": INTEGER, "y": NUMBER}, _POINT, lambda x, y: {"x": x, "y": y, "tag": "p"}),
    simple_kind("even", {"x": INTEGER}, optional(INTEGER), lambda x: x if x % 2 == 0 else None),
    simple_kind("fragile", {"x": INTEGER}, INTEGER, _fragile, waits=True),
)
"""The kinds that random plans are made of."""


class SimpleKinds:
    """A registry of given kinds; implements `engine.kind.Kinds`."""

    def __init__(self, *kinds: BlockKind) -> None:
        self._kinds = {kind.key: kind for kind in (kinds or SIMPLE_KINDS)}

    def get(self, key: str) -> BlockKind:
        """The kind.

        Raises:
            NotFound: If it is none of those given.
        """
        if key not in self._kinds:
            raise NotFound(
                f"there is no block kind {key!r}", code="unknown-kind", cure=", ".join(self._kinds)
            )
        return self._kinds[key]

    def signature(self, key: str, config: Mapping[str, Any]) -> Signature:
        """The ports of a kind with its configuration, as `plan.check` asks for them."""
        kind = self.get(key)
        return kind.signature(msgspec.convert(dict(config), kind.config))
