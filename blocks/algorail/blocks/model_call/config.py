"""What a `model_call` is configured with, and the ports that follow from it."""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias

import msgspec

from algorail.blocks.model_call.tensors import TensorPort, tensor_of
from algorail.engine.kit.errors import ConfigInvalid, Problem
from algorail.engine.plan.signature import Port, Signature
from algorail.engine.plan.types import ListType, ScalarType, Type, VectorType, describe, from_schema

Protocol: TypeAlias = Literal["oip_v2", "json", "openai_chat", "openai_embeddings"]

PATHS: dict[Protocol, str] = {
    "oip_v2": "/v2/models/{model}/infer",
    "json": "/v1/models/{model}/predict",
    "openai_chat": "/v1/chat/completions",
    "openai_embeddings": "/v1/embeddings",
}


_PATH = re.compile(r"/[A-Za-z0-9._~/{}:-]*\Z")
_VERSION = re.compile(r"(?!\.+\Z)[A-Za-z0-9._-]+\Z")


class ModelCallConfig(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """Configuration of `model_call@1`.

    Attributes:
        model: Name that the operator's settings or the model host know.
        url: Base address instead; the operator must have allowed it.
        version: Version of the model, in the path of `oip_v2`.
        protocol: How to speak to it.
        inputs: Port → JSON Schema, of one row if `batch`.
        output: JSON Schema of the output, of one row if `batch`; empty is anything.
        tensors: `oip_v2`: port → name, datatype and shape where they differ from the port's.
        output_tensors: `oip_v2`: field of an object output → tensor; `""` → the tensor of an output
            that is no object.
        batch: Every input is a list of rows, and so is the output.
        params: Fixed fields of the request body, such as `temperature`.
        path: Path of the request, where it is not the protocol's own; `{model}` is replaced.
        select: `json`: keys and positions that lead to the answer inside the response.
        api_key: Reference to a secret, sent as a bearer token.
        stream: `openai_chat`: pass the text on as it comes.
        timeout: Seconds for one attempt; the deadline of the run counts as well.
        retries: Further attempts after one that certainly changed nothing.
    """

    model: str = ""
    url: str = ""
    version: str = ""
    protocol: Protocol = "oip_v2"
    inputs: dict[str, dict[str, Any]] = {}
    output: dict[str, Any] = {}
    tensors: dict[str, TensorPort] = {}
    output_tensors: dict[str, str] = {}
    batch: bool = False
    params: dict[str, Any] = {}
    path: str = ""
    select: list[str | int] = []
    api_key: str = ""
    stream: bool = False
    timeout: float = 30.0
    retries: int = 2

    def row_inputs(self) -> dict[str, Type]:
        """The type of every port, of one row if `batch`."""
        if self.inputs:
            return {port: from_schema(schema) for port, schema in self.inputs.items()}
        if self.protocol == "openai_chat":
            return {"prompt": ScalarType("string")}
        return {"text": ScalarType("string")} if self.protocol == "openai_embeddings" else {}

    def row_output(self) -> Type:
        """The type of the output, of one row if `batch`."""
        if self.output:
            return from_schema(self.output)
        if self.protocol == "openai_chat":
            return ScalarType("string")
        return VectorType() if self.protocol == "openai_embeddings" else from_schema({})

    def request_path(self, model: str) -> str:
        """The path of a request for a model of that name."""
        path = self.path or PATHS[self.protocol]
        if self.version and not self.path and self.protocol == "oip_v2":
            path = f"/v2/models/{{model}}/versions/{self.version}/infer"
        return path.replace("{model}", model)


def signature(config: ModelCallConfig) -> Signature:
    """The ports of a configured model call.

    Raises:
        ConfigInvalid: With every problem.
    """
    problems = _problems(config)
    if problems:
        raise ConfigInvalid("the configuration of model_call is wrong", problems=problems)
    inputs, output = config.row_inputs(), config.row_output()
    if config.batch:
        return Signature({name: Port(ListType(kind)) for name, kind in inputs.items()}, ListType(output))
    return Signature({name: Port(kind) for name, kind in inputs.items()}, output)


def _problems(config: ModelCallConfig) -> list[Problem]:
    problems: list[Problem] = []

    def check(wrong: bool, field: str, message: str, cure: str = "") -> None:
        if wrong:
            problems.append(Problem(code="config-invalid", port=field, message=message, cure=cure))

    check(bool(config.model) == bool(config.url), "model", "give either model or url")
    check(not 0 < config.timeout <= 3600, "timeout", f"timeout == {config.timeout}, must be > 0 and <= 3600")
    check(not 0 <= config.retries <= 10, "retries", f"retries == {config.retries}, must be 0 to 10")
    odd_path = bool(config.path) and (_PATH.match(config.path) is None or ".." in config.path)
    check(odd_path, "path", f"path == {config.path!r}, must start with '/' and be a plain path")
    odd_version = bool(config.version) and _VERSION.match(config.version) is None
    check(odd_version, "version", f"version == {config.version!r}, must be letters, digits, '.', '_' and '-'")
    check(config.stream and config.protocol != "openai_chat", "stream", "only openai_chat streams")
    check(config.batch and config.protocol == "openai_chat", "batch", "openai_chat takes one conversation")
    ports = config.row_inputs()
    check(
        not ports, "inputs", f"{config.protocol} needs at least one input", "name the ports and their types"
    )
    for port in sorted({*config.tensors} - {*ports}):
        check(True, f"tensors.{port}", f"there is no input {port!r}")
    if config.protocol == "oip_v2":
        for port, kind in ports.items():
            known = config.tensors.get(port, TensorPort()).datatype or tensor_of(kind) is not None
            check(not known, f"inputs.{port}", f"{describe(kind)} is no tensor",
                  "use numbers, strings, booleans, lists of them or Vector")  # fmt: skip
    if config.protocol == "openai_embeddings":
        check(len(ports) > 1, "inputs", "openai_embeddings takes one input")
    return problems
