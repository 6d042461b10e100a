"""Algorithms: typed DAGs of blocks, published as immutable versions, run and recorded.

This is the public namespace for people who write algorithms and blocks:

    from algorail.engine import algorithm, block, when, each, Retry, Vector

Names are loaded when they are first used, so importing this package costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from algorail.engine.dsl import Algorithm as Algorithm
    from algorail.engine.dsl import Named as Named
    from algorail.engine.dsl import Schema as Schema
    from algorail.engine.dsl import algorithm as algorithm
    from algorail.engine.dsl import algorithm_of as algorithm_of
    from algorail.engine.dsl import block as block
    from algorail.engine.dsl import contains as contains
    from algorail.engine.dsl import each as each
    from algorail.engine.dsl import expr as expr
    from algorail.engine.dsl import first_of as first_of
    from algorail.engine.dsl import kind_of as kind_of
    from algorail.engine.dsl import length as length
    from algorail.engine.dsl import operation as operation
    from algorail.engine.dsl import options as options
    from algorail.engine.dsl import placed as placed
    from algorail.engine.dsl import placed_kind as placed_kind
    from algorail.engine.dsl import plan_of as plan_of
    from algorail.engine.dsl import sub_algorithm as sub_algorithm
    from algorail.engine.dsl import switch as switch
    from algorail.engine.dsl import to_python as to_python
    from algorail.engine.dsl import when as when
    from algorail.engine.kind import BlockKind as BlockKind
    from algorail.engine.kind import CallContext as CallContext
    from algorail.engine.kind import Effect as Effect
    from algorail.engine.kit.errors import AlgorailError as AlgorailError
    from algorail.engine.plan.annotations import Image as Image
    from algorail.engine.plan.annotations import Pii as Pii
    from algorail.engine.plan.annotations import Secret as Secret
    from algorail.engine.plan.annotations import Sensitive as Sensitive
    from algorail.engine.plan.annotations import Table as Table
    from algorail.engine.plan.annotations import Vector as Vector
    from algorail.engine.plan.annotations import dim as dim
    from algorail.engine.plan.document import Breaker as Breaker
    from algorail.engine.plan.document import Cache as Cache
    from algorail.engine.plan.document import Plan as Plan
    from algorail.engine.plan.document import RecordPolicy as RecordPolicy
    from algorail.engine.plan.document import Retry as Retry

_HOMES = {
    "kind": ("BlockKind", "CallContext", "Effect"),
    "dsl": (
        "Algorithm", "Named", "Schema", "algorithm", "algorithm_of", "block", "contains", "each", "expr",
        "first_of", "kind_of", "length", "operation", "options", "placed", "placed_kind", "plan_of",
        "sub_algorithm", "switch", "to_python", "when",
    ),
    "kit.errors": ("AlgorailError",),
    "plan.annotations": ("Image", "Pii", "Secret", "Sensitive", "Table", "Vector", "dim"),
    "plan.document": ("Breaker", "Cache", "Plan", "RecordPolicy", "Retry"),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605  # pyright: ignore[reportUnsupportedDunderAll]

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
