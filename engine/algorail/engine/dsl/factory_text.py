"""Installed blocks as the calls that make them: `vector_search(index='faq', k=3)`.

A call is written only if it gives exactly the configuration that stands in the plan.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, cast

from algorail.engine.dsl.binding_text import is_name
from algorail.engine.dsl.placing import Placeable
from algorail.engine.dsl.type_text import Annotation, TypeWriter
from algorail.engine.kit.errors import AlgorailError
from algorail.engine.plan.document import Node
from algorail.engine.plan.types import from_schema

_SCHEMA_WORDS = frozenset({"type", "anyOf", "enum", "const"})


@dataclass(frozen=True, slots=True)
class FactoryCall:
    """A factory, the module that it comes from, and the text of its arguments."""

    name: str
    home: str
    arguments: tuple[str, ...]


def factory_call(node: Node, types: TypeWriter) -> FactoryCall | None:
    """The call that makes a node's block, if there is one; JSON Schemas are written as types."""
    name = node.kind.partition("@")[0]
    if not is_name(name):
        return None
    for point in entry_points(group="algorail.blocks", name=name):
        try:
            factory: Any = getattr(import_module(point.module), name, None)
        except ImportError:
            continue
        if callable(factory) and (arguments := _arguments(factory, node, types)) is not None:
            return FactoryCall(name, point.module, tuple(arguments))
    return None


def _arguments(factory: Any, node: Node, types: TypeWriter) -> list[str] | None:
    parameters = inspect.signature(factory).parameters
    given = {
        name: item
        for name, item in node.config.items()
        if name not in parameters or parameters[name].default != item
    }
    with types.attempt() as attempt:
        typed = {name: _typed(item, types) for name, item in given.items()}
        if _makes(factory, {name: item.meaning for name, item in typed.items()}, node):
            attempt.keep()
            return [f"{name}={item.text}" for name, item in typed.items()]
    if _makes(factory, given, node):
        return [f"{name}={item!r}" for name, item in given.items()]
    return None


def _typed(item: Any, types: TypeWriter) -> Annotation:
    """A value as it is written: a JSON Schema, or a dict of them, as annotations."""
    plain = Annotation(repr(item), item)
    if not isinstance(item, dict) or not item:
        return plain
    members = cast("dict[str, Any]", item)
    if not _SCHEMA_WORDS.isdisjoint(members):
        return _annotation(members, types) or plain
    written: dict[str, Annotation] = {}
    for key, member in members.items():
        found = _annotation(cast("dict[str, Any]", member), types) if isinstance(member, dict) else None
        if found is None:
            return plain
        written[key] = found
    text = ", ".join(f"{key!r}: {found.text}" for key, found in written.items())
    return Annotation(f"{{{text}}}", {key: found.meaning for key, found in written.items()})


def _annotation(schema: dict[str, Any], types: TypeWriter) -> Annotation | None:
    try:
        return types.exact(from_schema(schema))
    except AlgorailError:
        return None


def _makes(factory: Any, arguments: Mapping[str, Any], node: Node) -> bool:
    """Whether a factory makes the node's block of these arguments, and takes its inputs."""
    try:
        made = factory(**arguments)
    except (TypeError, ValueError, AttributeError, AlgorailError):
        return False
    if not isinstance(made, Placeable) or (made.kind_key, made.config) != (node.kind, node.config):
        return False
    if made.call_signature is None:
        return True
    try:
        made.call_signature.bind(**node.inputs)
    except TypeError:
        return False
    return True
