"""What the engine asks of an expression language, so that the library behind it can be exchanged.

Knows port types only: nothing of plans, blocks or CEL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from algorail.engine.plan.types import Type


class Program(Protocol):
    """A compiled, typed expression; may be called from several threads at once."""

    @property
    def text(self) -> str:
        """The expression as it was written."""
        ...

    @property
    def type(self) -> Type:
        """What it evaluates to."""
        ...

    @property
    def free_variables(self) -> frozenset[str]:
        """Names of the variables that it reads."""
        ...

    def __call__(self, values: Mapping[str, Any] | None = None, /, **named: Any) -> Any:
        """The value of the expression for these variables.

        Raises:
            InvalidInput: If it has no value for them, such as a division by zero.
            LimitExceeded: If it would take too long.
        """
        ...


class ExpressionLanguage(Protocol):
    """Turns user text into programs."""

    def __call__(self, text: str, vars: Mapping[str, Type]) -> Program:
        """Parse, type and compile.

        Args:
            text: The expression.
            vars: The variables that it may read, with their types.

        Raises:
            ConfigInvalid: If it is no expression of the language, or does not fit the types.
        """
        ...
