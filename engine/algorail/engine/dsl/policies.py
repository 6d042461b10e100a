"""Options of a node: how it is named, tried again, timed out, remembered and recorded."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypedDict

from algorail.engine.dsl.misuse import misuse
from algorail.engine.plan.document import Breaker, Cache, NodeRecordMode, Retry


class NodePolicies(TypedDict, total=False):
    """What may be said of a node; see `plan.document.Node` for the meaning of each."""

    name: str
    retry: Retry | int
    timeout: float
    cache: Cache
    breaker: Breaker
    fallback: Any
    record: NodeRecordMode
    doc: str
    concurrency: int
    """For `each`: how many items run at once."""


POLICIES = frozenset(NodePolicies.__annotations__)
"""Names that a call takes as options unless the block has a port of that name."""


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


_RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "name": (lambda value: isinstance(value, str), "a string"),
    "retry": (lambda value: isinstance(value, Retry) and value.attempts >= 1, "Retry(attempts=3) or >= 1"),
    "timeout": (_positive, "seconds > 0"),
    "cache": (lambda value: isinstance(value, Cache), "Cache(ttl=60)"),
    "breaker": (lambda value: isinstance(value, Breaker), "Breaker(failures=5)"),
    "record": (lambda value: value in {"full", "digest", "off"}, "'full', 'digest' or 'off'"),
    "doc": (lambda value: isinstance(value, str), "a string"),
}  # fmt: skip


def node_fields(policies: NodePolicies) -> dict[str, Any]:
    """The fields of a `Node` for these policies, without name and fallback.

    Raises:
        PlanInvalid: For an option that does not exist or a value it cannot have.
    """
    given: dict[str, Any] = dict(policies)
    if "concurrency" in given:
        raise misuse(
            "node-option",
            "concurrency= is an option of each only",
            "write each(options(block, concurrency=4), items)",
        )
    unknown = [name for name in given if name not in POLICIES]
    if unknown:
        raise misuse(
            "node-option", f"no option {', '.join(unknown)}", f"options are: {', '.join(sorted(POLICIES))}"
        )
    retry = given.get("retry")
    if isinstance(retry, int) and not isinstance(retry, bool):
        given["retry"] = Retry(attempts=retry)
    for name, (right, expected) in _RULES.items():
        if name in given and not right(given[name]):
            raise misuse(
                "node-option", f"{name} == {given[name]!r}, must be {expected}", f"write {name}={expected}"
            )
    return {name: value for name, value in given.items() if name not in {"name", "fallback"}}
