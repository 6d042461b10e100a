"""The strict boundary: JSON bytes to typed values and back.

Refused, each with a problem: bytes that are not JSON in UTF-8, lone surrogates, NaN and Infinity
(`1e999`, too), nesting over 64, more than 10,000 keys, bodies over the limit, booleans for numbers,
integers beyond 64 bits (signed), missing and unknown fields, and whatever else the type does not allow. A
value comes out as it went in, except: lists become arrays for `Vector`, base64 text becomes bytes, and
missing fields get their defaults. Of a key that is written twice the last value counts, as for `json`.

A valid value takes the fast path: C decoding, then code generated from the type. Only when that fails, the
slow path of `plan.mistakes` walks the value again and lists everything that is wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import numpy as np
import orjson

from algorail.engine.kit.errors import InvalidInput, LimitExceeded, Problem
from algorail.engine.plan.checkers import checker
from algorail.engine.plan.document import Input
from algorail.engine.plan.leaves import Rejected
from algorail.engine.plan.mistakes import mistakes
from algorail.engine.plan.types import ABSENT, Field, ObjectType, Type

MAX_BYTES = 4 * 1024 * 1024
MAX_NESTING = 64
MAX_KEYS = 10_000

_SHORTEST_KEY = len(b'"":0,')
_PLACE = re.compile(r"byte (\d+)")


def decode(raw: bytes, *, max_bytes: int = MAX_BYTES, max_keys: int = MAX_KEYS) -> Any:
    """The JSON value in these bytes.

    >>> decode(b'{"k": 5}')
    {'k': 5}

    Raises:
        InvalidInput: If it is not strict JSON, or too deep, or has too many keys.
        LimitExceeded: If there are too many bytes.
    """
    if len(raw) > max_bytes:
        raise LimitExceeded(
            f"the body has {len(raw)} bytes, at most {max_bytes} are taken", code="body-too-large"
        )
    try:
        value = msgspec.json.decode(raw)
    except RecursionError as error:
        raise _too_deep() from error
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _not_json(raw, error) from error
    # A text that cannot be deep is not measured; counting its brackets costs a tenth of decoding it.
    if raw.count(b"[") + raw.count(b"{") > MAX_NESTING or len(raw) > max_keys * _SHORTEST_KEY:
        _measure(value, max_keys)
    return value


def _not_json(raw: bytes, error: Exception) -> InvalidInput:
    if isinstance(error, UnicodeDecodeError):
        problem = Problem(code="invalid-json", message=f"byte {error.start} is not UTF-8")
    elif "out of range" in str(error):
        problem = Problem(
            code="not-finite", message="a number is too large for a float", cure="send null or a string"
        )
    elif not raw.strip():
        problem = Problem(code="invalid-json", message="the body is empty", expected="JSON")
    else:
        found = _PLACE.search(str(error))
        near = (
            raw[max(0, int(found[1]) - 10) : int(found[1]) + 10].decode("utf-8", "replace") if found else ""
        )
        problem = Problem(code="invalid-json", message=f"this is not JSON: {error}", got=near)
    return InvalidInput("the body is not valid JSON", code=problem.code, problems=[problem])


def _too_deep() -> InvalidInput:
    problem = Problem(
        code="too-deep", message=f"JSON may nest {MAX_NESTING} deep", expected=f"<= {MAX_NESTING} levels"
    )
    return InvalidInput("the body nests too deep", code="too-deep", problems=[problem])


def _measure(value: Any, max_keys: int) -> None:
    """Refuses what nests too deep or has too many keys; level by level, so that depth costs no stack."""
    level, keys = [value], 0
    for depth in range(MAX_NESTING + 1):
        containers = [item for item in level if type(item) is dict or type(item) is list]
        if not containers:
            return
        if depth == MAX_NESTING:
            raise _too_deep()
        keys += sum(len(item) for item in containers if type(item) is dict)
        if keys > max_keys:
            problem = Problem(code="too-many-keys", message=f"at most {max_keys} keys are taken")
            raise InvalidInput("the body has too many keys", code="too-many-keys", problems=[problem])
        level = [member for item in containers for member in (item.values() if type(item) is dict else item)]


def compile_validator(source: Type, *, coerce: bool = True) -> Callable[[Any], Any]:
    """A function that checks a value and returns it in the form that blocks receive.

    Args: source: What the value must be. coerce: Turn lists into arrays and base64 into bytes, as for
    JSON; without it both must already be so.

    The function raises `InvalidInput` with every problem, the place in `port`. It never changes its
    argument.
    """
    check = checker(source, coerce=coerce)

    def validate(value: Any) -> Any:
        try:
            return check(value)
        except (Rejected, RecursionError):
            problems = mistakes(source, value, coerce=coerce)
        raise InvalidInput("the value does not have the declared type", problems=problems)

    return validate


def input_decoder(
    inputs: Mapping[str, Input], *, max_bytes: int = MAX_BYTES, max_keys: int = MAX_KEYS
) -> Callable[[bytes], dict[str, Any]]:
    """A function from a request body to the inputs of an algorithm, checked and with defaults.

    Raises (the function):
        InvalidInput: With every problem, the place in `port`.
        LimitExceeded: If the body is too large.
    """
    validate = inputs_validator(inputs, decoded=True)
    return lambda raw: validate(decode(raw, max_bytes=max_bytes, max_keys=max_keys))


def inputs_validator(
    inputs: Mapping[str, Input], *, decoded: bool = False
) -> Callable[[Any], dict[str, Any]]:
    """As `input_decoder`, for inputs that are Python values already.

    Args:
        inputs: Of the algorithm.
        decoded: Whether the values will be those that `decode` gave, and nothing else: what it refuses is
            then not looked for again.
    """
    source = inputs_type(inputs)
    check = checker(source, coerce=True, decoded=decoded)

    def validate(value: Any) -> dict[str, Any]:
        try:
            return check(value)  # type: ignore[no-any-return]
        except (Rejected, RecursionError):
            problems = mistakes(source, value, coerce=True)
        raise InvalidInput("the inputs do not fit the algorithm", problems=problems)

    return validate


def inputs_type(inputs: Mapping[str, Input]) -> ObjectType:
    """The inputs of an algorithm as the type of its request body."""
    fields = {
        name: Field(item.type, item.required, ABSENT if item.required else item.default)
        for name, item in inputs.items()
    }
    return ObjectType(fields)


def encode(value: Any) -> bytes:
    """The value as JSON; arrays become lists, bytes base64.

    Raises:
        InvalidInput: If it holds NaN or Infinity, a lone surrogate, or something that JSON cannot say.
    """
    try:
        raw = msgspec.json.encode(value, enc_hook=_as_json)
    except UnicodeEncodeError as error:
        raise InvalidInput("a text holds a lone surrogate", code="lone-surrogate") from error
    except (TypeError, NotImplementedError, RecursionError) as error:
        raise InvalidInput(f"the value cannot be written as JSON: {error}", code="not-json") from error
    if b"null" in raw:
        _refuse_nan(value)
    return raw


def _as_json(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "fiub":
            raise TypeError(f"an array of {value.dtype} has no JSON form")
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise _not_finite(f"an array of shape {value.shape}")
        return msgspec.Raw(orjson.dumps(np.ascontiguousarray(value), option=orjson.OPT_SERIALIZE_NUMPY))
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def _not_finite(place: str) -> InvalidInput:
    problem = Problem(
        code="not-finite",
        message=f"{place} holds NaN or Infinity, which JSON cannot say",
        cure="use null or a number",
    )
    return InvalidInput("the value cannot be written as JSON", code="not-finite", problems=[problem])


def _refuse_nan(value: Any) -> None:
    """The encoder writes NaN as null, so a text with a null in it is looked at again."""
    level: list[tuple[str, Any]] = [("the value", value)]
    while level:
        place, item = level.pop()
        if isinstance(item, float | np.floating) and not np.isfinite(item):
            raise _not_finite(place)
        if isinstance(item, Mapping):
            level += [(str(key), member) for key, member in item.items()]
        elif isinstance(item, list | tuple):
            level += [(f"{place}[{index}]", member) for index, member in enumerate(item)]
