"""The language in which algorithms are written: `@algorithm`, `@block`, `when`, `each` … It makes plans."""

from algorail.engine.dsl.algorithm import Algorithm, algorithm, algorithm_of, kind_of, plan_of
from algorail.engine.dsl.annotations import Named, Schema
from algorail.engine.dsl.block import Block, block
from algorail.engine.dsl.control import contains, each, expr, first_of, length, switch, when
from algorail.engine.dsl.placing import options, placed, placed_kind, sub_algorithm
from algorail.engine.dsl.python_text import to_python
from algorail.engine.dsl.value import operation

__all__ = [
    "Algorithm",
    "Block",
    "Named",
    "Schema",
    "algorithm",
    "algorithm_of",
    "block",
    "contains",
    "each",
    "expr",
    "first_of",
    "kind_of",
    "length",
    "operation",
    "options",
    "placed",
    "placed_kind",
    "plan_of",
    "sub_algorithm",
    "switch",
    "to_python",
    "when",
]
