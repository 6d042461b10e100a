"""User expressions in a subset of CEL, Google's Common Expression Language (https://cel.dev).

Conditions, filters and small computed fields: typed against the ports before the run, evaluated in about
ten microseconds, without access to anything but the variables. The subset: at most 1,000 characters, no
`map()` and `filter()` (they are quadratic and hold the interpreter lock), loops of 10,000 rounds in all.

    >>> from algorail.engine.plan.types import ScalarType
    >>> sure = compile_cel("score > 0.7", {"score": ScalarType("number")})
    >>> sure.type.name, sure(score=0.9)
    ('boolean', True)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from cel_expr_python import cel

from algorail.engine.kit.errors import ConfigInvalid, InvalidInput, LimitExceeded, Problem
from algorail.engine.lang._cel_errors import compile_problems, evaluation_error, problem_at
from algorail.engine.lang._cel_rules import Findings, Path, examine, known_type
from algorail.engine.lang._cel_tree import Expr, read_tree
from algorail.engine.lang._cel_types import Convert, cel_type, converter, plain, port_type
from algorail.engine.lang.language import ExpressionLanguage
from algorail.engine.plan.types import FieldType, ScalarType, Sensitivity, Type

MAX_LENGTH = 1_000
"""Characters of an expression."""

MAX_LOOP_WEIGHT = 1_000
"""Items (and 64 characters count as one) of a variable that a loop searches in every round."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Argument:
    """How one name of the expression gets its value."""

    path: Path
    convert: Convert
    small: bool


class CelProgram:
    """A compiled expression. Immutable, so that any number of threads may call it.

    Attributes:
        text: The expression as it was written.
        type: What it evaluates to.
        free_variables: Names of the variables that it reads.
    """

    __slots__ = ("_arguments", "_program", "free_variables", "text", "type")

    def __init__(
        self, text: str, type: Type, program: cel.Expression | None, arguments: Sequence[_Argument]
    ) -> None:
        self.text = text
        self.type = type
        self.free_variables = frozenset(argument.path.root for argument in arguments)
        self._program = program
        self._arguments = tuple(arguments)

    def __call__(self, values: Mapping[str, Any] | None = None, /, **named: Any) -> Any:
        """The value of the expression for these variables (which are valid for their types).

        Raises:
            InvalidInput: If it has no value for them, such as a division by zero or a missing key.
            LimitExceeded: If a loop is too long.
        """
        given = named if values is None else values
        if self._program is None:
            return _look_up(given, self._arguments[0].path)
        data = {}
        for argument in self._arguments:
            value = _look_up(given, argument.path)
            if argument.small and _weight(value) > MAX_LOOP_WEIGHT:
                raise LimitExceeded(
                    f"{argument.path.name} is too large to be searched in every round of a loop",
                    code="cel-limit",
                    cure=f"{MAX_LOOP_WEIGHT} items is the most; use a transform block",
                )
            data[argument.path.name] = _converted(argument, value)
        try:
            result = self._program.eval(data=data)
        except RuntimeError as error:
            raise evaluation_error(self.text, str(error)) from None
        if result.type() in _NO_VALUE:
            # Its value() is the message, a true string.
            raise evaluation_error(self.text, str(result.value()))
        return plain(result.plain_value())

    def __repr__(self) -> str:
        return f"CelProgram({self.text!r})"


_NO_VALUE = (cel.Type.ERROR, cel.Type.UNKNOWN)


def compile_cel(text: str, vars: Mapping[str, Type]) -> CelProgram:
    """Parse, check and compile an expression; the same text and variables give the same program.

    Args:
        text: The expression, at most 1,000 characters.
        vars: The variables that it may read, with their types. Fields of object types are typed too.

    Raises:
        ConfigInvalid: With every problem; codes `cel-syntax`, `cel-type`, `cel-undefined`, `cel-forbidden`
            and `cel-limit`.
    """
    return _compiled(text, _Vars(repr(sorted(vars.items())), vars))


CEL: ExpressionLanguage = compile_cel
"""The expression language of the engine."""


@dataclass(frozen=True, slots=True)
class _Vars:
    """Variables as a key of a cache: types hold mappings, which cannot be hashed, but their text can."""

    key: str
    types: Mapping[str, Type] = field(compare=False)


