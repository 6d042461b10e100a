"""Checks the policies of nodes and plans: numbers that make sense."""

from __future__ import annotations

import math
import re
from typing import Any

from algorail.engine.plan.check_bindings import wrong_value
from algorail.engine.plan.document import CONTROL_KINDS, Node, Plan
from algorail.engine.plan.report import Report

MAX_ATTEMPTS = 100
MAX_SECONDS = 86_400.0
MAX_ENTRIES = 1_000_000

_HASH = re.compile(r"[0-9a-f]{64}\Z")
_CHOOSERS = CONTROL_KINDS - {"each@1", "sub_algorithm@1"}
"""Control kinds that only choose among nodes: there is nothing in them to try again or to keep."""


def check_node_policies(node: Node, report: Report) -> None:
    """Retry, timeout, cache and breaker of a node."""
    if node.kind in _CHOOSERS:
        for name in ("retry", "cache", "breaker"):
            if getattr(node, name) is not None:
                report.error(
                    "policy-not-possible",
                    f"{node.kind} runs every node it pulls at most once and cannot have {name}",
                    port=name,
                    cure="put it on the nodes that it chooses from",
                )
    if node.timeout is not None:
        _within(report, "timeout", node.timeout, 0, MAX_SECONDS, above=True)
    if node.retry is not None:
        _within(report, "retry.attempts", node.retry.attempts, 1, MAX_ATTEMPTS)
        _within(report, "retry.first", node.retry.first, 0, MAX_SECONDS)
        _within(report, "retry.max", node.retry.max, 0, MAX_SECONDS)
    if node.cache is not None:
        _within(report, "cache.ttl", node.cache.ttl, 0, 365 * MAX_SECONDS, above=True)
        _within(report, "cache.size", node.cache.size, 1, MAX_ENTRIES)
    if node.breaker is not None:
        _within(report, "breaker.failures", node.breaker.failures, 1, MAX_ENTRIES)
        _within(report, "breaker.reset", node.breaker.reset, 0, MAX_SECONDS, above=True)


def check_plan_policies(plan: Plan, report: Report) -> None:
    """Deadline, record policy and bundle of a plan."""
    if plan.timeout is not None:
        _within(report, "timeout", plan.timeout, 0, MAX_SECONDS, above=True)
    _within(report, "record.rate", plan.record.rate, 0, 1)
    if plan.record.days is not None:
        _within(report, "record.days", plan.record.days, 1, 36_500)
    if plan.bundle and not _HASH.match(plan.bundle):
        wrong_value(report, "bundle", plan.bundle, "a SHA-256 in hex")


def _within(report: Report, port: str, value: Any, least: float, most: float, *, above: bool = False) -> None:
    fits = math.isfinite(value) and (least < value if above else least <= value) and value <= most
    if not fits:
        wrong_value(
            report, port, value, f"{'more than' if above else 'at least'} {least:g} and at most {most:g}"
        )
