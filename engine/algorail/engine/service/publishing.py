"""Publishing: from a plan document to an immutable version, checked as a whole and committed at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import msgspec
from sqlalchemy import Connection

from algorail.engine.kit.errors import Conflict, InvalidInput, NotFound, PlanInvalid, Problem
from algorail.engine.plan import codec
from algorail.engine.plan.check import Checked
from algorail.engine.plan.contract import contract_change
from algorail.engine.plan.document import Plan
from algorail.engine.plan.types import describe, to_schema
from algorail.engine.service.aliases import check_name, point_to
from algorail.engine.service.drafts import check_algorithm_name
from algorail.engine.service.library import Library
from algorail.engine.service.principal import Principal
from algorail.engine.service.splits import versions_of
from algorail.engine.store import algorithms, aliases, audit
from algorail.engine.store.algorithms import AlgorithmVersion, NewVersion
from algorail.engine.store.database import Database


@dataclass(frozen=True, slots=True)
class Published:
    """What a publish did.

    Attributes:
        version: The version that has this plan now.
        created: Whether it is new; the newest version published again is not.
        change: Against the version before: `first`, `same`, `compatible` or `breaking`.
        changes: What changed in the contract.
        alias: The alias that was moved to it, empty if none.
    """

    version: AlgorithmVersion
    created: bool
    change: str
    changes: tuple[str, ...] = ()
    alias: str = ""


class Publishing:
    """Checks and publishes plans. Blocking.

    Args:
        database: Where versions are kept.
        library: What plans refer to.
    """

    def __init__(self, database: Database, library: Library) -> None:
        self._database = database
        self._library = library
        self.changed: list[Callable[[str], None]] = []
        """Called with an algorithm's name when it has a new version."""

    def validate(self, by: Principal, document: Mapping[str, Any]) -> dict[str, Any]:
        """Everything that is wrong with a plan document, and the types of its nodes."""
        try:
            plan = codec.from_dict(document)
            checked = self.check(by, plan)
        except (InvalidInput, NotFound) as error:
            problems = error.problems or (Problem(code=error.code, message=error.message, cure=error.cure),)
            return {"valid": False, "problems": [problem.as_dict() for problem in problems], "types": {}}
        return {
            "valid": not checked.problems,
            "problems": [problem.as_dict() for problem in checked.problems],
            "types": {node: describe(kind) for node, kind in checked.node_types.items()},
        }

    def check(self, by: Principal, plan: Plan) -> Checked:
        """The plan's problems, those of its sub-algorithms' nesting included."""
        checked = self._library.check(plan, by)
        nesting = self._library.nesting(plan, by)
        return replace(checked, problems=(*checked.problems, *nesting)) if nesting else checked

    def publish(
        self,
        by: Principal,
        name: str,
        document: Mapping[str, Any],
        *,
        note: str = "",
        author: str = "",
        alias: str | None = None,
        allow_breaking: bool = False,
    ) -> Published:
        """Publish a plan.

        The newest version is read first and the plan is checked against it without a lock; when another
        publisher was faster, nothing is written.

        Raises:
            PlanInvalid: With every problem.
            Conflict: `published-meanwhile`; `contract-breaking` if `alias` would break its callers.
        """
        if alias is not None:
            check_name(alias)
        plan = self._valid(by, name, document)
        newest = self._newest(name)
        change, changes = _compare(newest, plan)
        plan_hash = codec.content_hash(plan)
        same = newest is not None and newest.plan_hash == plan_hash and newest.archived_ns is None
        with self._database.write() as tx:
            algorithms.ensure(tx, name, team=by.team)
            if same and newest is not None:
                version = newest
            else:
                new = NewVersion(
                    plan=msgspec.json.encode(codec.to_dict(plan)),
                    plan_hash=plan_hash,
                    contract=_contract(plan),
                    change=change,
                    bundle=plan.bundle,
                    note=note,
                    author=author or by.name,
                )
                version = _add(tx, by, name, new, newest)
            if alias is not None:
                if not allow_breaking:
                    _require_compatible(tx, name, alias, plan)
                point_to(tx, by, name, alias, version.version)
        for tell in self.changed:
            tell(name)
        return Published(version, not same, change, changes, alias or "")

    def _valid(self, by: Principal, name: str, document: Mapping[str, Any]) -> Plan:
        check_algorithm_name(name)
        plan = codec.from_dict(document)
        if plan.name != name:
            raise InvalidInput(
                f"the plan's name is {plan.name!r}, it cannot be published as {name!r}",
                code="name-mismatch",
                cure="publish it under its own name",
            )
        checked = self.check(by, plan)
        if checked.problems:
            raise PlanInvalid(f"{name!r} does not hold together", problems=checked.problems)
        return plan

    def _newest(self, name: str) -> AlgorithmVersion | None:
        with self._database.read() as tx:
            try:
                latest = algorithms.get(tx, name).latest
            except NotFound:
                return None
            return algorithms.version(tx, name, latest) if latest else None


def _add(
    tx: Connection, by: Principal, name: str, new: NewVersion, newest: AlgorithmVersion | None
) -> AlgorithmVersion:
    version = algorithms.publish(tx, name, new, latest=newest.version if newest else 0)
    audit.append(
        tx,
        actor=by.key_id,
        action="publish",
        subject=f"{name}@{version.version}",
        details={"plan_hash": new.plan_hash, "change": new.change, "bundle": new.bundle},
    )
    return version


def _compare(newest: AlgorithmVersion | None, plan: Plan) -> tuple[str, tuple[str, ...]]:
    if newest is None:
        return "first", ()
    change = contract_change(codec.from_json(newest.plan), plan)
    return change.level, tuple(map(str, change.items))


def _require_compatible(tx: Connection, name: str, alias: str, plan: Plan) -> None:
    """Refuse to move an alias whose callers would have to change. Raises `Conflict`."""
    found = next((each for each in aliases.list_all(tx, name) if each.name == alias), None)
    for number in versions_of(found) if found else ():
        change = contract_change(codec.from_json(algorithms.version(tx, name, number).plan), plan)
        if change.breaking:
            broken = "; ".join(map(str, change.breaking))
            raise Conflict(
                f"moving @{alias} from version {number} would break its callers: {broken}",
                code="contract-breaking",
                cure="keep the contract, publish without the alias, or allow the breaking change",
            )


def _contract(plan: Plan) -> bytes:
    inputs = {
        name: {"schema": to_schema(spec.type), "required": spec.required}
        for name, spec in plan.inputs.items()
    }
    return msgspec.json.encode({"inputs": inputs, "output": to_schema(plan.output)})


__all__ = ["Published", "Publishing"]
