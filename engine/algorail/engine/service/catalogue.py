"""What there is: algorithms, versions, their differences and explanations, kinds of blocks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection

from algorail.engine.kind import BlockKind
from algorail.engine.kit.errors import AlgorailError, Conflict
from algorail.engine.plan import codec
from algorail.engine.plan.contract import contract_change
from algorail.engine.plan.diff import Change, diff
from algorail.engine.plan.signature import Signature
from algorail.engine.plan.types import describe, to_schema
from algorail.engine.registry.kinds import InstalledKinds
from algorail.engine.run.prepare import config_of
from algorail.engine.service.explaining import explain
from algorail.engine.service.loading import Loader
from algorail.engine.service.principal import Principal
from algorail.engine.service.splits import versions_of
from algorail.engine.service.versions import resolve
from algorail.engine.store import algorithms, aliases, audit
from algorail.engine.store.algorithms import Algorithm, AlgorithmVersion
from algorail.engine.store.aliases import Alias
from algorail.engine.store.database import Database


@dataclass(frozen=True, slots=True)
class Item:
    """An algorithm with its aliases and the documentation of its newest version."""

    algorithm: Algorithm
    aliases: list[Alias]
    doc: str


class Catalogue:
    """Reads and archives. Blocking.

    Args:
        database: Where everything stands.
        installed: The installed kinds.
        loader: Compiles what is to be explained.
    """

    def __init__(self, database: Database, installed: InstalledKinds, loader: Loader) -> None:
        self._database = database
        self._installed = installed
        self._loader = loader
        self.changed: list[Callable[[str], None]] = []
        """Called with an algorithm's name when something of it was archived."""

    def list_all(self, by: Principal, *, archived: bool = False) -> list[Item]:
        """The algorithms of the caller's team, by name."""
        with self._database.read() as tx:
            return [_item(tx, found) for found in algorithms.list_all(tx, team=by.team, archived=archived)]

    def get(self, name: str) -> Item:
        """One algorithm. Raises `NotFound`."""
        with self._database.read() as tx:
            return _item(tx, algorithms.get(tx, name))

    def archive(self, by: Principal, name: str) -> None:
        """Take an algorithm out of use. Raises `NotFound`."""
        with self._database.write() as tx:
            algorithms.archive(tx, name)
            audit.append(tx, actor=by.key_id, action="archive", subject=name)
        self._tell(name)

    def versions(self, name: str) -> Sequence[AlgorithmVersion]:
        """Every version, newest first. Raises `NotFound`."""
        with self._database.read() as tx:
            return algorithms.versions(tx, name)

    def version(self, name: str, spec: str) -> AlgorithmVersion:
        """The version that a number or `@alias` means now. Raises `NotFound`."""
        with self._database.read() as tx:
            return resolve(tx, name, spec)

    def archive_version(self, by: Principal, name: str, spec: str) -> AlgorithmVersion:
        """Take a version out of use.

        Raises:
            Conflict: `version-in-use`, while an alias may answer with it.
        """
        with self._database.write() as tx:
            found = resolve(tx, name, spec)
            users = [each.name for each in aliases.list_all(tx, name) if found.version in versions_of(each)]
            if users:
                raise Conflict(
                    f"version {found.version} of {name!r} answers for @{', @'.join(users)}",
                    code="version-in-use",
                    cure="move the aliases first",
                )
            archived = algorithms.archive_version(tx, name, found.version)
            audit.append(tx, actor=by.key_id, action="archive", subject=f"{name}@{found.version}")
        self._tell(name)
        return archived

    def diff(self, name: str, before: str, after: str) -> dict[str, Any]:
        """What differs between two versions, and what callers would notice."""
        with self._database.read() as tx:
            first, second = resolve(tx, name, before), resolve(tx, name, after)
        plans = codec.from_json(first.plan), codec.from_json(second.plan)
        change = contract_change(*plans)
        return {
            "before": first.version,
            "after": second.version,
            "changes": [_change(each) for each in diff(*plans).changes],
            "contract": {"kind": change.level, "changes": list(map(str, change.items))},
        }

    def explain(self, name: str, spec: str) -> dict[str, Any]:
        """What a version does: text, critical path and generated code."""
        version = self.version(name, spec).version
        loaded = self._loader.load(name, version)
        return {"algorithm": name, "version": version, **explain(loaded.plan, loaded.compiled.source)}

    def blocks(self) -> dict[str, Any]:
        """The installed kinds, and those that do not load with the reason."""
        return {
            "blocks": [_kind(kind) for kind in self._installed.all()],
            "broken": self._installed.broken(),
        }

    def _tell(self, name: str) -> None:
        for tell in self.changed:
            tell(name)


def _item(tx: Connection, found: Algorithm) -> Item:
    doc = ""
    if found.latest:
        doc = codec.from_json(algorithms.version(tx, found.name, found.latest).plan).doc
    return Item(found, list(aliases.list_all(tx, found.name)), doc.partition("\n")[0])


def _change(change: Change) -> dict[str, Any]:
    where = ".".join(part for part in (change.node, change.field) if part)
    return {"change": change.kind, "where": where, "before": change.before, "after": change.after}


def _kind(kind: BlockKind) -> dict[str, Any]:
    return {
        "kind": kind.key,
        "name": kind.name,
        "version": kind.version,
        "summary": kind.summary,
        "category": kind.category,
        "effect": kind.effect.value,
        "idempotent": kind.idempotent,
        "doc": kind.doc,
        "config": msgspec.json.schema(kind.config),
        "ports": _ports(kind),
    }


def _ports(kind: BlockKind) -> dict[str, Any] | None:
    """The ports of a kind whose configuration may be empty; None where they depend on it."""
    try:
        signature: Signature = kind.signature(config_of(kind, {}))
    except AlgorailError:
        return None
    return {
        "inputs": {
            name: {"schema": to_schema(port.type), "type": describe(port.type), "required": port.required}
            for name, port in signature.inputs.items()
        },
        "output": {"schema": to_schema(signature.output), "type": describe(signature.output)},
    }


__all__ = ["Catalogue", "Item"]
