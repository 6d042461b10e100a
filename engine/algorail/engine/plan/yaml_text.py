"""YAML for people, in its safe and unsurprising part.

Anchors, aliases (and with them the "billion laughs"), tags and repeated keys are refused, `<<` is a key
as any. Only `true` and `false` are booleans and only JSON's numbers are numbers: `no`, `1_000`, `012` and
dates are text.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from typing import Any, ClassVar

import yaml

from algorail.engine.kit.errors import PlanInvalid, Problem

MAX_DEPTH = 100
"""How deep a YAML text may nest."""

_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\Z")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)\Z")
_BASE: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Refused(yaml.MarkedYAMLError):
    """Valid YAML that is not taken here."""

    def __init__(self, message: str, mark: Any) -> None:
        super().__init__(None, None, message, mark)


class _Loader(_BASE):  # type: ignore[misc]
    """The safe loader with JSON's scalars only."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """As the base, but a key that stands twice is an error."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise _Refused(f"the key {key.value!r} stands twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)  # type: ignore[no-any-return]


class _Dumper(_DUMPER):  # type: ignore[misc]
    """The safe dumper that quotes what other YAML readers would take for something else."""

    def ignore_aliases(self, _data: Any) -> bool:
        """Writes values that occur twice out in full."""
        return True


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"(?:null|~|)\Z"), ["n", "~", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"(?:true|false)\Z"), ["t", "f"])
for _each in (_Loader, _Dumper):
    _each.add_implicit_resolver("tag:yaml.org,2002:int", _INTEGER, list("-0123456789"))
    _each.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-0123456789"))
_Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: float(loader.construct_scalar(node)))


def load_yaml(raw: bytes) -> Any:
    """The plain data in a YAML text.

    Raises:
        PlanInvalid: If it is not YAML of the safe part; the problem has line and column.
    """
    try:
        text = raw.decode()
        _refuse_tricks(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - derived from the safe loader
    except UnicodeDecodeError as error:
        raise _invalid(f"byte {error.start} is not UTF-8") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise _invalid(error.problem or str(error), place) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise _invalid(str(error)) from error


def _invalid(message: str, place: str = "") -> PlanInvalid:
    problem = Problem(code="invalid-yaml", message=message, port=place)
    return PlanInvalid("the plan is not valid YAML", problems=[problem])


def _refuse_tricks(text: str) -> None:
    depth = 0
    events: Iterator[Any] = yaml.parse(text, Loader=_BASE)
    for event in events:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _Refused("anchors and aliases are not taken; write it out", event.start_mark)
        if getattr(event, "tag", None):
            raise _Refused(f"the tag {event.tag!r} is not taken", event.start_mark)
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                raise _Refused(f"it nests more than {MAX_DEPTH} deep", event.start_mark)
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            depth -= 1


def dump_yaml(document: Any) -> str:
    """Plain data as YAML, keys in their order.

    >>> print(dump_yaml({"name": "faq", "answer": "no", "k": 5}), end="")
    name: faq
    answer: 'no'
    k: 5
    """
    return yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, default_flow_style=False
    )
