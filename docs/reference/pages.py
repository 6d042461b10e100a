"""Every generated file with its text. Nothing here writes; `docs.reference` does, and a test compares."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from algorail.engine.api.problems import status_of
from algorail.engine.kind import BlockKind
from algorail.engine.kit import errors
from algorail.engine.kit.errors import AlgorailError
from algorail.engine.plan.document import CONTROL_KINDS
from algorail.engine.plan.schema import document_schema
from algorail.engine.plan.types import describe
from algorail.engine.registry.kinds import InstalledKinds
from algorail.engine.service.settings import EngineSettings, Settings
from docs.reference import cli_page, metrics_page, numbers, pictures
from docs.reference.codes import ROOT, Found, error_codes
from docs.reference.markdown import cell, page, table

HERE = Path(__file__).parent
IMAGES = ROOT / "docs" / "images"
README = ROOT / "README.md"


def generated() -> dict[Path, str]:
    """Text by file."""
    schema = json.dumps(document_schema(), indent=2, ensure_ascii=False) + "\n"
    return {
        HERE / "cli.md": cli_page.text(),
        HERE / "errors.md": errors_page(),
        HERE / "settings.md": settings_page(),
        HERE / "metrics.md": metrics_page.text(),
        HERE / "plan-schema.json": schema,
        HERE / "plan.md": plan_page(document_schema()),
        HERE / "blocks.md": blocks_page(),
        HERE / "measured.md": numbers.text(),
        IMAGES / "read_digit.svg": pictures.read_digit(),
        README: numbers.within(README.read_text(encoding="utf-8")),
    }


def meanings() -> dict[str, str]:
    """What each code means."""
    return tomllib.loads((HERE / "error_meanings.toml").read_text(encoding="utf-8"))


def errors_page() -> str:
    """Every error code."""
    told = meanings()
    rows = [(f"`{code}`", _status(code, found), told.get(code, "")) for code, found in error_codes().items()]
    return page(
        "Error codes",
        (
            "An error has a stable `code`, a message (what was expected, what came, the choices) and a "
            "cure. Over REST it is a problem document (RFC 9457); its `problems` list everything that was "
            "wrong at once, each with a code of its own. The status is that of a REST answer whose own code "
            "it is; *problem* stands for codes that come inside `problems`, *local* for those of the command "
            "line, the DSL and the model host."
        ),
        table(("code", "status", "what it means, what to do"), rows),
    )


def _status(code: str, found: Found) -> str:
    statuses = set()
    for name in found.raised:
        kind = getattr(errors, name, None)
        if isinstance(kind, type) and issubclass(kind, AlgorailError):
            more = {"node": ""} if kind is errors.BlockFailed else {}
            statuses.add(status_of(kind("", code=code, **more)))
    if all(_is_local(file) for file in found.files):
        return "local"
    return ", ".join(map(str, sorted(statuses))) or "problem"


def _is_local(file: str) -> bool:
    return file.startswith(("engine/algorail/engine/cli/", "engine/algorail/engine/dsl/", "model_host/"))


def settings_page() -> str:
    """Every setting with the reason of its default."""
    rows = []
    for name, field in EngineSettings.model_fields.items():
        default = json.dumps(field.get_default(call_default_factory=True), default=list)
        rows.append((f"`{name}`", f"`{default}`", cell(field.description or "")))
    home = Settings.model_fields["home"].description or ""
    return page(
        "Settings",
        (
            "A setting comes from the environment, as `ALGORAIL_ENGINE__<NAME>`, else from the table "
            "`[engine]` of `settings.toml` in the state folder, else it has its default. Lists and tables "
            "are JSON in the environment."
        ),
        f"`ALGORAIL_HOME`: {home}",
        table(("setting", "default", "what it is, and why the default"), rows),
        (
            "Commands find the server through `server.json` in the state folder, or through `ALGORAIL_URL` "
            "and `ALGORAIL_API_KEY`."
        ),
    )


def plan_page(schema: Mapping[str, Any]) -> str:
    """The plan document, from its schema."""
    parts = [
        (
            "A plan is the whole algorithm as data: JSON, or YAML for people. Its canonical bytes are "
            "hashed, and the hash is the identity of a version; `ui` stays outside. The schema says the "
            "shape; what must hold beyond it is checked by `algorail validate`. Machine-readable: "
            "[plan-schema.json](plan-schema.json)."
        ),
        "## The plan",
        _fields(schema),
        "## A node",
        _fields(schema["$defs"]["node"]),
        "## A binding",
        "What a port gets, exactly one of:",
        "\n".join(f"- {_shape(form)}" for form in schema["$defs"]["binding"].get("oneOf", [])),
    ]
    return page("The plan document", *parts)


def _fields(schema: Mapping[str, Any]) -> str:
    needed = schema.get("required", [])
    rows = [
        (f"`{name}`", "yes" if name in needed else "", _shape(part))
        for name, part in schema["properties"].items()
    ]
    return table(("field", "required", "value"), rows)


def _shape(part: Mapping[str, Any]) -> str:
    """A piece of schema in a few words."""
    for word, told in _SHAPES.items():
        if isinstance(part.get(word), Mapping | list | str):
            return told(part[word])
    if "const" in part:
        return f"`{json.dumps(part['const'])}`"
    kinds = part.get("type", "any JSON value")
    return cell(" or ".join(kinds) if isinstance(kinds, list) else kinds) + _limits(part)


def _one_of(forms: list[Any]) -> str:
    return " or ".join(dict.fromkeys(map(_shape, forms)))


_SHAPES: Mapping[str, Callable[[Any], str]] = {
    "$ref": lambda path: str(path).rpartition("/")[2],
    "enum": lambda items: "one of " + ", ".join(f"`{json.dumps(item)}`" for item in items),
    "properties": lambda parts: (
        "object: " + "; ".join(f"`{name}`: {_shape(each)}" for name, each in parts.items())
    ),
    "items": lambda part: f"list of {_shape(part)}",
    "additionalProperties": lambda part: f"object of {_shape(part)} by name",
    "oneOf": _one_of,
    "anyOf": _one_of,
}
"""How a piece of schema with this keyword is told; the first that fits counts."""


def _limits(part: Mapping[str, Any]) -> str:
    words = {
        "minimum": "≥",
        "exclusiveMinimum": ">",
        "maximum": "≤",
        "maxItems": "at most",
        "pattern": "matching",
    }
    told = [
        f"{sign} `{cell(str(part[word]))}`" if word == "pattern" else f"{sign} {part[word]:,}"
        for word, sign in words.items()
        if word in part
    ]
    return f" {', '.join(told)}" if told else ""


def blocks_page() -> str:
    """The installed kinds."""
    kinds = [kind for kind in InstalledKinds().all() if kind.build.__module__.startswith("algorail.")]
    rows = [(f"[`{kind.key}`](#{kind.name})", kind.effect.value, cell(kind.summary)) for kind in kinds]
    controls = ", ".join(f"`{name}`" for name in sorted(CONTROL_KINDS))
    return page(
        "Blocks",
        (
            "The blocks that come with Algorail. Each takes its configuration where it is made, in Python as "
            "a function of the block's name; its ports follow from it."
        ),
        table(("block", "effect", "what it does"), rows),
        (
            f"The engine itself runs {controls}: see [condition](../blocks/condition.md) and [writing "
            "algorithms](../dsl.md)."
        ),
        *(part for kind in kinds for part in _block(kind)),
    )


def _block(kind: BlockKind) -> Iterator[str]:
    yield f"## {kind.name}"
    guide = ROOT / "docs" / "blocks" / f"{kind.name}.md"
    more = f" Guide: [{kind.name}](../blocks/{kind.name}.md)." if guide.exists() else ""
    yield f"{kind.summary}{more}"
    schema = msgspec.json.schema(kind.config)
    definitions = schema.get("$defs", {})
    config = definitions.get(schema.get("$ref", "").rpartition("/")[2], schema)
    needed = config.get("required", [])
    rows = [
        (f"`{name}`", "yes" if name in needed else _default(part), _shape(part))
        for name, part in config.get("properties", {}).items()
    ]
    yield table(("configuration", "required or default", "value"), rows)
    yield from _ports(kind)


def _default(part: Mapping[str, Any]) -> str:
    return f"`{cell(json.dumps(part['default'], ensure_ascii=False))}`" if "default" in part else ""


def _ports(kind: BlockKind) -> Iterator[str]:
    try:
        signature = kind.signature(msgspec.convert({}, kind.config))
    except (AlgorailError, msgspec.ValidationError):
        yield "Ports: as the configuration declares."
        return
    ports = ", ".join(f"`{name}`: {describe(port.type)}" for name, port in signature.inputs.items())
    yield f"Ports: {ports or 'as the configuration declares'}; output: {describe(signature.output)}."
