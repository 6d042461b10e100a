"""How domain objects are written in answers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from algorail.engine.record.store import RunHead
from algorail.engine.service.publishing import Published
from algorail.engine.service.splits import percentages, split_of
from algorail.engine.store.algorithms import Algorithm, AlgorithmVersion
from algorail.engine.store.aliases import Alias
from algorail.engine.store.audit import AuditEntry
from algorail.engine.store.bundles import StoredBundle
from algorail.engine.store.drafts import Draft
from algorail.engine.store.keys import ApiKey


def moment(ns: int | None) -> str | None:
    """A time as RFC 3339 in UTC, with milliseconds."""
    if ns is None:
        return None
    return datetime.fromtimestamp(ns / 1e9, UTC).isoformat(timespec="milliseconds")


def algorithm(found: Algorithm, aliases: list[Alias], doc: str = "") -> dict[str, Any]:
    """An algorithm with its aliases."""
    return {
        "name": found.name,
        "team": found.team,
        "doc": doc,
        "latest_version": found.latest or None,
        "aliases": [alias(each) for each in aliases],
        "created": moment(found.created_ns),
        "archived": moment(found.archived_ns),
    }


def alias(found: Alias) -> dict[str, Any]:
    """An alias: its version, or the weights of its split in per cent."""
    table = split_of(found)
    return {
        "alias": found.name,
        "version": found.version,
        "weights": None if table is None else percentages(table),
        "epoch": found.epoch,
        "author": found.author,
        "updated": moment(found.updated_ns),
    }


def version(found: AlgorithmVersion, *, with_plan: bool = False) -> dict[str, Any]:
    """A version; its plan on demand."""
    document: dict[str, Any] = {
        "algorithm": found.algorithm,
        "version": found.version,
        "plan_hash": found.plan_hash,
        "change": found.change,
        "bundle": found.bundle,
        "note": found.note,
        "author": found.author,
        "created": moment(found.created_ns),
        "archived": moment(found.archived_ns),
    }
    if with_plan:
        document["plan"] = msgspec.json.decode(found.plan)
    return document


def published(done: Published) -> dict[str, Any]:
    """What a publish did."""
    return {
        "version": done.version.version,
        "plan_hash": done.version.plan_hash,
        "created": done.created,
        "contract": {"kind": done.change, "changes": list(done.changes)},
        "alias": done.alias,
    }


def draft(found: Draft) -> dict[str, Any]:
    """A draft."""
    return {
        "algorithm": found.algorithm,
        "revision": found.revision,
        "plan": msgspec.json.decode(found.plan),
        "author": found.author,
        "updated": moment(found.updated_ns),
    }


def key(found: ApiKey) -> dict[str, Any]:
    """A key, without its text."""
    return {
        "id": found.id,
        "name": found.name,
        "scope": found.scope,
        "team": found.team,
        "created": moment(found.created_ns),
        "revoked": moment(found.revoked_ns),
        "last_used": moment(found.last_used_ns),
    }


def audit_entry(found: AuditEntry) -> dict[str, Any]:
    """A line of the audit log."""
    return {
        "id": found.id,
        "at": moment(found.at_ns),
        "actor": found.actor,
        "action": found.action,
        "subject": found.subject,
        "details": dict(found.details),
    }


def bundle(found: StoredBundle) -> dict[str, Any]:
    """A code bundle, without its bytes."""
    return {
        "bundle": found.hash,
        "manifest": msgspec.json.decode(found.manifest),
        "size": found.size,
        "author": found.author,
        "created": moment(found.created_ns),
    }


def run_head(found: RunHead) -> dict[str, Any]:
    """A run in a list."""
    return {**found._asdict(), "started": moment(found.started_ns)}


__all__ = [
    "algorithm",
    "alias",
    "audit_entry",
    "bundle",
    "draft",
    "key",
    "moment",
    "published",
    "run_head",
    "version",
]
