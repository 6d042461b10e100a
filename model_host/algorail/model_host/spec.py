"""What a packaged model is: its manifest, and the tensors it takes and gives.

Only data and its checks; nothing here loads a model or imports numpy.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from algorail.engine.kit.errors import ConfigInvalid, NotFound
from algorail.engine.kit.ids import NAME

MANIFEST = "model.json"
SCHEMA_VERSION = 1

Kind: TypeAlias = Literal["sklearn", "class"]
Format: TypeAlias = Literal["skops", "pickle", "code"]

DATATYPES: Mapping[str, str] = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "string": "BYTES",
}
"""Element types by their numpy name, and what the Open Inference Protocol calls them."""

_TENSOR = re.compile(r"(?P<dtype>[a-z0-9]+)(?:\[(?P<shape>[0-9*, ]*)\])?\Z")
_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}\Z")


class Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The value of one named input or output, for one row.

    Attributes:
        dtype: A key of `DATATYPES`.
        shape: Sizes of one row; -1 is any size, an empty tuple a single value.
    """

    dtype: str
    shape: tuple[int, ...] = ()

    @property
    def datatype(self) -> str:
        """Its name in the Open Inference Protocol."""
        return DATATYPES[self.dtype]

    @classmethod
    def parse(cls, text: str) -> Tensor:
        """A tensor from its short form: `float32[64]`, `float32[*]`, `int64`, `string`.

        Raises:
            ConfigInvalid: `model-tensor-invalid`, naming the choices.
        """
        found = _TENSOR.match(text.strip())
        if found is None or found["dtype"] not in DATATYPES:
            raise ConfigInvalid(
                f"tensor type == {text!r}, must be like 'float32[64]', 'float32[*]' or 'int64'",
                code="model-tensor-invalid",
                cure=f"use one of {', '.join(DATATYPES)}, with the sizes of one row in brackets",
            )
        sizes = [size.strip() for size in (found["shape"] or "").split(",") if size.strip()]
        return cls(found["dtype"], tuple(-1 if size == "*" else int(size) for size in sizes))

    def __str__(self) -> str:
        sizes = ",".join("*" if size < 0 else str(size) for size in self.shape)
        return f"{self.dtype}[{sizes}]" if self.shape else self.dtype

    def json_schema(self) -> dict[str, Any]:
        """The JSON Schema of one row's value."""
        schema: dict[str, Any] = {"type": _JSON_TYPES.get(self.dtype, "integer")}
        if self.dtype.startswith("float"):
            schema["type"] = "number"
        for size in reversed(self.shape):
            schema = {"type": "array", "items": schema}
            if size >= 0:
                schema |= {"minItems": size, "maxItems": size}
        return schema


_JSON_TYPES = {"string": "string", "bool": "boolean"}


class Trust(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The recorded act of trusting an artefact whose loading can run code.

    Attributes:
        by: Who packaged it.
        at: When, ISO 8601, UTC.
        types: What the safe loader did not know.
    """

    by: str
    at: str
    types: tuple[str, ...] = ()


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The `model.json` of a packaged model.

    Attributes:
        name: The model's name.
        kind: Which runtime serves it.
        format: How its artefact is written.
        inputs: Named inputs, one row each; their order is the order of the model's columns.
        outputs: Named outputs, one row each.
        methods: scikit-learn only: output name → method of the estimator.
        entry: Class only: `module:Class` inside `code/`.
        files: Relative path → sha256 of every file the replica reads; checked before anything is loaded.
        trust: Set if loading runs code that is not known to be safe.
        requirements: Versions of the libraries it was saved with.
        schema: Version of this document.
    """

    name: str
    kind: Kind
    format: Format
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]
    files: dict[str, str]
    methods: dict[str, str] = {}
    entry: str = ""
    trust: Trust | None = None
    requirements: dict[str, str] = {}
    schema: int = SCHEMA_VERSION

    @property
    def needs_trust(self) -> bool:
        """Whether loading it can run code: pickles, types that skops does not know, classes."""
        return (self.kind, self.format) != ("sklearn", "skops") or self.trust is not None

    def row_schema(self, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
        """The JSON Schema of one row of `inputs` or `outputs`."""
        return {
            "type": "object",
            "properties": {name: tensor.json_schema() for name, tensor in tensors.items()},
            "required": list(tensors),
            "additionalProperties": False,
        }


def tensors(texts: Mapping[str, str | Tensor]) -> dict[str, Tensor]:
    """Named tensors from their short forms.

    Raises:
        ConfigInvalid: For a name that is no identifier, a reserved one, or an unknown type.
    """
    for name in texts:
        if _FIELD.match(name) is None or name == "instances":
            raise ConfigInvalid(
                f"tensor name == {name!r}, must be an identifier of at most 64 letters, and not 'instances'",
                code="model-tensor-invalid",
            )
    if not texts:
        raise ConfigInvalid("a model needs at least one input and one output", code="model-tensor-invalid")
    return {name: text if isinstance(text, Tensor) else Tensor.parse(text) for name, text in texts.items()}


def check_name(name: str) -> str:
    """The name itself, if it is one.

    Raises:
        ConfigInvalid: `model-name-invalid`.
    """
    if NAME.match(name) is None or len(name) > 100:
        raise ConfigInvalid(
            f"model name == {name!r}, must be lower-case letters, digits, '-' and '_', a letter first",
            code="model-name-invalid",
        )
    return name


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a packaged model; no other file is read.

    Raises:
        NotFound: `model-not-packaged`, if the folder has none.
        ConfigInvalid: `model-manifest-invalid`.
    """
    file = folder / MANIFEST
    try:
        manifest = msgspec.json.decode(file.read_bytes(), type=Manifest)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(
            f"{str(folder)!r} holds no {MANIFEST}",
            code="model-not-packaged",
            cure="package the model with algorail.model_host.package.save_sklearn or save_class",
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigInvalid(
            f"{str(file)!r} is not a manifest: {error}", code="model-manifest-invalid"
        ) from error
    _check_manifest(manifest, file)
    return manifest


def _check_manifest(manifest: Manifest, file: Path) -> None:
    check_name(manifest.name)
    if (manifest.kind == "class") != (manifest.format == "code"):
        raise ConfigInvalid(
            f"{str(file)!r} has kind {manifest.kind!r} in format {manifest.format!r}",
            code="model-manifest-invalid",
        )
    for tensor in (*manifest.inputs.values(), *manifest.outputs.values()):
        if tensor.dtype not in DATATYPES or any(size < -1 for size in tensor.shape):
            raise ConfigInvalid(f"{str(file)!r} has a bad tensor: {tensor!r}", code="model-manifest-invalid")
    for path in manifest.files:
        if Path(path).is_absolute() or ".." in Path(path).parts:
            raise ConfigInvalid(
                f"{str(file)!r} names a file outside: {path!r}", code="model-manifest-invalid"
            )
    if manifest.schema != SCHEMA_VERSION:
        raise ConfigInvalid(
            f"{str(file)!r} has schema == {manifest.schema}, must be {SCHEMA_VERSION}",
            code="model-manifest-invalid",
        )
