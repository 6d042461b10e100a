"""The built-in blocks, one file each, unaware of one another.

    from algorail.blocks import db_lookup, transform

gives the functions that place them. They are loaded when they are first used.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from algorail.blocks.db_lookup import db_lookup as db_lookup
    from algorail.blocks.expression import expression as expression
    from algorail.blocks.http_call import http_call as http_call
    from algorail.blocks.model_call import model_call as model_call
    from algorail.blocks.transform import transform as transform
    from algorail.blocks.vector_search import vector_search as vector_search

_FUNCTIONS = frozenset({"db_lookup", "expression", "http_call", "model_call", "transform", "vector_search"})


class _Blocks(ModuleType):
    """Gives the function where module and function have one name, whoever imported the module first."""

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system comes here with each submodule, once it is loaded.
        if name in _FUNCTIONS and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if name not in _FUNCTIONS:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{name}"), name)


sys.modules[__name__].__class__ = _Blocks
