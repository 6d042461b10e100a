"""The four protocols: inputs to a request body, a response body to the output. No network here."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

import msgspec
import numpy as np
import orjson

from algorail.blocks.model_call.config import ModelCallConfig
from algorail.blocks.model_call.tensors import TensorPort, accepts, rows_of, shape_of, tensor_of
from algorail.engine.kit.errors import InvalidInput, Unavailable
from algorail.engine.plan.types import ListType, ObjectType, ScalarType, Type
from algorail.engine.plan.values import compile_validator
from algorail.model_host.spec import DATATYPES, Tensor


class Codec(ABC):
    """One protocol for one configuration.

    Args:
        config: Of the block.
        model: The model's name, as the server knows it.
        tensors: What the model says it takes, if that is known.
    """

    def __init__(self, config: ModelCallConfig, model: str, tensors: Mapping[str, Tensor]) -> None:
        self._config = config
        self._model = model
        self._tensors = tensors
        self._row = config.row_output()
        output = ListType(self._row) if config.batch else self._row
        self._validate: Callable[[Any], Any] = compile_validator(output)

    def encode(self, inputs: Mapping[str, Any]) -> bytes:
        """The request body."""
        body = self._config.params | self._body(inputs)
        return orjson.dumps(body, option=orjson.OPT_SERIALIZE_NUMPY, default=_contiguous)

    def decode(self, body: bytes, inputs: Mapping[str, Any]) -> Any:
        """The output, checked.

        Raises:
            Unavailable: `model-bad-response`, with what was expected and what came.
        """
        found = self._answer(body, inputs)
        try:
            return self._validate(found)
        except InvalidInput as error:
            raise Unavailable(
                f"model {self._model!r} answered something else than its declared output",
                code="model-bad-response",
                problems=error.problems,
                retryable=False,
            ) from error

    @abstractmethod
    def _body(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """The request without the fixed parameters."""

    @abstractmethod
    def _answer(self, body: bytes, inputs: Mapping[str, Any]) -> Any:
        """What the response says, before it is compared with the declared output."""

    def _json(self, body: bytes) -> Any:
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._lies(f"not JSON: {error}")

    def _lies(self, what: str) -> NoReturn:
        raise Unavailable(
            f"model {self._model!r} answered {what}",
            code="model-bad-response",
            cure="compare the block's output and the model's metadata",
            retryable=False,
        )

    def _at(self, value: Any, path: list[str | int]) -> Any:
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                self._lies(f"nothing at {step!r} of {'.'.join(map(str, path))}")
        return value


class _Output(msgspec.Struct):
    name: str
    shape: list[int]
    datatype: str
    data: list[Any]


class _Infer(msgspec.Struct):
    outputs: list[_Output]


_infer = msgspec.json.Decoder(_Infer)


class OipV2(Codec):
    """The Open Inference Protocol, version 2."""

    def __init__(self, config: ModelCallConfig, model: str, tensors: Mapping[str, Tensor]) -> None:
        super().__init__(config, model, tensors)
        self._ports = [self._port(port, kind) for port, kind in config.row_inputs().items()]
        self._fields = self._output_fields()

    def _port(self, port: str, kind: Type) -> tuple[str, str, str, int, list[int]]:
        given = self._config.tensors.get(port, TensorPort())
        name = given.name or port
        found = tensor_of(kind)
        known = self._tensors.get(name)
        datatype = given.datatype or (known.datatype if known else "")
        depth = (found.depth if found else 0) + self._config.batch
        return port, name, datatype or DATATYPES[found.dtype if found else "string"], depth, given.shape

    def _output_fields(self) -> list[tuple[str, str, Type]]:
        """(field, tensor, type); one unnamed field if the output is no object."""
        names = self._config.output_tensors
        if isinstance(self._row, ObjectType):
            return [(field, names.get(field, field), part.type) for field, part in self._row.fields.items()]
        return [("", names.get("", ""), self._row)]

    def _body(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        tensors = []
        for port, name, datatype, depth, row in self._ports:
            value = inputs[port]
            shape = shape_of(value, depth)
            rows, shape = (shape[:1], shape[1:]) if self._config.batch else ([1], shape)
            tensors.append({
                "name": name,
                "shape": [*rows, *(row or shape)],
                "datatype": datatype,
                "data": value if isinstance(value, np.ndarray) else _flat(value, depth),
            })  # fmt: skip
        return {"inputs": tensors}

    def _answer(self, body: bytes, inputs: Mapping[str, Any]) -> Any:
        try:
            found = {tensor.name: tensor for tensor in _infer.decode(body).outputs}
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._lies(f"no inference response: {error}")
        columns = {field: self._rows(found, name, kind) for field, name, kind in self._fields}
        wanted = len(next(iter(inputs.values()))) if self._config.batch else 1
        wrong = {field: len(rows) for field, rows in columns.items() if len(rows) != wanted}
        if wrong:
            self._lies(f"{wrong} rows, asked for {wanted}")
        if "" in columns:
            rows = columns[""]
        else:
            rows = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
        return rows if self._config.batch else rows[0]

    def _rows(self, found: Mapping[str, _Output], name: str, kind: Type) -> list[Any]:
        if not name and len(found) == 1:
            [name] = found
        tensor = found.get(name)
        if tensor is None:
            self._lies(f"no output {name!r}, only {sorted(found)}")
        if not accepts(kind, tensor.datatype):
            self._lies(
                f"output {name!r} of datatype {tensor.datatype!r}, which does not fit the declared type"
            )
        try:
            data = _flat(tensor.data, len(tensor.shape))
            return rows_of(data, tensor.shape, kind)
        except (ValueError, TypeError, OverflowError) as error:
            self._lies(f"output {name!r}: {error}")


class PlainJson(Codec):
    """Any JSON over HTTP: the ports are the fields of the body."""

    def _body(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        if not self._config.batch:
            return dict(inputs)
        rows = zip(*inputs.values(), strict=True)
        return {"instances": [dict(zip(inputs, row, strict=True)) for row in rows]}

    def _answer(self, body: bytes, inputs: Mapping[str, Any]) -> Any:
        path = self._config.select or (["predictions"] if self._config.batch else [])
        answer = self._at(self._json(body), path)
        if self._config.batch:
            wanted = len(next(iter(inputs.values())))
            if not isinstance(answer, list) or len(answer) != wanted:
                self._lies(f"{len(answer) if isinstance(answer, list) else 'no'} rows, asked for {wanted}")
        return answer


class OpenAiChat(Codec):
    """Chat completions; inputs other than `prompt`, `system` and `messages` are fields of the request."""

    def _body(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        rest = dict(inputs)
        messages = list(rest.pop("messages", ()))
        system, prompt = rest.pop("system", None), rest.pop("prompt", None)
        if system is not None:
            messages.insert(0, {"role": "system", "content": system})
        if prompt is not None:
            messages.append({"role": "user", "content": prompt})
        stream = {"stream": True} if self._config.stream else {}
        return {"model": self._model, "messages": messages} | stream | rest

    def _answer(self, body: bytes, inputs: Mapping[str, Any]) -> Any:  # noqa: ARG002  # one shape for all
        return self.finish(self._at(self._json(body), ["choices", 0, "message", "content"]))

    def finish(self, text: Any) -> Any:
        """The whole text; read as JSON if the output is not declared a string."""
        if not isinstance(text, str):
            self._lies("no text")
        return (
            text
            if isinstance(self._row, ScalarType) and self._row.name == "string"
            else self._json(text.encode())
        )

    def delta(self, event: bytes) -> str:
        """The text that one event of a stream adds."""
        choices = self._at(self._json(event), ["choices"])
        if not choices:
            return ""
        text = self._at(choices, [0, "delta"]).get("content")
        return text if isinstance(text, str) else ""


class OpenAiEmbeddings(Codec):
    """Embeddings of one text, or of many if `batch`."""

    def _body(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        [text] = inputs.values()
        return {"model": self._model, "input": text, "encoding_format": "float"}

    def _answer(self, body: bytes, inputs: Mapping[str, Any]) -> Any:
        data = self._at(self._json(body), ["data"])
        [asked] = inputs.values()
        wanted = len(asked) if self._config.batch else 1
        if not isinstance(data, list) or len(data) != wanted:
            self._lies(f"{len(data) if isinstance(data, list) else 'no'} embeddings, asked for {wanted}")
        ordered = {self._at(item, ["index"]): self._at(item, ["embedding"]) for item in data}
        vectors = [self._at(ordered, [index]) for index in range(wanted)]
        return vectors if self._config.batch else vectors[0]


CODECS: Mapping[str, type[Codec]] = {
    "oip_v2": OipV2,
    "json": PlainJson,
    "openai_chat": OpenAiChat,
    "openai_embeddings": OpenAiEmbeddings,
}


def _flat(value: Any, depth: int) -> Any:
    """The elements of a nested list in row-major order; a flat list stays as it is."""
    if depth == 0:
        return [value]
    while isinstance(value, list) and value and isinstance(value[0], list):
        value = [item for part in value for item in part]
    return np.concatenate(value) if value and isinstance(value[0], np.ndarray) else value


def _contiguous(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return np.ascontiguousarray(value)
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be sent to a model")


class ServerSentEvents:
    """Splits a byte stream into the data of its events."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """The data of every event that is complete now; `[DONE]` is left out."""
        *lines, self._rest = (self._rest + chunk).replace(b"\r\n", b"\n").split(b"\n")
        for line in lines:
            if line.startswith(b"data:"):
                data = line[5:].strip()
                if data != b"[DONE]":
                    yield data
