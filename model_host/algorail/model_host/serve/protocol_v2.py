"""The Open Inference Protocol, version 2, over JSON: bytes in, columns out, and back.

Stricter than the servers it is compatible with: a shape that does not match the data, an unknown name
or datatype, a type that would lose digits, are the caller's mistakes and are said so. Source: the
open-inference-protocol specification, `inference_rest.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np
import orjson

from algorail.engine.kit.errors import InvalidInput
from algorail.model_host.serve.tensors import (
    DTYPES,
    Columns,
    check_rows,
    element,
    elements,
    to_array,
    to_json,
)
from algorail.model_host.spec import DATATYPES, Manifest, Tensor


class _Input(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    shape: list[int]
    datatype: str
    data: msgspec.Raw
    parameters: dict[str, Any] = {}


class _Output(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    parameters: dict[str, Any] = {}


class InferRequest(msgspec.Struct, forbid_unknown_fields=True):
    """An inference request as it stands in JSON."""

    inputs: list[_Input]
    id: str = ""
    outputs: list[_Output] = []
    parameters: dict[str, Any] = {}


_request = msgspec.json.Decoder(InferRequest)


class ProtocolV2:
    """Reads and writes the protocol's bodies for one model.

    Args:
        manifest: The model's tensors.
        version: Its version, as paths and answers name it.
        max_rows: Rows of one request.
    """

    def __init__(self, manifest: Manifest, version: str, max_rows: int) -> None:
        self._manifest = manifest
        self._version = version
        self._max_rows = max_rows
        self._decoders: dict[tuple[str, bool, int], msgspec.json.Decoder[Any]] = {}

    def decode(self, body: bytes) -> tuple[InferRequest, Columns, int]:
        """The request, its columns in the model's order and types, and the number of rows.

        Raises:
            InvalidInput: Naming the tensor, what was expected and what came.
        """
        try:
            request = _request.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(f"not an inference request: {error}", code="request-invalid") from None
        self._check_names(request)
        found = {tensor.name: self._column(tensor) for tensor in request.inputs}
        counts = {len(column) for column in found.values()}
        if len(counts) != 1:
            raise InvalidInput(
                f"inputs have different numbers of rows: {sorted(counts)}", code="tensor-shape"
            )
        rows = counts.pop()
        if not 1 <= rows <= self._max_rows:
            raise InvalidInput(f"rows == {rows}, must be 1 to {self._max_rows}", code="tensor-shape")
        return request, {name: found[name] for name in self._manifest.inputs}, rows

    def encode(self, request: InferRequest, outputs: Columns) -> bytes:
        """The answer, with the outputs that were asked for (all, if none was named)."""
        names = [output.name for output in request.outputs] or list(outputs)
        answer: dict[str, Any] = {"model_name": self._manifest.name, "model_version": self._version}
        if request.id:
            answer["id"] = request.id
        answer["outputs"] = [
            {
                "name": name,
                "shape": list(outputs[name].shape),
                "datatype": self._manifest.outputs[name].datatype,
                "data": to_json(outputs[name].reshape(-1)),
            }
            for name in names
        ]
        return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)

    def metadata(self) -> dict[str, Any]:
        """The model's metadata document."""
        return {
            "name": self._manifest.name,
            "versions": [self._version],
            "platform": f"algorail_{self._manifest.kind}",
            "inputs": _described(self._manifest.inputs),
            "outputs": _described(self._manifest.outputs),
        }

    def _check_names(self, request: InferRequest) -> None:
        names = [tensor.name for tensor in request.inputs]
        wanted = list(self._manifest.inputs)
        if sorted(names) != sorted(wanted):
            raise InvalidInput(f"inputs are {names}, must be {wanted}", code="tensor-names")
        unknown = [output.name for output in request.outputs if output.name not in self._manifest.outputs]
        if unknown:
            raise InvalidInput(
                f"outputs {unknown} do not exist, choose from {list(self._manifest.outputs)}",
                code="tensor-names",
            )

    def _column(self, sent: _Input) -> np.ndarray[Any, Any]:
        tensor = self._manifest.inputs[sent.name]
        dtype = self._dtype(sent, tensor)
        check_rows(sent.name, tensor, sent.shape)
        raw = bytes(sent.data)
        nested = raw[1:16].lstrip().startswith(b"[")
        try:
            values = self._decoder(dtype, nested, len(sent.shape)).decode(raw)
        except msgspec.DecodeError as error:
            raise InvalidInput(f"input {sent.name!r}: data: {error}", code="tensor-invalid") from None
        array = to_array(sent.name, dtype, values)
        expected = tuple(sent.shape) if nested else (elements(sent.shape),)
        if array.shape != expected:
            raise InvalidInput(
                f"input {sent.name!r} has data of shape {list(array.shape)}, its shape says {sent.shape}",
                code="tensor-shape",
            )
        array = array.reshape(sent.shape)
        return array if tensor.dtype in (dtype, "string") else array.astype(tensor.dtype)

    def _dtype(self, sent: _Input, tensor: Tensor) -> str:
        dtype = DTYPES.get(sent.datatype)
        if dtype is None:
            raise InvalidInput(
                f"input {sent.name!r} has unknown datatype {sent.datatype!r}, "
                f"choose from {list(DATATYPES.values())}",
                code="tensor-datatype",
            )
        if dtype != tensor.dtype and not _widens(dtype, tensor.dtype):
            raise InvalidInput(
                f"input {sent.name!r} has datatype {sent.datatype!r}, must be {tensor.datatype!r}",
                code="tensor-datatype",
            )
        return dtype

    def _decoder(self, dtype: str, nested: bool, depth: int) -> msgspec.json.Decoder[Any]:
        key = (dtype, nested, depth)
        if key not in self._decoders:
            kind: Any = element(dtype)
            for _ in range(depth if nested else 1):
                kind = list[kind]
            self._decoders[key] = msgspec.json.Decoder(kind)
        return self._decoders[key]


def _widens(source: str, target: str) -> bool:
    """Whether every value of one type is exactly a value of the other."""
    if "string" in (source, target) or "bool" in (source, target):
        return False
    if source.endswith("int64") and target.startswith("float"):
        return False
    return bool(np.can_cast(source, target, "safe"))


def _described(tensors: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    return [
        {"name": name, "datatype": tensor.datatype, "shape": [-1, *tensor.shape]}
        for name, tensor in tensors.items()
    ]
