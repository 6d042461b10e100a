"""Traffic splits of aliases: variant tables over versions, changed with the fewest moves."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from algorail.ab_testing.assign import SEGMENTS, VariantTable
from algorail.engine.kit.errors import InvalidInput
from algorail.engine.store.aliases import Alias


def split_of(alias: Alias) -> VariantTable | None:
    """The variant table of an alias, None if it points to one version."""
    return None if alias.split is None else VariantTable.from_dict(msgspec.json.decode(alias.split))


def control_version(alias: Alias) -> int:
    """The version of an alias; of a split one, the arm for those who are outside."""
    table = split_of(alias)
    if table is not None:
        return int(table.outside)
    if alias.version is None:
        raise LookupError(f"the alias {alias.name!r} was removed")
    return alias.version


def versions_of(alias: Alias) -> list[int]:
    """Every version that may answer."""
    table = split_of(alias)
    if table is not None:
        return sorted(int(arm) for arm in table.arms)
    return [control_version(alias)]


def percentages(table: VariantTable) -> dict[str, float]:
    """Per cent of the units by arm."""
    return {arm: count * 100 / SEGMENTS for arm, count in table.epoch.weights.items()}


def resplit(
    algorithm: str, name: str, before: Alias | None, weights: Mapping[str, float], now_ns: int
) -> VariantTable:
    """The table for new weights: units keep their version wherever the weights allow it.

    Args:
        algorithm: Whose alias it is; part of the salt.
        name: The alias; part of the salt.
        before: What the alias meant until now, None if it is new.
        weights: Any non-negative numbers by version.
        now_ns: The time.

    Raises:
        InvalidInput: If a key is no version number, or the weights cannot be used.
    """
    for arm in weights:
        if not (arm.isascii() and arm.isdigit() and len(arm) <= 9 and str(int(arm)) == arm):
            raise InvalidInput(
                f"weights for {arm!r}: must be by version number, such as '3'", code="version-malformed"
            )
    table = None if before is None else split_of(before)
    if table is None and before is not None:
        only = {str(control_version(before)): 1}
        table = VariantTable.new(f"{algorithm}@{name}", only, since_ns=now_ns)
    if table is None:
        return VariantTable.new(f"{algorithm}@{name}", weights, since_ns=now_ns)
    return table.reweighted(weights, since_ns=now_ns)


def encode_split(table: VariantTable) -> bytes:
    """The table as it is stored."""
    return msgspec.json.encode(table.to_dict())


__all__ = ["control_version", "encode_split", "percentages", "resplit", "split_of", "versions_of"]
