"""Plain JSON by the model's own schema: one row `{"pixels": […]}`, or many `{"instances": [{…}, …]}`."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import orjson

from algorail.engine.kit.errors import InvalidInput
from algorail.model_host.serve.tensors import Columns, check_rows, row_type, to_array, to_json
from algorail.model_host.spec import Manifest

_MANY = re.compile(rb'\s*\{\s*"instances"\s*:')


class PlainJson:
    """Reads and writes plain bodies for one model.

    Args:
        manifest: The model's tensors.
        max_rows: Rows of one request.
    """

    def __init__(self, manifest: Manifest, max_rows: int) -> None:
        self._manifest = manifest
        fields = [(name, row_type(tensor)) for name, tensor in manifest.inputs.items()]
        row = msgspec.defstruct("Row", fields, forbid_unknown_fields=True)
        rows = msgspec.defstruct("Rows", [("instances", list[row])], forbid_unknown_fields=True)  # type: ignore[valid-type]
        self._row: msgspec.json.Decoder[Any] = msgspec.json.Decoder(row)
        self._rows: msgspec.json.Decoder[Any] = msgspec.json.Decoder(rows)
        self._max_rows = max_rows

    def decode(self, body: bytes) -> tuple[bool, Columns, int]:
        """Whether many rows were sent, the columns, and the number of rows.

        Raises:
            InvalidInput: With the path of the value that is wrong.
        """
        many = _MANY.match(body) is not None
        try:
            rows = self._rows.decode(body).instances if many else [self._row.decode(body)]
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(str(error), code="request-invalid") from None
        if not 1 <= len(rows) <= self._max_rows:
            raise InvalidInput(
                f"instances == {len(rows)} rows, must be 1 to {self._max_rows}", code="tensor-shape"
            )
        columns: Columns = {}
        for name, tensor in self._manifest.inputs.items():
            column = to_array(name, tensor.dtype, [getattr(row, name) for row in rows])
            check_rows(name, tensor, column.shape)
            columns[name] = column
        return many, columns, len(rows)

    def encode(self, many: bool, outputs: Columns) -> bytes:
        """One object for one row, `{"predictions": [...]}` for many."""
        columns = [(name, to_json(column)) for name, column in outputs.items()]
        rows = len(next(iter(outputs.values())))
        found = [{name: column[index] for name, column in columns} for index in range(rows)]
        return orjson.dumps({"predictions": found} if many else found[0], option=orjson.OPT_SERIALIZE_NUMPY)

    def metadata(self, version: str) -> dict[str, Any]:
        """Name, version and the JSON Schemas of a row and of its answer."""
        return {
            "name": self._manifest.name,
            "version": version,
            "input": self._manifest.row_schema(self._manifest.inputs),
            "output": self._manifest.row_schema(self._manifest.outputs),
        }
