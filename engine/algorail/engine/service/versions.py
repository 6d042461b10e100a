"""Version specifications: `3` is a version, `@prod` an alias."""

from __future__ import annotations

from sqlalchemy import Connection

from algorail.engine.kit.errors import InvalidInput
from algorail.engine.kit.ids import NAME
from algorail.engine.service.splits import control_version
from algorail.engine.store import algorithms, aliases
from algorail.engine.store.algorithms import AlgorithmVersion


def alias_of(spec: str) -> str | None:
    """The alias in a specification, None if it is a number.

    Raises:
        InvalidInput: `version-malformed`.
    """
    if spec.startswith("@") and NAME.fullmatch(spec[1:]) and len(spec) <= 64:
        return spec[1:]
    if spec.isascii() and spec.isdigit() and len(spec) <= 9:
        return None
    raise InvalidInput(
        f"version == {spec[:80]!r}, must be a number such as 3, or an alias such as @prod",
        code="version-malformed",
    )


def resolve(tx: Connection, name: str, spec: str) -> AlgorithmVersion:
    """The version that a specification means now; for a split alias, that of its control arm.

    Raises:
        NotFound: If there is no such algorithm, alias or version.
    """
    algorithms.get(tx, name)
    alias = alias_of(spec)
    if alias is None:
        return algorithms.version(tx, name, int(spec))
    return algorithms.version(tx, name, control_version(aliases.get(tx, name, alias)))


__all__ = ["alias_of", "resolve"]
