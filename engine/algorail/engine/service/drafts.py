"""Drafts: the one editable copy of an algorithm. It need not be valid; only its JSON must be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from algorail.engine.kit.errors import Conflict, InvalidInput
from algorail.engine.kit.ids import NAME
from algorail.engine.service.principal import Principal
from algorail.engine.store import algorithms, drafts
from algorail.engine.store.database import Database
from algorail.engine.store.drafts import Draft


class Drafts:
    """The drafts of all algorithms. Blocking.

    Args:
        database: Where they stand.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> Draft:
        """The draft. Raises `NotFound`."""
        with self._database.read() as tx:
            return drafts.get(tx, name)

    def save(self, by: Principal, name: str, plan: Mapping[str, Any], revision: int | None) -> Draft:
        """Write a draft; the first one of a new name makes the algorithm.

        Args:
            revision: The revision that was edited, None if the writer has seen none.

        Raises:
            Conflict: `etag-required` if there is a draft that the writer has not seen, `draft-changed`.
        """
        check_algorithm_name(name)
        with self._database.write() as tx:
            algorithms.ensure(tx, name, team=by.team)
            if revision is None and drafts.find(tx, name) is not None:
                raise _unseen(name)
            text = msgspec.json.encode(plan)
            return drafts.save(tx, name, text, revision=revision or 0, author=by.key_id)

    def patch(self, by: Principal, name: str, change: Mapping[str, Any], revision: int | None) -> Draft:
        """Apply a JSON merge patch (RFC 7396). Raises `NotFound`, or `Conflict` as `save` does."""
        if revision is None:
            raise _unseen(name)
        with self._database.write() as tx:
            plan = msgspec.json.decode(drafts.get(tx, name).plan)
            text = msgspec.json.encode(merge(plan, change))
            return drafts.save(tx, name, text, revision=revision, author=by.key_id)

    def remove(self, name: str, revision: int | None) -> None:
        """Throw the draft away. Raises `NotFound`, or `Conflict` as `save` does."""
        if revision is None:
            raise _unseen(name)
        with self._database.write() as tx:
            drafts.remove(tx, name, revision=revision)


def merge(target: Any, change: Any) -> Any:
    """A JSON merge patch (RFC 7396): null removes, objects merge, everything else replaces.

    Example:
        >>> merge({"a": 1, "b": {"c": 2, "d": 3}}, {"a": None, "b": {"c": 4}})
        {'b': {'c': 4, 'd': 3}}
    """
    if not isinstance(change, Mapping):
        return change
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in change.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def check_algorithm_name(name: str) -> None:
    """Refuse a name that an algorithm cannot have. Raises `InvalidInput`."""
    if not NAME.fullmatch(name) or len(name) > 64:
        raise InvalidInput(
            f"name == {name[:80]!r}, must be lower-case letters, digits, `-` and `_`, at most 64",
            code="name-malformed",
        )


def _unseen(name: str) -> Conflict:
    return Conflict(
        f"the draft of {name!r} can only be changed by who has seen it",
        code="etag-required",
        cure="read it, and send its ETag in If-Match",
    )


__all__ = ["Drafts", "check_algorithm_name", "merge"]