@lru_cache(maxsize=1_024)
def _compiled(text: str, vars: _Vars) -> CelProgram:
    if len(text) > MAX_LENGTH:
        message = f"an expression has {MAX_LENGTH} characters at most, this one has {len(text)}"
        cure = "split it into several blocks, or use a transform block"
        raise _invalid(text, [Problem(code="cel-limit", message=message, cure=cure)])
    tree = _parsed(text, vars.types)
    findings = examine(tree, vars.types)
    _refuse_secrets(findings)
    if findings.problems:
        found = sorted(findings.problems, key=lambda item: item[0])
        raise _invalid(text, [problem_at(text, offset, problem) for offset, problem in found])
    names = {name: cel_type(port) for name, port in vars.types.items()}
    names |= {path.name: cel_type(port) for path, port in findings.paths.items()}
    program = _checked(text, names)
    arguments = [
        _Argument(path=path, convert=converter(port), small=path in findings.small)
        for path, port in findings.paths.items()
    ]
    result = _result_type(text, tree, vars.types, program, findings)
    return CelProgram(text, result, None if _is_path(tree, arguments) else program, arguments)


def _parsed(text: str, vars: Mapping[str, Type]) -> Expr:
    try:
        return read_tree(cel.NewEnv().compile(text, disable_check=True).serialize())
    except RuntimeError as error:
        raise _invalid(text, compile_problems(text, str(error), list(vars))) from None


def _checked(text: str, names: Mapping[str, cel.Type]) -> cel.Expression:
    try:
        return cel.NewEnv(variables=dict(names)).compile(text)
    except RuntimeError as error:
        raise _invalid(text, compile_problems(text, str(error), list(names))) from None


def _refuse_secrets(findings: Findings) -> None:
    for path, port in findings.paths.items():
        if isinstance(port, FieldType) and port.name == "secret":
            message = f"{path.name} is a secret, which no expression may read"
            cure = "pass the reference on to the block that needs it"
            findings.problems.append((0, Problem(code="cel-forbidden", message=message, cure=cure)))


def _result_type(
    text: str, tree: Expr, vars: Mapping[str, Type], program: cel.Expression, findings: Findings
) -> Type:
    name = program.return_type().name()
    result = port_type(name)
    if result is None:
        cure = "convert it with string(…) or int(…)"
        message = f"the result is of type {name.lower()}, which no port carries"
        raise _invalid(text, [Problem(code="cel-type", message=message, cure=cure)])
    if known := known_type(tree, vars):
        return known
    if isinstance(result, ScalarType) and result.name == "boolean":
        return result
    return replace(result, sensitivity=_sensitivity(findings))


def _is_path(tree: Expr, arguments: Sequence[_Argument]) -> bool:
    """Whether the expression is a variable or a field of it: the value passes as it is, arrays included."""
    nodes = list(tree.walk())
    return (
        len(arguments) == 1 and nodes[-1].kind == "ident" and len(nodes) == 1 + len(arguments[0].path.fields)
    )


def _sensitivity(findings: Findings) -> Sensitivity:
    """What is computed from personal data is personal data; only a yes or no is not."""
    found = {port.sensitivity for port in findings.paths.values()}
    return "secret" if "secret" in found else "pii" if "pii" in found else ""


def _look_up(given: Mapping[str, Any], path: Path) -> Any:
    try:
        value = given[path.root]
        for name in path.fields:
            value = value[name]
    except (KeyError, TypeError):
        raise InvalidInput(
            f"the expression needs {path.name!r}, which is not there", code="cel-value"
        ) from None
    return value


def _converted(argument: _Argument, value: Any) -> Any:
    try:
        return argument.convert(value)
    except (TypeError, ValueError, AttributeError):
        # Without the value, which may be personal.
        message = f"{argument.path.name} does not fit its type, it is a {type(value).__name__}"
        raise InvalidInput(message, code="cel-value") from None


def _weight(value: Any) -> float:
    match value:
        case str() | bytes():
            return len(value) / 64
        case list() | tuple():
            return len(value) if len(value) > MAX_LOOP_WEIGHT else sum(1 + _weight(item) for item in value)
        case dict():
            return sum(1 + _weight(key) + _weight(item) for key, item in value.items())
        case _:
            return getattr(value, "size", 1)


def _invalid(text: str, problems: Sequence[Problem]) -> ConfigInvalid:
    first = problems[0]
    return ConfigInvalid(
        f"the expression {text!r:.120} is not valid: {first.message}",
        code=first.code,
        cure=first.cure,
        problems=problems,
    )
