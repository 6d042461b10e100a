"""Builds the blocks of a plan and wraps them in what their policies ask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from algorail.engine.kind import BlockKind, Effect, Kinds, Services
from algorail.engine.kit.errors import ConfigInvalid, LimitExceeded, NotFound, PlanInvalid, Problem
from algorail.engine.plan.document import CONTROL_KINDS, Node, Plan
from algorail.engine.run.calls import Call, call_of
from algorail.engine.run.control import Algorithms, each_call, sub_algorithm_call
from algorail.engine.run.policies import policed, unsafe_cache
from algorail.engine.run.regions import LAZY, Regions


def prepare_calls(
    plan: Plan, kinds: Kinds, services: Services, algorithms: Algorithms | None
) -> dict[str, Call]:
    """How each node is called; control kinds without a call of their own are left out."""
    calls: dict[str, Call] = {}
    for index, node in enumerate(plan.nodes):
        if node.kind in LAZY:
            _refuse_policies(node)
            continue
        call = _bare_call(node, index, kinds, services, algorithms)
        calls[node.id] = policed(node, index, call, services)
    return calls


def refusals(plan: Plan, kinds: Kinds) -> list[Problem]:
    """Why a plan without mistakes cannot be compiled, as far as that shows before a block is built."""
    problems = [
        unsafe_cache(node.id)
        for node in plan.nodes
        if node.cache is not None
        and node.kind not in CONTROL_KINDS
        and _writes(kinds.get(node.kind), node.config)
    ]
    try:
        Regions(plan)
    except LimitExceeded as error:
        problems.append(Problem(code=error.code, message=error.message, cure=error.cure))
    return problems


def _bare_call(
    node: Node, index: int, kinds: Kinds, services: Services, algorithms: Algorithms | None
) -> Call:
    if node.kind == "sub_algorithm@1":
        return _sub_algorithm(node.id, index, node.config, algorithms)
    if node.kind == "each@1":
        key, config = str(node.config["kind"]), node.config.get("config", {})
        if key == "sub_algorithm@1":
            inner = _sub_algorithm(node.id, index, config, algorithms)
        else:
            inner = block_call(key, config, kinds, services, threaded=False)
        return each_call(node.id, node.config, inner)
    return block_call(node.kind, node.config, kinds, services, threaded=node.timeout is not None)


def _sub_algorithm(node: str, index: int, config: Mapping[str, Any], algorithms: Algorithms | None) -> Call:
    name, version = str(config["algorithm"]), str(config.get("version", "@prod"))
    if algorithms is None:
        raise NotFound(f"node {node!r} calls algorithm {name!r}, but there is nowhere to look for it")
    return sub_algorithm_call(node, index, name, version, algorithms)


def block_call(
    key: str, config: Mapping[str, Any], kinds: Kinds, services: Services, *, threaded: bool
) -> Call:
    """A configured block's call. `threaded` puts a sync block into a thread, so that it can be timed out."""
    kind = kinds.get(key)
    settings = config_of(kind, config)
    runner = kind.build(settings, services)
    if threaded and not runner.is_async:
        runner = replace(runner, in_thread=True)
    effect, idempotent = _effect(kind, settings)
    return call_of(runner, services, effect=effect, idempotent=idempotent)


def _writes(kind: BlockKind, config: Mapping[str, Any]) -> bool:
    return _effect(kind, config_of(kind, config))[0] is Effect.WRITE


def _effect(kind: BlockKind, settings: Any) -> tuple[Effect, bool]:
    return kind.effect_of(settings) if kind.effect_of else (kind.effect, kind.idempotent)


def config_of(kind: BlockKind, config: Mapping[str, Any]) -> Any:
    """The block's own configuration object.

    Raises:
        ConfigInvalid: If it does not fit the kind's schema.
    """
    try:
        return msgspec.convert(dict(config), kind.config)
    except msgspec.ValidationError as error:
        raise ConfigInvalid(f"configuration of {kind.key}: {error}") from None


def _refuse_policies(node: Node) -> None:
    given = [name for name in ("retry", "cache", "breaker") if getattr(node, name) is not None]
    if given:
        problem = Problem(
            code="policy-not-possible",
            message=f"{node.kind} runs every node it pulls at most once and cannot have {', '.join(given)}",
            node=node.id,
            cure="set it on the blocks in its branches",
        )
        raise PlanInvalid(f"node {node.id!r} has a policy that {node.kind} cannot keep", problems=[problem])
